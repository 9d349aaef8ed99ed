"""What must hold of the health step whatever comes: batches' bounds, storms, and the size of its state."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abdrift import frames
from abdrift.signals import levels, objects, rates
from abdrift.signals.levels import LevelRow
from abdrift.signals.objects import HeartbeatDetail, InventoryDetail, LostDetail, ObjectRow, SyncDetail, encode_detail
from abdrift.signals.rates import RateRow
from streams.health import HealthStep, resources
from streams.health.cells import Cell
from streams.step import Batch, Input, cell_codec

T0 = 1_700_000_000_000
CLUSTERS = st.sampled_from(["edge-1", "edge-2"])
ENCODER, DECODER = cell_codec(Cell)  # type: ignore[arg-type]


def heartbeat(cluster: str) -> ObjectRow:
    detail = HeartbeatDetail(cluster_uid="u", interval_ms=5_000, started_ms=T0)
    return ObjectRow(cluster=cluster, op="heartbeat", observed_ms=T0, detail=encode_detail(detail))


def deployment(cluster: str, name: str, available: int, op: str = "modified") -> ObjectRow:
    status = {"observedGeneration": 1, "availableReplicas": available}
    return ObjectRow(
        cluster=cluster,
        op=op,
        group="apps",
        kind="Deployment",
        namespace=f"shop-{name}",
        name=name,
        observed_ms=T0,
        object=orjson.dumps({"spec": {"replicas": 2}, "status": status}),
    )


def rate(cluster: str, namespace: str, name: str, unusual: bool = True) -> RateRow:
    return RateRow(
        cluster=cluster,
        namespace=namespace,
        kind="Pod",
        name=name,
        unusual=unusual,
        warnings=9,
        usual_per_minute=0.5,
        reason="BackOff",
        last_ms=T0,
        judged_ms=T0,
    )


def level(cluster: str, subject: str, namespace: str, kind: str, name: str, state: str) -> LevelRow:
    return LevelRow(
        cluster=cluster,
        subject=subject,
        namespace=namespace,
        kind=kind,
        name=name,
        rule="too-deep",
        state=state,
        severity="failing",
        source="metrics",
        last_ms=T0,
        judged_ms=T0,
    )


def inventory(cluster: str, withdrawn: bool) -> ObjectRow:
    detail = InventoryDetail(withdrawn=withdrawn)
    return ObjectRow(cluster=cluster, op="inventory", observed_ms=T0, detail=encode_detail(detail))


def kind_row(cluster: str, op: str) -> ObjectRow:
    detail = (
        SyncDetail(began_ms=T0 + 1, objects=1) if op == "synced" else LostDetail(reason="r", message="", since_ms=0)
    )
    return ObjectRow(
        cluster=cluster, op=op, group="apps", kind="Deployment", observed_ms=T0, detail=encode_detail(detail)
    )


ROWS = st.one_of(
    st.builds(heartbeat, CLUSTERS),
    st.builds(deployment, CLUSTERS, st.sampled_from("abc"), st.integers(0, 2), st.sampled_from(["listed", "deleted"])),
    st.builds(deployment, CLUSTERS, st.sampled_from("abc"), st.integers(0, 2)),
    st.builds(kind_row, CLUSTERS, st.sampled_from(["synced", "lost"])),
    st.builds(inventory, CLUSTERS, st.booleans()),
)
LEVELS = st.builds(
    lambda cluster, subject, state: level(cluster, *subject, state),
    CLUSTERS,
    st.sampled_from([("workload", "shop-a", "Pod", "a"), ("node", "", "Node", "n1"), ("cluster", "", "", "")]),
    st.sampled_from(["clear", "firing", "unknown"]),
)
WARNINGS = st.builds(
    lambda cluster, name, unusual: rate(cluster, f"shop-{name[0]}", name, unusual),
    CLUSTERS,
    st.sampled_from(["a-1-2", "b-1-2"]),
    st.booleans(),
)
RECORDS = st.tuples(
    st.integers(0, 40) | st.just(700),
    st.integers(1, 2),
    st.one_of(
        st.none(),
        st.lists(ROWS, min_size=1, max_size=6),
        st.lists(WARNINGS, min_size=1, max_size=4),
        st.lists(LEVELS, min_size=1, max_size=4),
    ),
)


def _objects_frame(rows: list[ObjectRow], epoch: int = 1) -> frames.Frame:
    made = frames.encode(objects.OBJECTS, objects.columns_of(rows), ("kubernetes", epoch, 0))
    return frames.decode(made.value, made.headers)


def _rates_frame(rows: list[RateRow], sequence: int = 0) -> frames.Frame:
    made = frames.encode(rates.RATES, rates.columns_of(rows), ("rates/0", 1, sequence))
    return frames.decode(made.value, made.headers)


def _levels_frame(rows: list[LevelRow], sequence: int = 0) -> frames.Frame:
    made = frames.encode(levels.LEVELS, levels.columns_of(rows), ("levels/0", 1, sequence))
    return frames.decode(made.value, made.headers)


def frame(rows: Any, epoch: int, sequence: int) -> frames.Frame | None:
    if rows is None:
        return None
    if isinstance(rows[0], ObjectRow):
        return _objects_frame(rows, epoch)
    return _rates_frame(rows, sequence) if isinstance(rows[0], RateRow) else _levels_frame(rows, sequence)


def _inputs(told: list[tuple[int, int, Any]]) -> list[Input]:
    found, at_ms = [], T0
    for offset, (seconds, epoch, rows) in enumerate(told):
        at_ms += seconds * 1_000
        found.append(Input("abdrift.signals.objects.v1", 0, offset, at_ms, frame=frame(rows, epoch, offset)))
    return found


def _run(inputs: list[Input], cuts: list[int]) -> tuple[dict[str, bytes], list[Any]]:
    """Return state, as it is kept, and facts of batches cut at these places; cells go through their bytes."""
    state: dict[str, bytes] = {}
    facts: list[Any] = []
    bounds = [0, *sorted(cuts), len(inputs)]
    for start, stop in itertools.pairwise(bounds):
        cells = {key: DECODER.decode(value) for key, value in state.items()}
        result = HealthStep().process(cells, Batch(0, 1, inputs[start:stop]))
        for key, cell in result.cells.items():
            if cell is None:
                del state[key]
            else:
                state[key] = ENCODER.encode(cell)
        facts += [(fact.key, fact.event and fact.event.encode()) for fact in result.facts]
        assert not result.refused
    return state, facts


@given(st.lists(RECORDS, min_size=2, max_size=14), st.data())
@settings(max_examples=60, deadline=None)
def test_facts_and_state_do_not_depend_on_how_batches_were_cut(told: list[Any], data: st.DataObject) -> None:
    inputs = _inputs(told)
    cuts = data.draw(st.lists(st.integers(1, len(inputs) - 1), unique=True))
    whole_state, whole_facts = _run(inputs, [])
    cut_state, cut_facts = _run(inputs, cuts)
    assert cut_facts == whole_facts
    # Maps are kept in any order; what they hold is the same.
    assert {k: DECODER.decode(v) for k, v in cut_state.items()} == {
        k: DECODER.decode(v) for k, v in whole_state.items()
    }
    ids = [orjson.loads(value)["id"] for _, value in whole_facts if value]
    assert len(set(ids)) == len(ids)


@given(st.lists(RECORDS, max_size=14))
@settings(max_examples=60, deadline=None)
def test_counts_match_members_and_what_is_gone_leaves_nothing(told: list[Any]) -> None:
    state, _ = _run(_inputs(told), [])
    cells = {key: DECODER.decode(value) for key, value in state.items()}
    kept = [cell for cell in cells.values() if hasattr(cell, "scope")]
    for whole in [cell for cell in kept if cell.scope in ("namespace", "cluster")]:
        below = ("workload",) if whole.scope == "namespace" else ("namespace", "node", "gitops")
        members = [
            cell.status
            for cell in kept
            if cell.scope in below
            and cell.cluster == whole.cluster
            and (whole.scope == "cluster" or cell.namespace == whole.name)
        ]
        expected = tuple(members.count(status) for status in ("healthy", "degraded", "failing", "unknown"))
        assert whole.counted == whole.members == expected
    indexed = {key for name, cell in cells.items() if name.startswith("index/") for key in cell.keys}
    assert indexed == {key for key, cell in cells.items() if hasattr(cell, "scope")}
    warned = {key.removeprefix("warnings/") for key in cells if key.startswith("warnings/")}
    timed = {key for name, cell in cells.items() if name.startswith("timers/") for key in cell.due_ms}
    assert warned | timed <= indexed


def _seen(*inputs: Input) -> dict[str, Any]:
    return dict(HealthStep().process({}, Batch(0, 1, inputs)).cells)


def _input(offset: int, seconds: float, frame: frames.Frame | None = None) -> Input:
    return Input("t", 0, offset, T0 + int(seconds * 1_000), frame=frame)


def test_a_storm_of_words_judges_each_workload_once(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = [heartbeat("edge-1"), *(deployment("edge-1", f"w{n}", 2) for n in range(20))]
    cells = _seen(_input(0, 0, _objects_frame(listed)))
    judged: list[str] = []
    judge = resources.judge
    monkeypatch.setattr(resources, "judge", lambda work, key, *rest: judged.append(key) or judge(work, key, *rest))
    storm = [rate("edge-1", f"shop-w{n % 20}", f"w{n % 20}-a-{n % 60}") for n in range(10_000)]
    HealthStep().process(cells, Batch(0, 1, [_input(1, 1, _rates_frame(storm))]))
    assert sorted(judged) == sorted(f"workload/edge-1/apps/Deployment/shop-w{n}/w{n}" for n in range(20))


def test_what_an_earlier_epoch_spooled_neither_changes_nor_deletes_what_a_later_one_saw() -> None:
    key = "workload/edge-1/apps/Deployment/shop-a/a"
    cells = _seen(
        _input(0, 0, _objects_frame([heartbeat("edge-1"), deployment("edge-1", "a", 2)], epoch=2)),
        _input(1, 1, _objects_frame([deployment("edge-1", "a", 0), deployment("edge-1", "a", 0, "deleted")], epoch=1)),
    )
    assert cells[key].status == "healthy"


def test_objects_of_an_agent_that_never_said_it_lives_are_unknown() -> None:
    cells = _seen(_input(0, 0, _objects_frame([deployment("edge-1", "a", 2)])))
    assert cells["workload/edge-1/apps/Deployment/shop-a/a"].status == "unknown"
    assert cells["cluster/edge-1"].status == "unknown"


def test_warnings_are_named_once_after_silence() -> None:
    cells = _seen(
        _input(0, 0, _objects_frame([heartbeat("edge-1"), deployment("edge-1", "a", 1)])),
        _input(1, 1, _rates_frame([rate("edge-1", "shop-a", "a-1-2")])),
        _input(2, 30),
        _input(3, 31, _objects_frame([heartbeat("edge-1")])),
    )
    reasons = cells["workload/edge-1/apps/Deployment/shop-a/a"].reasons
    assert [reason.code for reason in reasons] == ["ReplicasMissing", "WarningEvents"]


@pytest.mark.parametrize(
    ("interval_ms", "silent_after_seconds"),
    [pytest.param(0, 3, id="none"), pytest.param(-5, 3, id="negative"), pytest.param(2**62, 10_800, id="for-ever")],
)
def test_no_promised_interval_hides_silence(interval_ms: int, silent_after_seconds: int) -> None:
    detail = HeartbeatDetail(cluster_uid="u", interval_ms=interval_ms, started_ms=T0)
    row = msgspec.structs.replace(heartbeat("edge-1"), detail=encode_detail(detail))
    cells = _seen(_input(0, 0, _objects_frame([row])), _input(1, silent_after_seconds))
    assert not cells["agent/edge-1"].silent
    cells = _seen(_input(0, 0, _objects_frame([row])), _input(1, silent_after_seconds + 1))
    assert cells["agent/edge-1"].silent


def test_more_lost_kinds_than_can_be_kept_are_refused() -> None:
    rows = [msgspec.structs.replace(kind_row("edge-1", "lost"), kind=f"K{n}") for n in range(201)]
    result = HealthStep().process({}, Batch(0, 1, [_input(0, 0, _objects_frame(rows))]))
    assert [one.cause.row for one in result.refused] == [200]
