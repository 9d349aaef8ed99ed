"""Sites, regions and the fleet, counted up from clusters."""

from __future__ import annotations

from typing import Any

import pytest

from abdrift.clock import to_datetime
from abdrift.cloudevents import CloudEvent
from abdrift.facts.base import ClusterRef, Evidence
from abdrift.facts.health import Health, HealthScope, HealthStatus
from abdrift.facts.inventory import ClusterInventory
from abdrift.topics import HEALTH, INVENTORY, VERDICT, FactType
from streams.rollup import RollupStep
from streams.step import Batch, Input

T0 = 1_700_000_000_000
BLIND = Evidence(complete=False)


class Fleet:
    """The fleet's records as they come, and the newest fact of each group."""

    def __init__(self) -> None:
        self.cells: dict[str, Any] = {}
        self.latest: dict[str, dict[str, Any] | None] = {}
        self.published: list[str] = []
        self.refused: list[str] = []
        self.offset = 0

    def feed(self, **input_fields: Any) -> Fleet:
        record = Input("abdrift.internal.fleet.v1", 0, self.offset, T0 + self.offset * 1_000, **input_fields)
        self.offset += 1
        result = RollupStep().process(self.cells, Batch(0, 1, [record]))
        for key, cell in result.cells.items():
            if cell is None:
                del self.cells[key]
            else:
                self.cells[key] = cell
        for fact in result.facts:
            self.latest[fact.key] = fact.event.data if fact.event else None
            self.published.append(fact.key)
        self.refused += [one.reason for one in result.refused]
        return self

    def is_at(self, cluster: str, **labels: str) -> Fleet:
        at = to_datetime(T0)
        data = ClusterInventory(
            cluster=ClusterRef(name=cluster), labels=labels, first_seen=at, last_seen=at, evidence=BLIND
        )
        return self.feed(event=_event(INVENTORY, cluster, data))

    def is_so(self, cluster: str, status: str, revision: int = 1, scope: str = "cluster") -> Fleet:
        data = Health(
            resource_id=f"{scope}/{cluster}",
            revision=revision,
            scope=HealthScope(scope),
            name=cluster,
            status=HealthStatus(status),
            score=0,
            since=to_datetime(T0),
            evidence=BLIND,
        )
        return self.feed(event=_event(HEALTH, cluster, data))

    def members(self, key: str) -> list[int]:
        fact = self.latest[key]
        assert fact is not None
        return list(fact["members"].values())


def _event(fact: FactType, cluster: str | None, data: Any) -> CloudEvent:
    given = data if isinstance(data, dict) else data.model_dump(mode="json", exclude_none=True)
    return CloudEvent(id="i", source="s", type=fact.name, subject="x", time="t", cluster=cluster, data=given)


def test_a_cluster_counts_in_its_site_its_region_and_the_fleet() -> None:
    fleet = Fleet().is_at("a", site="ber", region="eu").is_at("b", site="muc", region="eu")
    fleet.is_so("a", "healthy").is_so("b", "failing")
    assert {key: fleet.members(key) for key in fleet.latest} == {
        "site/ber": [1, 0, 0, 0],
        "site/muc": [0, 0, 1, 0],
        "region/eu": [1, 0, 1, 0],
        "fleet/all": [1, 0, 1, 0],
    }
    assert [fleet.latest[k]["status"] for k in ("site/ber", "region/eu")] == ["healthy", "failing"]
    assert fleet.latest["region/eu"]["score"] == 50


SHARES = [
    pytest.param(["healthy"] * 5, "healthy", id="all-well"),
    pytest.param(["healthy"] * 9 + ["failing"], "degraded", id="one-of-ten-fails"),
    pytest.param(["healthy"] * 4 + ["failing"], "failing", id="a-fifth-fails"),
    pytest.param(["healthy"] * 9 + ["degraded"], "degraded", id="one-degraded"),
    pytest.param(["healthy"] * 9 + ["unknown"], "degraded", id="one-unknown"),
    pytest.param(["unknown"] * 3, "unknown", id="nothing-known"),
    pytest.param(["healthy"] * 4 + ["unknown"], "unknown", id="a-fifth-unknown"),
]


@pytest.mark.parametrize(("members", "status"), SHARES)
def test_what_members_say_of_the_whole(members: list[str], status: str) -> None:
    fleet = Fleet()
    for number, member in enumerate(members):
        fleet.is_so(f"c{number}", member)
    assert fleet.latest["fleet/all"]["status"] == status
    assert fleet.latest["fleet/all"]["evidence"]["complete"] == ("unknown" not in members)


def test_since_tells_when_the_status_began() -> None:
    fleet = Fleet().is_so("a", "healthy").is_so("b", "healthy")
    began = fleet.latest["fleet/all"]["since"]
    assert began == "2023-11-14T22:13:20.000Z"
    fleet.is_so("a", "failing", 2)
    assert fleet.latest["fleet/all"]["since"] == "2023-11-14T22:13:22.000Z"
    assert fleet.latest["fleet/all"]["revision"] == 3


def test_a_cluster_that_moves_leaves_its_old_site() -> None:
    fleet = Fleet().is_at("a", site="ber").is_so("a", "healthy").is_at("a", site="muc")
    assert fleet.latest["site/ber"] is None
    assert fleet.members("site/muc") == [1, 0, 0, 0]
    assert "site/ber" not in fleet.cells
    assert fleet.members("fleet/all") == [1, 0, 0, 0]


FORGOTTEN = [
    pytest.param(["cluster/a", "a"], [[1, 0, 0, 0], [1, 0, 0, 0]], id="health-first"),
    pytest.param(["a", "cluster/a"], [[1, 0, 1, 0], [1, 0, 0, 0]], id="inventory-first"),
]


@pytest.mark.parametrize(("keys", "counts"), FORGOTTEN)
def test_a_cluster_that_is_forgotten_leaves_its_site_and_with_its_health_the_fleet(
    keys: list[str], counts: list[list[int]]
) -> None:
    fleet = Fleet().is_at("a", site="ber").is_so("a", "failing").is_so("b", "healthy")
    for key, expected in zip(keys, counts, strict=True):
        fleet.feed(key=key, tombstone=True)
        assert fleet.latest["site/ber"] is None
        assert fleet.members("fleet/all") == expected
    assert set(fleet.cells) == {"member/b", "fleet/all"}


def test_a_fact_between_the_two_does_not_bring_a_cluster_back() -> None:
    fleet = Fleet().is_at("a", site="ber").is_so("a", "unknown", 5)
    fleet.feed(key="a", tombstone=True).is_so("a", "unknown", 6).feed(key="cluster/a", tombstone=True)
    assert set(fleet.cells) == {"fleet/all"}
    assert fleet.members("fleet/all") == [0, 0, 0, 0]


def test_where_a_cluster_is_that_has_no_health_yet_is_let_go_too() -> None:
    fleet = Fleet().is_at("a", site="ber").feed(key="a", tombstone=True)
    assert not fleet.cells


def test_the_last_cluster_leaves_an_unknown_fleet() -> None:
    fleet = Fleet().is_so("a", "healthy").feed(key="cluster/a", tombstone=True)
    assert fleet.latest["fleet/all"]["status"] == "unknown"


QUIET = [
    pytest.param({}, id="tick"),
    pytest.param({"key": "cluster/z", "tombstone": True}, id="tombstone-of-nobody-known"),
    pytest.param({"event": _event(HEALTH, None, {})}, id="no-cluster"),
    pytest.param({"event": _event(VERDICT, "a", {})}, id="another-fact"),
]


@pytest.mark.parametrize("fields", QUIET)
def test_what_changes_nothing_says_nothing(fields: dict[str, Any]) -> None:
    fleet = Fleet().is_so("a", "healthy")
    before = (dict(fleet.cells), list(fleet.published))
    fleet.feed(**fields)
    assert (fleet.cells, fleet.published) == before


def test_stale_revisions_and_other_scopes_say_nothing() -> None:
    fleet = Fleet().is_so("a", "failing", 5)
    published = len(fleet.published)
    fleet.is_so("a", "healthy", 5).is_so("a", "healthy", 4).is_so("a", "healthy", 6, scope="namespace")
    assert len(fleet.published) == published


def test_the_same_status_again_is_remembered_and_not_said() -> None:
    fleet = Fleet().is_so("a", "healthy").is_so("a", "healthy", 2)
    assert len(fleet.published) == 1
    assert fleet.cells["member/a"].revision == 2


@pytest.mark.parametrize("fact", [HEALTH, INVENTORY], ids=["health", "inventory"])
def test_a_fact_of_another_shape_is_refused(fact: FactType) -> None:
    fleet = Fleet().feed(event=_event(fact, "a", {"scope": 1}))
    assert fleet.refused == ["bad-fact"]
    assert not fleet.cells
