"""The desk that one batch is worked on: state as read, what changed so far, and the facts to publish.

It lives for one call of `GovernorStep.process`; the cells given are never touched.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property, lru_cache
from typing import TypeVar

import msgspec
from pydantic import BaseModel

from abdrift.clock import to_datetime
from abdrift.facts.base import ClusterRef
from abdrift.facts.commands import Decision, DecisionReason, DecisionResult
from abdrift.facts.governance import Policy
from abdrift.partitions import FLEET_SCOPE
from abdrift.topics import DECISION, FLEET_DECISIONS, FactType, Topic
from streams.governor.cells import FLEET_KEY, FleetCell, GovernorCell, PolicyCell, Reason, policy_key
from streams.overlay import Overlay
from streams.step import Cause, Outgoing, Publication, Refused, publish, stable_id

T = TypeVar("T")


@lru_cache(maxsize=16)
def _parsed(data: str) -> Policy:
    return Policy.model_validate_json(data)


class Work:
    """One batch's working state. `fleet` is written back by `cells_changed`."""

    def __init__(self, cells: Mapping[str, GovernorCell], policy_name: str) -> None:
        self._cells = cells
        self._overlay: Overlay[GovernorCell] = Overlay(cells)
        self._policy_key = policy_key(policy_name)
        self.fleet = self.get(FLEET_KEY, FleetCell) or FleetCell()
        self.touched: dict[str, None] = {}
        self.facts: list[Outgoing] = []
        self.refused: list[Refused] = []
        self.cause = Cause("", 0, 0)
        self.not_now: tuple[Reason, ...] = ()
        """Why nothing is commanded in this batch whatever the findings: restoring or lagging."""

    @property
    def now_ms(self) -> int:
        """The newest append time seen, in this batch or before."""
        return self.fleet.now_ms

    @property
    def policy(self) -> Policy | None:
        """The policy in force, if there is one."""
        cell = self.get(self._policy_key, PolicyCell)
        return _parsed(cell.data) if cell else None

    def get(self, key: str, kind: type[T]) -> T | None:
        """Return the cell of that key as it is now; None where there is none of that kind."""
        return self._overlay.get(key, kind)

    def put(self, key: str, cell: GovernorCell) -> None:
        """Replace a cell."""
        self._overlay.put(key, cell)

    def drop(self, key: str) -> None:
        """Forget a cell."""
        self._overlay.drop(key)

    def alter(self, **changes: object) -> None:
        """Replace fields of the fleet's cell."""
        self.fleet = msgspec.structs.replace(self.fleet, **changes)

    def each(self, kind: type[T]) -> Iterator[tuple[str, T]]:
        """Yield the cells of a kind as they are now, in no particular order. Nothing may be put meanwhile."""
        changed = self._overlay.changed
        for key in self._keys_by_kind.get(kind, ()):
            if key not in changed:
                cell = self._cells[key]
                assert isinstance(cell, kind), "keys are sorted by their cells' kinds"
                yield key, cell
        for key, new in changed.items():
            if isinstance(new, kind):
                yield key, new

    @cached_property
    def _keys_by_kind(self) -> Mapping[type, list[str]]:
        """The keys as given, sorted once for all the passes of a sweep: there may be hundreds of thousands."""
        sorted_out: defaultdict[type, list[str]] = defaultdict(list)
        for key, cell in self._cells.items():
            sorted_out[type(cell)].append(key)
        return sorted_out

    def touch(self, owner: str) -> None:
        """Have an owner decided about after this input."""
        self.touched[owner] = None

    def cells_changed(self) -> Mapping[str, GovernorCell | None]:
        """Return what this batch changed."""
        self.put(FLEET_KEY, self.fleet)
        return self._overlay.changed

    def say(
        self, topic: Topic, fact_type: FactType, subject: str, cluster: str | None, model: BaseModel | dict[str, object]
    ) -> None:
        """Publish a fact. Its id counts facts rather than rows, since one tick may be the cause of many."""
        self.alter(sequence=self.fleet.sequence + 1)
        about = Publication(
            topic=topic,
            fact_type=fact_type,
            subject=subject,
            source="governor",
            cause=Cause(self.cause.topic, self.cause.partition, self.cause.offset, self.fleet.sequence),
            at_ms=self.now_ms,
            cluster=cluster,
            scope=cluster or FLEET_SCOPE,
        )
        self.facts.append(publish(about, model))

    def audit(self, event_id: str, cluster: str | None, code: str, message: str) -> None:
        """Publish that a policy or a person's word was refused."""
        decision = Decision(
            decision_id=stable_id("audit", event_id, code),
            cluster=ClusterRef(name=cluster) if cluster else None,
            finding_ids=(),
            result=DecisionResult.REFUSED,
            reasons=(DecisionReason(code=code, message=message),),
            decided_at=to_datetime(self.now_ms),
        )
        self.say(FLEET_DECISIONS, DECISION, decision.decision_id, cluster, decision)


def public(reasons: Iterable[Reason]) -> tuple[DecisionReason, ...]:
    """Return reasons as facts carry them."""
    return tuple(DecisionReason(code=r.code, message=r.message) for r in reasons)
