"""The health step over time: what agents say in, health facts out."""

from typing import Any

import msgspec
import orjson
import pytest

from abdrift import frames
from abdrift.signals import objects, rates
from abdrift.signals.objects import CLUSTER as CLUSTER_KIND
from abdrift.signals.objects import HeartbeatDetail, InventoryDetail, LostDetail, ObjectRow, SyncDetail, encode_detail
from abdrift.signals.rates import RateRow
from streams.health import HealthStep
from streams.step import Batch, Input

T0 = 1_700_000_000_000
TOPIC = "abdrift.signals.objects.v1"


class Story:
    """A partition's records as they come, and the newest fact of each subject."""

    def __init__(self) -> None:
        self.cells: dict[str, Any] = {}
        self.latest: dict[str, dict | None] = {}
        self.ids: list[str] = []
        self.refused: list[Any] = []
        self.offset = 0

    def feed(self, at_seconds: float, *rows: ObjectRow, frame: frames.Frame | None = None, epoch: int = 1) -> "Story":
        if rows:
            part = ("kubernetes/edge-1", epoch, self.offset)
            encoded = frames.encode(objects.OBJECTS, objects.columns_of(rows), part)
            frame = frames.decode(encoded.value, encoded.headers)
        record = Input(TOPIC, 0, self.offset, T0 + int(at_seconds * 1000), frame=frame)
        self.offset += 1
        result = HealthStep().process(self.cells, Batch(0, 1, [record]))
        for key, cell in result.cells.items():
            if cell is None:
                self.cells.pop(key)
            else:
                self.cells[key] = cell
        for fact in result.facts:
            self.latest[fact.key] = fact.event.data if fact.event else None
            if fact.event:
                self.ids.append(fact.event.id)
        self.refused += result.refused
        return self

    def status(self, key: str) -> str | None:
        fact = self.latest.get(key)
        return fact["status"] if fact else None


def heartbeat() -> ObjectRow:
    detail = HeartbeatDetail(cluster_uid="u1", interval_ms=5_000, started_ms=T0, labels={"site": "ber"})
    return ObjectRow(cluster="edge-1", op="heartbeat", observed_ms=T0, detail=encode_detail(detail))


def deployment(available: int, replicas: int = 2, name: str = "web", op: str = "modified") -> ObjectRow:
    obj = {"spec": {"replicas": replicas}, "status": {"observedGeneration": 1, "availableReplicas": available}}
    return ObjectRow(
        cluster="edge-1",
        op=op,
        group="apps",
        version="v1",
        kind="Deployment",
        namespace="shop",
        name=name,
        uid="d1",
        observed_ms=T0,
        object=orjson.dumps(obj),
    )


def warnings(count: int, name: str = "web", kind: str = "Pod", unusual: bool = True, sequence: int = 0) -> frames.Frame:
    row = RateRow(
        cluster="edge-1",
        namespace="shop",
        kind=kind,
        name=name,
        unusual=unusual,
        warnings=count,
        usual_per_minute=0.0,
        reason="BackOff",
        last_ms=T0,
        judged_ms=T0,
    )
    encoded = frames.encode(rates.RATES, rates.columns_of([row]), ("rates/0", 1, sequence))
    return frames.decode(encoded.value, encoded.headers)


WEB = "workload/edge-1/apps/Deployment/shop/web"
SHOP = "namespace/edge-1/shop"
CLUSTER = "cluster/edge-1"


def test_all_well() -> None:
    story = Story().feed(0, heartbeat()).feed(1, deployment(2))
    assert [story.status(k) for k in (WEB, SHOP, CLUSTER)] == ["healthy"] * 3
    assert story.latest[CLUSTER]["score"] == 100
    assert story.latest[CLUSTER]["evidence"]["complete"]


def test_without_a_heartbeat_the_cluster_is_unknown() -> None:
    story = Story().feed(0, deployment(2))
    assert story.status(CLUSTER) == "unknown"


@pytest.mark.parametrize(
    ("sent_ms", "as_of"),
    [
        pytest.param(T0, "2023-11-14T22:13:20", id="an-hour-in-a-spool"),
        pytest.param(T0 + 7_200_000, "2023-11-14T23:13:20", id="a-clock-that-is-ahead"),
        pytest.param(-(2**62), "2023-11-14T23:13:20", id="no-time"),
    ],
)
def test_evidence_is_as_old_as_the_word_that_it_rests_on(sent_ms: int, as_of: str) -> None:
    late = msgspec.structs.replace(heartbeat(), observed_ms=sent_ms)
    story = Story().feed(3_600, late, deployment(2))
    assert story.latest[CLUSTER]["evidence"]["as_of"].startswith(as_of)


def test_degraded_waits_and_recovery_waits_longer() -> None:
    story = Story().feed(0, heartbeat(), deployment(2)).feed(1, deployment(1))
    assert story.status(WEB) == "healthy"
    story.feed(12, heartbeat())
    assert story.status(WEB) == "degraded"
    story.feed(13, deployment(2)).feed(20, heartbeat())
    assert story.status(WEB) == "degraded"
    story.feed(29, heartbeat())
    assert story.status(WEB) == "healthy"


def test_flapping_never_shows() -> None:
    story = Story().feed(0, heartbeat(), deployment(2))
    for second in range(1, 60, 2):
        story.feed(second, heartbeat(), deployment(1)).feed(second + 1, deployment(2))
    assert story.status(WEB) == "healthy"
    assert story.latest[WEB]["revision"] == 1


def test_failing_shows_at_once_and_reaches_the_top() -> None:
    story = Story().feed(0, heartbeat(), deployment(2)).feed(1, deployment(0))
    assert [story.status(k) for k in (WEB, SHOP, CLUSTER)] == ["failing"] * 3


def test_silence_is_unknown_with_last_seen_and_ends_with_the_next_word() -> None:
    story = Story().feed(0, heartbeat(), deployment(2)).feed(16, frame=None)
    assert [story.status(k) for k in (WEB, SHOP, CLUSTER)] == ["unknown"] * 3
    assert story.latest[CLUSTER]["last_seen"].startswith("2023-11-14T22:13:20")
    assert not story.latest[CLUSTER]["evidence"]["complete"]
    story.feed(17, heartbeat())
    assert [story.status(k) for k in (WEB, SHOP, CLUSTER)] == ["healthy"] * 3


@pytest.mark.parametrize(
    ("why", "status"),
    [pytest.param("forbidden", "unknown", id="forbidden"), pytest.param("not-found", "healthy", id="no-such-crd")],
)
def test_a_kind_that_cannot_be_seen(why: str, status: str) -> None:
    lost = ObjectRow(
        cluster="edge-1",
        op="lost",
        group="apps",
        kind="Deployment",
        observed_ms=T0,
        detail=encode_detail(LostDetail(reason=why, message="m", since_ms=T0)),
    )
    story = Story().feed(0, heartbeat(), deployment(2), lost)
    assert story.status(CLUSTER) == status
    synced = ObjectRow(
        cluster="edge-1",
        op="synced",
        group="apps",
        kind="Deployment",
        observed_ms=T0,
        detail=encode_detail(SyncDetail(began_ms=T0 - 1, objects=1)),
    )
    assert story.feed(1, synced).status(CLUSTER) == "healthy"


def test_deleted_and_unlisted_workloads_are_forgotten() -> None:
    story = Story().feed(0, heartbeat(), deployment(2), deployment(2, name="api"))
    story.feed(1, deployment(2, op="deleted"))
    assert story.latest[WEB] is None
    synced = ObjectRow(
        cluster="edge-1",
        op="synced",
        group="apps",
        kind="Deployment",
        observed_ms=T0,
        detail=encode_detail(SyncDetail(began_ms=T0 + 1, objects=0)),
    )
    story.feed(2, synced)
    assert story.status(WEB.replace("web", "api")) == "healthy", "within an epoch, deletions are told one by one"
    story.feed(3, synced, epoch=2)
    assert story.latest[WEB.replace("web", "api")] is None
    assert story.latest[SHOP] is None
    assert {key.partition("/")[0] for key in story.cells} == {"agent", "clusters", "cluster", "index"}


@pytest.mark.parametrize(
    ("name", "kind"),
    [("web", "Pod"), ("web-7d4b9c6f5-abcde", "Pod"), ("web-7d4b9c6f5", "ReplicaSet"), ("web", "Deployment")],
)
def test_unusual_warnings_degrade_and_pass(name: str, kind: str) -> None:
    story = Story().feed(0, heartbeat(), deployment(2)).feed(1, frame=warnings(6, name, kind))
    for second in range(2, 14):
        story.feed(second, heartbeat())
    assert story.status(WEB) == "degraded"
    assert "6 Warning events" in story.latest[WEB]["reasons"][0]["message"]
    assert "BackOff" in story.latest[WEB]["reasons"][0]["message"]
    story.feed(15, frame=warnings(0, name, kind, unusual=False, sequence=1))
    story.feed(16, frame=warnings(6, name, kind))
    for second in range(17, 60, 5):
        story.feed(second, heartbeat())
    assert story.status(WEB) == "healthy", "a frame that comes again, late, says nothing"
    assert not [key for key in story.cells if key.startswith("warnings/")]


def test_warnings_about_nothing_known_wait_for_it_and_are_few() -> None:
    story = Story().feed(0, heartbeat())
    for number in range(150):
        story.feed(1, frame=warnings(9, f"stray-{number}", sequence=number))
    assert len(story.cells["unplaced/edge-1/shop"].words) == 100
    story.feed(2, frame=warnings(7, "web-2", sequence=150))
    story.feed(3, deployment(2))
    for second in range(4, 16):
        story.feed(second, heartbeat())
    assert story.status(WEB) == "degraded"
    assert len(story.cells["unplaced/edge-1/shop"].words) == 99
    for number in range(150):
        story.feed(17, frame=warnings(0, f"stray-{number}", unusual=False, sequence=200 + number))
    assert "unplaced/edge-1/shop" not in story.cells


def test_a_broken_row_is_refused_and_its_neighbours_are_judged() -> None:
    broken = deployment(2, name="broken")
    rows = (
        heartbeat(),
        ObjectRow(**{f: getattr(broken, f) for f in broken.__struct_fields__} | {"object": b"[1]"}),
        deployment(2),
    )
    story = Story().feed(0, *rows)
    assert [r.reason for r in story.refused] == ["bad-row"]
    assert story.refused[0].cause.row == 1
    assert story.status(WEB) == "healthy"


def test_ids_are_unique_and_the_cluster_is_said_again() -> None:
    story = Story().feed(0, heartbeat(), deployment(2))
    first = story.latest[CLUSTER]["revision"]
    for second in range(5, 70, 5):
        story.feed(second, heartbeat())
    assert story.latest[CLUSTER]["revision"] > first
    assert len(set(story.ids)) == len(story.ids)


def inventory(*, withdrawn: bool = False) -> ObjectRow:
    detail = InventoryDetail(labels={"site": "ber"}, withdrawn=withdrawn)
    return ObjectRow(cluster="edge-1", op="inventory", observed_ms=T0, detail=encode_detail(detail))


def test_a_declared_cluster_that_nobody_sees_is_unknown_and_never_absent() -> None:
    story = Story().feed(0, inventory())
    assert (story.status(CLUSTER), story.latest[CLUSTER].get("last_seen")) == ("unknown", None)
    assert story.feed(1, heartbeat(), deployment(2)).status(CLUSTER) == "healthy"
    assert story.feed(2, inventory(withdrawn=True)).status(CLUSTER) == "healthy"


def test_a_declaration_withdrawn_before_anybody_saw_the_cluster_leaves_nothing() -> None:
    story = Story().feed(0, inventory()).feed(1, inventory(withdrawn=True))
    assert story.latest[CLUSTER] is None


def test_a_cluster_out_of_reach_is_unknown_until_the_next_heartbeat() -> None:
    detail = LostDetail(reason="unauthorized", message="401", since_ms=T0)
    out_of_reach = ObjectRow(
        cluster="edge-1",
        op="lost",
        group=CLUSTER_KIND[0],
        kind=CLUSTER_KIND[1],
        observed_ms=T0,
        detail=encode_detail(detail),
    )
    story = Story().feed(0, out_of_reach)
    assert story.status(CLUSTER) == "unknown"
    assert {r["message"] for r in story.latest[CLUSTER]["reasons"]} >= {"abdrift.dev/Cluster: unauthorized"}
    assert story.feed(1, heartbeat(), deployment(2)).status(CLUSTER) == "healthy"
