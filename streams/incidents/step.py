"""The step: records folded into state one by one, so that how they are cut into batches decides nothing."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

from pydantic import ValidationError

from abdrift.facts.commands import Outcome
from abdrift.facts.drift import DriftKind, Finding
from abdrift.facts.governance import Policy
from abdrift.facts.health import Health
from abdrift.facts.inventory import ClusterInventory
from abdrift.signing import SignatureRefused
from abdrift.topics import FINDING, FLEET_INCIDENTS, FLEET_REDUCED, HEALTH, INVENTORY, OUTCOME, POLICY, Topic
from streams.incidents import intake, life
from streams.incidents.cells import POLICY as POLICY_KEY
from streams.incidents.cells import IncidentsCell, PolicyCell
from streams.incidents.work import Work
from streams.step import Batch, Input, Result

if TYPE_CHECKING:
    from abdrift.cloudevents import CloudEvent

Verify = Callable[[str, Mapping[str, Any]], object]
"""Raises SignatureRefused where no trusted key signed data as a fact of a type, as `abdrift.signing.Trust.verify`."""

_KINDS = frozenset({DriftKind.BEHIND.value, DriftKind.FAILING.value})
"""Findings that may share a cause; by the others each stands for itself."""


class IncidentsStep:
    """Symptoms in, incidents out. One partition, for a cause reaches across clusters.

    Args:
        verify: refuses policies that no trusted key signed.
        policy_name: the name of the policy in force.

    """

    name = "incidents"
    reads: tuple[Topic, ...] = (FLEET_REDUCED,)
    writes: tuple[Topic, ...] = (FLEET_INCIDENTS,)
    cell_type = cast("type[IncidentsCell]", IncidentsCell)

    def __init__(self, verify: Verify, policy_name: str = "default") -> None:
        self._verify = verify
        self._policy_name = policy_name

    def process(self, cells: Mapping[str, IncidentsCell], batch: Batch) -> Result[IncidentsCell]:
        """Return what the batch changes, and the incidents it tells of."""
        work = Work(cells)
        for record in batch.inputs:
            work.cause = record.cause()
            work.alter(now_ms=max(work.now_ms, record.append_ms))
            life.look(work)
            self._take(work, record)
            if work.now_ms - work.clock.pruned_ms >= intake.PRUNE_MS:
                work.alter(pruned_ms=work.now_ms)
                intake.prune(work)
        return Result(work.cells_changed(), work.facts, work.refused, passed_over=work.passed_over)

    def _take(self, work: Work, record: Input) -> None:
        if record.tombstone:
            intake.take_tombstone(work, record.key or "")
            return
        if record.event is None:
            return
        try:
            self._take_event(work, record.event)
        except SignatureRefused as error:
            work.refuse(error.reason, str(error))
        except ValidationError as error:
            work.refuse("invalid-fact", str(error.errors()[0]))

    def _take_event(self, work: Work, event: "CloudEvent") -> None:
        match event.type:
            case FINDING.name if event.data.get("kind") in _KINDS:
                intake.take_finding(work, Finding.model_validate(event.data))
            case HEALTH.name:
                intake.take_health(work, Health.model_validate(event.data))
            case INVENTORY.name:
                intake.take_inventory(work, ClusterInventory.model_validate(event.data))
            case OUTCOME.name:
                intake.take_outcome(work, event.subject, Outcome.model_validate(event.data))
            case POLICY.name:
                self._verify(POLICY.name, event.data)
                policy = Policy.model_validate(event.data)
                if policy.name == self._policy_name:
                    work.put(POLICY_KEY, PolicyCell(body=policy.model_dump_json().encode()))
            case _:
                pass
