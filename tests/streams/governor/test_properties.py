"""Whatever comes, in whatever order, doubled, cut or replayed: no cap is exceeded, and the same is said.

The sink is modelled by what it may still be carrying out: a command from its publication until the sink itself ended
it or it expired, whether or not the governor has heard of that.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from abdrift.clock import to_ms
from abdrift.facts.commands import Command
from abdrift.topics import COMMAND
from streams.governor import budgets, owner_key
from streams.step import Batch, Input, Outgoing
from tests.streams.governor.world import ACT, OWNER, World, commit, stamp

SITES = {"edge-0": "oslo", "edge-1": "oslo", "edge-2": "bergen"}
CLUSTERS = tuple(SITES)
OWNERS = ("apps", "infra")
BUDGETS = {
    "cluster": {"in_flight": 1, "per_hour": 3},
    "site": {"in_flight": 2, "per_hour": 4},
    "fleet": {"in_flight": 2, "per_hour": 6},
    "source_host": {"in_flight": 2, "per_hour": 5},
}
HOUR_MS = 3_600_000
RESULTS = ("corrected", "failed", "handled-not-corrected", "rejected", "accepted")

OPEN: dict[str, Any] = {
    "backoff": {"initial_seconds": 0, "max_attempts": 999},
    "breaker": {"failed_outcomes": 999},
    "fight": {"rounds": 999},
    "limits": {"command_ttl_seconds": 600, "max_evidence_age_seconds": 9_999},
}
"""Nothing but the budgets holds it back."""
CAREFUL: dict[str, Any] = {
    "backoff": {"initial_seconds": 20},
    "breaker": {"failed_outcomes": 4},
    "limits": {"command_ttl_seconds": 60},
}

cluster = st.sampled_from(CLUSTERS)
owner = st.sampled_from(OWNERS)
number = st.integers(0, 2)
ACTIONS = st.one_of(
    st.tuples(st.just("open"), cluster, owner, number),
    st.tuples(st.just("open"), cluster, owner, number),
    st.tuples(st.just("open"), cluster, owner, number),
    st.tuples(st.just("close"), cluster, owner, number),
    st.tuples(st.just("verdict"), cluster, owner),
    st.tuples(st.just("inventory"), cluster),
    st.tuples(st.just("wait"), st.sampled_from((1, 6, 30, 400, 1_300))),
    st.tuples(st.just("wait"), st.just(6)),
    st.tuples(st.just("answer"), st.integers(0, 3), st.sampled_from(RESULTS)),
    st.tuples(st.just("answer"), st.integers(0, 3), st.sampled_from(RESULTS)),
    st.tuples(st.just("repeat"), st.integers(1, 12)),
    st.tuples(st.just("bury"), cluster, owner, number),
    st.tuples(st.just("thaw")),
    st.tuples(st.just("freeze"), cluster),
    st.tuples(st.just("hold"), cluster, owner),
    st.tuples(st.just("approve"), cluster, owner),
)

POLICIES = st.sampled_from((OPEN, OPEN, CAREFUL))


@dataclass
class Sink:
    """Counts what it may be carrying out, and complains when that is too much."""

    issued: dict[str, Command] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    protected_ms: dict[str, int] = field(default_factory=dict)
    """Until when a cluster is frozen, or an owner held."""

    def take(self, command: Command) -> None:
        """Take a command; one that was seen before is a repeat."""
        if known := self.issued.get(command.command_id):
            assert known == command
            return
        assert all(command.fencing > other.fencing for other in self.issued.values())
        self.issued[command.command_id] = command
        now_ms = to_ms(command.issued_at)
        for subject in (f"cluster/{command.cluster.name}", owner_key(command.cluster.name, command.target)):
            assert self.protected_ms.get(subject, 0) <= now_ms, subject
        flying = [c for c in self.issued.values() if self._flies(c, now_ms)]
        recent = [c for c in self.issued.values() if to_ms(c.issued_at) > now_ms - HOUR_MS]
        for what, commands in (("in_flight", flying), ("per_hour", recent)):
            for scope, of in (("cluster", _cluster), ("site", _site), ("fleet", _fleet), ("source_host", _fleet)):
                most = max(Counter(map(of, commands)).values())
                assert most <= BUDGETS[scope][what], (scope, what, most)
        owners = Counter((c.cluster.name, c.target.name) for c in flying)
        assert max(owners.values()) == 1

    def open(self, now_ms: int) -> list[Command]:
        return [c for c in self.issued.values() if self._flies(c, now_ms)]

    def _flies(self, command: Command, now_ms: int) -> bool:
        return command.command_id not in self.ended and to_ms(command.expires_at) > now_ms


def _cluster(command: Command) -> str:
    return command.cluster.name


def _site(command: Command) -> str:
    return SITES[command.cluster.name]


def _fleet(_command: Command) -> str:
    return "fleet"


@dataclass
class Run:
    """A run, with every record fed and every fact said."""

    world: World = field(default_factory=World)
    sink: Sink = field(default_factory=Sink)
    log: list[Input] = field(default_factory=list)
    revisions: Counter[str] = field(default_factory=Counter)

    def begin(self, policy: Mapping[str, Any]) -> None:
        """Make the fleet known."""
        self.feed(self.world.record(self.world.policy(ACT, budgets=BUDGETS, **policy)))
        for name in CLUSTERS:
            self.do(("inventory", name))
            for each in OWNERS:
                self.do(("verdict", name, each))

    def feed(self, *inputs: Input) -> None:
        """Feed records; before, let a worker that then crashes work on them too: it must have said the same."""
        self.log += inputs
        lost = self.world.step.process(self.world.cells, Batch(0, 1, list(inputs)))
        said = self.world.feed(inputs)
        assert list(lost.facts) == said
        for fact in said:
            if fact.event and fact.event.type == COMMAND.name:
                self.sink.take(Command.model_validate(fact.event.data))

    def do(self, action: tuple[Any, ...]) -> None:
        w, (verb, *rest) = self.world, action
        match verb:
            case "open" | "close" | "bury":
                self._finding(verb, *rest)
            case "verdict":
                self.feed(w.record(w.verdict(rest[0], owner=_owner(rest[1]), revision=self._next(f"v{rest}"))))
            case "inventory":
                source = {"git_sources": [{"url": "https://git.example/x", "ref": "refs/heads/main"}]}
                self.feed(w.record(w.inventory(rest[0], labels={"site": SITES[rest[0]]}, **source)))
            case "wait":
                self._wait(rest[0])
            case "answer":
                self._answer(*rest)
            case "repeat":
                again = self.log[-rest[0] :][:3]
                self.feed(*(w.record(i.event, tombstone=i.key if i.tombstone else None) for i in again))
            case "thaw":
                w.now_ms += 1
                self.feed(w.record(w.word("thaw", "fleet")))
            case "freeze":
                self._protect("freeze", f"cluster/{rest[0]}")
            case "hold":
                self._protect("hold", f"owner/{rest[0]}/Kustomization/flux-system/{rest[1]}")
            case "approve":
                self.feed(w.record(w.word("approve", f"owner/{rest[0]}/Kustomization/flux-system/{rest[1]}")))

    def _protect(self, action: str, subject: str) -> None:
        self.world.now_ms += 1
        until_ms = self.world.now_ms + 60_000
        self.sink.protected_ms[subject] = until_ms
        self.feed(self.world.record(self.world.word(action, subject, until=stamp(until_ms))))

    def _finding(self, verb: str, name: str, of: str, which: int) -> None:
        finding_id = f"{name}-{of}-{which}"
        if verb == "bury":
            self.feed(self.world.record(tombstone=finding_id))
            return
        state = "open" if verb == "open" else "closed"
        revision = self._next(finding_id)
        more = {"state": state, "revision": revision, "owner": _owner(of)}
        self.feed(self.world.record(self.world.finding(finding_id, cluster=name, **more)))

    def _wait(self, seconds: int) -> None:
        for _ in range(3):
            self.world.now_ms += seconds * 333
            self.feed(self.world.record())
        for name in CLUSTERS:
            self.do(("inventory", name))

    def _answer(self, which: int, result: str) -> None:
        flying = self.sink.open(self.world.now_ms)
        if not flying:
            return
        command = flying[which % len(flying)]
        if result != "accepted":
            self.sink.ended.add(command.command_id)
        self.feed(self.world.record(self.world.outcome(command, result, revision=self._next(command.command_id))))

    def _next(self, what: str) -> int:
        self.revisions[what] += 1
        return self.revisions[what]


def _owner(name: str) -> dict[str, str]:
    return {**OWNER, "name": name}


def driven(actions: Iterable[tuple[Any, ...]], policy: Mapping[str, Any] = OPEN) -> Run:
    """Return a run after these actions."""
    run = Run()
    run.begin(policy)
    for action in actions:
        run.do(action)
    return run


def replayed(world: World, log: list[Input], sizes: list[int]) -> list[Outgoing]:
    """Return what a governor says that gets the log in batches of these sizes, over and over."""
    cells: dict[str, Any] = {}
    said: list[Outgoing] = []
    start, turn = 0, 0
    while start < len(log):
        size = sizes[turn % len(sizes)]
        result = world.step.process(cells, Batch(0, 1, log[start : start + size]))
        cells = commit(cells, result.cells)
        said += result.facts
        start, turn = start + size, turn + 1
    return said


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    actions=st.lists(ACTIONS, min_size=20, max_size=80),
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=4),
    policy=POLICIES,
)
def test_no_cap_freeze_or_hold_is_broken_and_the_cut_of_batches_decides_nothing(
    actions: list[Any], sizes: list[int], policy: dict[str, Any]
) -> None:
    run = driven(actions, policy)
    assert not run.world.refused
    assert replayed(run.world, run.log, sizes) == run.world.said
    ids = [fact.event.id for fact in run.world.said if fact.event]
    assert len(set(ids)) == len(ids)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(actions=st.lists(ACTIONS, min_size=10, max_size=40), policy=POLICIES)
def test_what_is_reserved_is_given_back_in_the_end(actions: list[Any], policy: dict[str, Any]) -> None:
    run = driven(actions, policy)
    for name in CLUSTERS:
        for each in OWNERS:
            for which in range(3):
                run.do(("close", name, each, which))
    run.do(("wait", 1_300))
    used = {k: c for k, c in run.world.cells.items() if k.startswith("budget/")}
    assert all(c.in_flight == 0 for c in used.values())
    assert not any(k.startswith("command/") and not c.released for k, c in run.world.cells.items())


def test_the_model_sees_a_governor_without_caps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budgets, "shortage", lambda *_: None)
    with pytest.raises(AssertionError, match="in_flight"):
        driven(("open", name, "apps", 0) for name in CLUSTERS)


def test_the_model_sees_an_hour_that_is_too_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budgets, "_MINUTES_KEPT", 30)
    rounds = ((("open", "edge-2", "apps", n), ("answer", 0, "corrected"), ("wait", 600)) for n in range(9))
    with pytest.raises(AssertionError, match="per_hour"):
        driven(action for actions in rounds for action in actions)


def test_commands_are_issued_up_to_the_caps() -> None:
    rounds = ((("open", "edge-2", "apps", n), ("answer", 0, "corrected")) for n in range(9))
    run = driven(action for actions in rounds for action in actions)
    assert len(run.sink.issued) == BUDGETS["cluster"]["per_hour"]
    assert run.world.last == "deferred: budget-cluster"
