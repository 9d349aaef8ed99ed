"""What a policy would have done with the facts that were recorded, by the same step that governs.

Recorded policies, words and outcomes are left out: they belong to what was really commanded. Each command that would
have been issued is taken for corrected a second later: budgets are given back as they would be on a good day, and what
was recorded of its findings afterwards, which nobody then had corrected, is passed over.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from abdrift.clock import to_datetime
from abdrift.cloudevents import CloudEvent
from abdrift.facts.base import rfc3339
from abdrift.facts.commands import Command, Decision, OutcomeResult
from abdrift.facts.governance import Policy
from abdrift.signing import Signer, Trust
from abdrift.topics import APPROVAL, COMMAND, DECISION, FINDING, FLEET_REDUCED, OUTCOME, POLICY, FactType
from streams.governor.step import GovernorStep
from streams.step import Batch, Input, Outgoing, stable_id

if TYPE_CHECKING:
    from streams.governor.cells import GovernorCell

ANSWER_MS = 1_000
_LEFT_OUT = frozenset({POLICY.name, APPROVAL.name, OUTCOME.name})


@dataclass(slots=True)
class Backtest:
    """What would have been said from `since_ms` on."""

    since_ms: int
    records: int = 0
    commands: list[Command] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    breaker_openings: int = 0

    def counts(self) -> dict[str, dict[str, int]]:
        """Return how many decisions there were by result and by their reasons' codes."""
        counted: dict[str, Counter[str]] = {}
        for decision in self.decisions:
            codes = " ".join(sorted(r.code for r in decision.reasons))
            counted.setdefault(decision.result.value, Counter())[codes] += 1
        return {result: dict(codes.most_common()) for result, codes in sorted(counted.items())}


class _Replay:
    """The step and its state, with answers to its commands on their way."""

    def __init__(self, policy: Policy, since_ms: int) -> None:
        operator = Ed25519PrivateKey.generate()
        self._signer = Signer(operator)
        self._step = GovernorStep(
            Signer(Ed25519PrivateKey.generate()), Trust({self._signer.key_id: operator.public_key()}), policy.name
        )
        self._cells: dict[str, GovernorCell] = {}
        self._answers: list[tuple[int, CloudEvent, tuple[str, ...]]] = []
        self._corrected: set[str] = set()
        self._offset = 0
        self._policy = policy
        self.found = Backtest(since_ms)

    def begin(self, now_ms: int) -> None:
        """Put the policy in force."""
        data = self._policy.model_dump(mode="json", exclude_none=True, exclude={"signature"})
        event = _event(POLICY, self._policy.name, self._signer.sign(POLICY.name, data), now_ms)
        self._process(now_ms, Input(FLEET_REDUCED.name, 0, 0, now_ms, event=event))

    def take(self, record: Input) -> None:
        """Replay a record, and before it the answers that were due."""
        while self._answers and self._answers[0][0] <= record.append_ms:
            due_ms, answer, finding_ids = self._answers.pop(0)
            self._process(due_ms, Input(FLEET_REDUCED.name, 0, 0, due_ms, event=answer))
            self._corrected.update(finding_ids)
            for finding_id in finding_ids:
                self._process(due_ms, Input(FLEET_REDUCED.name, 0, 0, due_ms, finding_id, tombstone=True))
        told = record.event
        if told is None or told.type != FINDING.name or told.subject not in self._corrected:
            self._process(record.append_ms, record)

    def _process(self, now_ms: int, record: Input) -> None:
        self._offset += 1
        told = replace(record, offset=self._offset)
        result = self._step.process(self._cells, Batch(0, 1, [told]))
        for key, cell in result.cells.items():
            if cell is None:
                self._cells.pop(key, None)
            else:
                self._cells[key] = cell
        for fact in result.facts:
            self._note(fact, now_ms)

    def _note(self, fact: Outgoing, now_ms: int) -> None:
        assert fact.event is not None, "the governor writes no tombstones"
        data = fact.event.data
        if fact.event.type == COMMAND.name:
            self._answers.append((now_ms + ANSWER_MS, _corrected(data, now_ms), tuple(data["finding_ids"])))
        if now_ms < self.found.since_ms:
            return
        if fact.event.type == COMMAND.name:
            self.found.commands.append(Command.model_validate(data))
        elif fact.event.type == DECISION.name:
            self.found.decisions.append(Decision.model_validate(data))
        else:
            self.found.breaker_openings += bool(data["open"])


def replay(records: Iterable[Input], policy: Policy, since_ms: int = 0) -> Backtest:
    """Return what a policy would have commanded and refused.

    Args:
        records: Of `FLEET_REDUCED`, in order, from as early as there are: what came before `since_ms` only builds up
            what was known by then.
        policy: Its signature is not asked for.
        since_ms: From when on to tell, in milliseconds since the epoch.

    """
    run: _Replay | None = None
    for record in records:
        if record.event is not None and record.event.type in _LEFT_OUT:
            continue
        if run is None:
            run = _Replay(policy, since_ms)
            run.begin(record.append_ms)
        run.take(record)
        run.found.records += record.append_ms >= since_ms
    return run.found if run else Backtest(since_ms)


def _corrected(command: Mapping[str, object], now_ms: int) -> CloudEvent:
    data = {
        "command_id": command["command_id"],
        "revision": 1,
        "cluster": command["cluster"],
        "result": OutcomeResult.CORRECTED,
    }
    return _event(OUTCOME, str(command["command_id"]), data, now_ms)


def _event(fact_type: FactType, subject: str, data: Mapping[str, object], now_ms: int) -> CloudEvent:
    return CloudEvent(
        id=stable_id("backtest", fact_type.name, subject),
        source="/abdrift/backtest",
        type=fact_type.name,
        subject=subject,
        time=rfc3339(to_datetime(now_ms)),
        data=dict(data),
    )
