"""One allocator for all caps: a command counts in every scope it belongs to, or is not sent.

In flight means from being issued until its final outcome, or until an unanswered command can no longer be at work.
An hour is 61 minute buckets, so that no sixty minutes, wherever they begin, hold more than the cap.
"""

from collections.abc import Iterable

from abdrift.facts.governance import Budget, Budgets
from streams.governor.cells import BudgetCell, ClusterCell, Reason
from streams.governor.work import Work

_MINUTE_MS = 60_000
_MINUTES_KEPT = 61
FLEET_BUDGET_KEY = "budget/fleet/"


def scopes(cluster: ClusterCell) -> tuple[str, ...]:
    """Return the keys of the budgets that a command to this cluster counts against.

    Clusters without a site, or without a known source host, share one: what is not known is not taken for plenty. The
    inventory does not say which owner follows which source, so each host the cluster follows is counted.
    """
    hosts = cluster.source_hosts or ("",)
    return (
        f"budget/cluster/{cluster.name}",
        f"budget/site/{cluster.labels.get('site', '')}",
        *(f"budget/source-host/{host}" for host in hosts),
        FLEET_BUDGET_KEY,
    )


def shortage(work: Work, keys: Iterable[str], budgets: Budgets) -> tuple[Reason, int] | None:
    """Return why one more command does not fit, and when to ask again; None if it fits every scope."""
    for key in keys:
        scope, name = key.split("/", 2)[1:]
        cap: Budget = getattr(budgets, scope.replace("-", "_"))
        used = work.get(key, BudgetCell) or BudgetCell()
        where = f"{scope} {name}".strip()
        if used.in_flight >= cap.in_flight:
            text = f"{where}: {used.in_flight} of {cap.in_flight} commands are in flight"
            return Reason(f"budget-{scope}", text), work.now_ms + 1_000
        recent = _recent(used, work.now_ms)
        if sum(n for _, n in recent) >= cap.per_hour:
            oldest = recent[0][0] if recent else work.now_ms // _MINUTE_MS
            text = f"{where}: {cap.per_hour} commands were issued within the hour"
            return Reason(f"budget-{scope}", text), (oldest + _MINUTES_KEPT) * _MINUTE_MS
    return None


def reserve(work: Work, keys: Iterable[str]) -> None:
    """Count one more command in each scope. The caller has seen that there is no shortage."""
    minute = work.now_ms // _MINUTE_MS
    for key in keys:
        used = work.get(key, BudgetCell) or BudgetCell()
        minutes = dict(_recent(used, work.now_ms))
        minutes[minute] = minutes.get(minute, 0) + 1
        work.put(key, BudgetCell(used.in_flight + 1, tuple(sorted(minutes.items()))))


def release(work: Work, keys: Iterable[str]) -> None:
    """Count one command in flight less in each scope; the hour still remembers it."""
    for key in keys:
        used = work.get(key, BudgetCell)
        assert used is not None, f"{key} was reserved before"
        assert used.in_flight > 0, f"{key} was reserved before"
        work.put(key, BudgetCell(used.in_flight - 1, _recent(used, work.now_ms)))


def prune(work: Work) -> None:
    """Forget scopes that have nothing in flight and no command within the hour."""
    idle = [k for k, used in work.each(BudgetCell) if not used.in_flight and not _recent(used, work.now_ms)]
    for key in idle:
        work.drop(key)


def in_flight(work: Work) -> int:
    """Return how many commands are in flight in the fleet."""
    used = work.get(FLEET_BUDGET_KEY, BudgetCell)
    return used.in_flight if used else 0


def _recent(used: BudgetCell, now_ms: int) -> tuple[tuple[int, int], ...]:
    first = now_ms // _MINUTE_MS - _MINUTES_KEPT + 1
    return tuple((minute, n) for minute, n in used.minutes if minute >= first)
