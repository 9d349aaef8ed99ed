"""The step: records folded into state one by one, so that how they are cut into batches decides nothing."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, cast

from msgspec.structs import replace
from pydantic import ValidationError

from abdrift.facts.commands import Outcome
from abdrift.facts.drift import Finding, OwnerVerdict
from abdrift.facts.governance import Limits
from abdrift.facts.health import Health
from abdrift.facts.inventory import ClusterInventory
from abdrift.signing import Signer, Trust
from abdrift.topics import (
    APPROVAL,
    FINDING,
    FLEET_COMMANDS,
    FLEET_DECISIONS,
    FLEET_REDUCED,
    HEALTH,
    INVENTORY,
    OUTCOME,
    POLICY,
    VERDICT,
    Topic,
)
from streams.governor import approvals, breaker, budgets, intake, outcomes
from streams.governor.cells import GovernorCell, OwnerCell, Reason
from streams.governor.decide import decide
from streams.governor.work import Work
from streams.step import Batch, Input, Refused, Result

if TYPE_CHECKING:
    from abdrift.cloudevents import CloudEvent

SWEEP_MS = 1_000
"""How often, by append time, what only time changes is looked at."""
PRUNE_MS = 60_000
MAX_DECIDED = 1_000
"""Owners decided about in one sweep; the others follow in the next ones, longest due first."""


class GovernorStep:
    """Findings in, signed commands out. One partition, for budgets and breaker see the whole fleet.

    Args:
        signer: signs commands; sinks trust its key.
        trust: operators' keys, by which policies and approvals are believed.
        policy_name: the name of the policy in force; others are kept but unused.

    """

    name = "governor"
    reads: tuple[Topic, ...] = (FLEET_REDUCED,)
    writes: tuple[Topic, ...] = (FLEET_COMMANDS, FLEET_DECISIONS)
    cell_type = cast("type[GovernorCell]", GovernorCell)

    def __init__(self, signer: Signer, trust: Trust, policy_name: str = "default") -> None:
        self._signer = signer
        self._policy_name = policy_name
        self._takers: Mapping[str, Callable[[Work, CloudEvent], None]] = {
            INVENTORY.name: lambda w, e: intake.take_inventory(w, ClusterInventory.model_validate(e.data)),
            HEALTH.name: lambda w, e: intake.take_health(w, Health.model_validate(e.data)),
            FINDING.name: lambda w, e: intake.take_finding(w, Finding.model_validate(e.data)),
            VERDICT.name: lambda w, e: intake.take_verdict(w, OwnerVerdict.model_validate(e.data)),
            OUTCOME.name: lambda w, e: outcomes.take_outcome(w, Outcome.model_validate(e.data)),
            POLICY.name: lambda w, e: approvals.take_policy(w, e, trust),
            APPROVAL.name: lambda w, e: approvals.take_word(w, e, trust),
        }

    def process(self, cells: Mapping[str, GovernorCell], batch: Batch) -> Result[GovernorCell]:
        """Return what the batch changes, and what is commanded and decided."""
        work = Work(cells, self._policy_name)
        for record in batch.inputs:
            work.cause = record.cause()
            work.alter(now_ms=max(work.fleet.now_ms, record.append_ms))
            self._take(work, record)
            work.not_now = _not_now(work, batch)
            self._decide(work)
        return Result(work.cells_changed(), work.facts, work.refused)

    def _take(self, work: Work, record: Input) -> None:
        if record.tombstone:
            intake.take_tombstone(work, record.key or "")
            return
        if record.event is None:
            return
        take = self._takers.get(record.event.type)
        if take is None:
            work.refused.append(Refused(work.cause, "unknown-type", f"no use for facts of type {record.event.type!r}"))
            return
        try:
            take(work, record.event)
        except ValidationError as error:
            work.refused.append(Refused(work.cause, "invalid-fact", str(error.errors()[0])))

    def _decide(self, work: Work) -> None:
        """Decide about what this record touched, and, once a second, about what time has changed."""
        if not work.not_now and work.now_ms // SWEEP_MS > work.fleet.swept_ms // SWEEP_MS:
            _sweep(work)
        while work.touched:
            key = next(iter(work.touched))
            del work.touched[key]
            decide(work, key, self._signer)


def _sweep(work: Work) -> None:
    outcomes.expire(work)
    breaker.recount(work)
    if work.now_ms // PRUNE_MS > work.fleet.swept_ms // PRUNE_MS:
        for module in (intake, outcomes, budgets, approvals):
            module.prune(work)
    due = [(o.due_ms, key) for key, o in work.each(OwnerCell) if _is_due(work, o)]
    due.sort()
    for _, key in due[:MAX_DECIDED]:
        work.touch(key)
    if work.fleet.recheck:
        for _, key in due[MAX_DECIDED:]:
            owner = work.get(key, OwnerCell)
            assert owner is not None, "it was seen just now"
            work.put(key, replace(owner, due_ms=owner.due_ms or work.now_ms))
    work.alter(swept_ms=work.now_ms, recheck=False)


def _is_due(work: Work, owner: OwnerCell) -> bool:
    return bool(owner.finding_ids) and (work.fleet.recheck or 0 < owner.due_ms <= work.now_ms)


def _not_now(work: Work, batch: Batch) -> tuple[Reason, ...]:
    reasons = []
    if batch.restoring:
        reasons.append(Reason("restoring", "state is being restored: what happened meanwhile is not known yet"))
    limit_seconds = (work.policy.limits if work.policy else Limits()).max_lag_seconds
    if batch.lag_ms > limit_seconds * 1000:
        reasons.append(
            Reason("lagging", f"records are {batch.lag_ms / 1000:.0f} s old; {limit_seconds:g} s are allowed")
        )
    return tuple(reasons)
