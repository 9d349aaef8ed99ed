"""Whether the governor may act at all: a surge or failing outcomes open the breaker, only a person closes it."""

import msgspec

from abdrift.clock import to_datetime
from abdrift.facts.commands import BreakerState
from abdrift.facts.governance import ApprovalAction, Breaker
from abdrift.partitions import FLEET_SCOPE
from abdrift.topics import BREAKER, FLEET_DECISIONS
from streams.governor.budgets import in_flight
from streams.governor.cells import ClusterCell, Reason, WordCell, cluster_key
from streams.governor.work import Work, public

MAX_FAILURES = 1_000
SUBJECT = "governor"


def note_opening(work: Work, cluster_name: str, opened_ms: int) -> None:
    """Take in that a proven finding opened in a cluster; open the breaker if that makes a surge."""
    cluster = work.get(cluster_key(cluster_name), ClusterCell)
    if cluster is None or opened_ms <= cluster.opened_ms:
        return
    window_ms = _window_ms(work)
    opened_ms = min(opened_ms, work.now_ms)
    newly = not _surges(work, cluster.opened_ms, window_ms) and _surges(work, opened_ms, window_ms)
    work.put(cluster_key(cluster_name), msgspec.structs.replace(cluster, opened_ms=opened_ms))
    if newly:
        work.alter(surging=work.fleet.surging + 1)
        check_surge(work)


def recount(work: Work) -> None:
    """Count the clusters with a finding opened within the window afresh: time takes some out."""
    window_ms = _window_ms(work)
    surging = sum(_surges(work, c.opened_ms, window_ms) for _, c in work.each(ClusterCell))
    if surging != work.fleet.surging:
        work.alter(surging=surging)
    check_surge(work)


def note_failure(work: Work) -> None:
    """Take in that a command failed; open the breaker if that makes too many."""
    rules = _rules(work)
    since_ms = work.now_ms - round(rules.failed_window_seconds * 1000)
    failures = tuple(t for t in work.fleet.failures_ms if t > since_ms)[1 - MAX_FAILURES :]
    work.alter(failures_ms=(*failures, work.now_ms))
    if len(failures) + 1 >= rules.failed_outcomes:
        count, window = len(failures) + 1, rules.failed_window_seconds
        _open(work, Reason("failing-outcomes", f"{count} commands failed within {window:g} s"))


def check_surge(work: Work) -> None:
    """Open the breaker if findings opened in too many of the known clusters."""
    rules, fleet = _rules(work), work.fleet
    too_many = fleet.surging * 100 > rules.surge_percent * fleet.clusters
    if too_many and fleet.surging >= rules.surge_min_clusters:
        text = (
            f"findings opened in {fleet.surging} of {fleet.clusters} clusters within {rules.surge_window_seconds:g} s"
        )
        _open(work, Reason("surge", text))


def close(work: Work) -> None:
    """Close the breaker, forgiving what opened it: without that it would open again at once."""
    work.alter(breaker=(), breaker_since_ms=0, failures_ms=(), surging=0, surge_since_ms=work.now_ms)


def freeze_of(work: Work, subject: str) -> WordCell | None:
    """Return the freeze in force on `fleet` or `cluster/<name>`."""
    word = work.get(f"word/freeze/{subject}", WordCell)
    if word is None or word.action is not ApprovalAction.FREEZE:
        return None
    return None if word.until_ms and word.until_ms <= work.now_ms else word


def stops(work: Work, cluster: str) -> tuple[Reason, ...]:
    """Return why nothing may be commanded in a cluster, whatever its findings."""
    reasons: list[Reason] = []
    if work.fleet.breaker:
        why = "; ".join(r.message for r in work.fleet.breaker)
        reasons.append(Reason("breaker-open", f"the breaker is open ({why}) until a person thaws the fleet"))
    freezes = {subject: freeze_of(work, subject) for subject in (FLEET_SCOPE, cluster_key(cluster))}
    reasons.extend(Reason("frozen", f"{word.by} froze {on}: {word.reason}") for on, word in freezes.items() if word)
    return tuple(reasons)


def announce(work: Work) -> None:
    """Publish whether the governor may act, and why not."""
    fleet = work.fleet
    frozen = freeze_of(work, FLEET_SCOPE)
    work.alter(breaker_revision=fleet.breaker_revision + 1)
    reasons = fleet.breaker
    if frozen:
        reasons = (*reasons, Reason("frozen", f"{frozen.by}: {frozen.reason}"))
    state = BreakerState(
        revision=fleet.breaker_revision + 1,
        open=bool(reasons),
        frozen_by=frozen.by if frozen else None,
        reasons=public(reasons),
        since=to_datetime(fleet.breaker_since_ms or work.now_ms),
        commands_in_flight=in_flight(work),
    )
    work.say(FLEET_DECISIONS, BREAKER, SUBJECT, None, state)


def _open(work: Work, reason: Reason) -> None:
    if any(r.code == reason.code for r in work.fleet.breaker):
        return
    since_ms = work.fleet.breaker_since_ms or work.now_ms
    work.alter(breaker=(*work.fleet.breaker, reason), breaker_since_ms=since_ms, recheck=True)
    announce(work)


def _surges(work: Work, opened_ms: int, window_ms: int) -> bool:
    return opened_ms > max(work.now_ms - window_ms, work.fleet.surge_since_ms)


def _window_ms(work: Work) -> int:
    return round(_rules(work).surge_window_seconds * 1000)


def _rules(work: Work) -> Breaker:
    return work.policy.breaker if work.policy else Breaker()
