"""The agent against the simulated API, where connections can be made to fail at will."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from abdrift.clock import wall_clock_ms
from abdrift.masking import Masker
from abdrift.signals.objects import LostDetail, SyncDetail, decode_detail
from abdrift.simulation import FleetSpec, SimulatedFleet
from abdrift.simulation.apiserver import MERGE, Options, Target
from collectors.kubernetes import Agent, KubernetesConfig
from collectors.kubernetes.config import KUSTOMIZE_LABEL
from tests.collectors.recording import Recording
from tests.parts.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from abdrift.signals.objects import ObjectRow
    from abdrift.simulation import SimCluster

QUICK = {
    "heartbeat_seconds": 0.1,
    "recheck_seconds": 0.3,
    "refused_retry_seconds": 0.3,
    "retry_initial_seconds": 0.02,
    "retry_max_seconds": 0.1,
}
BY_HAND = Options("kubectl-edit")


@pytest.fixture
async def simulated() -> AsyncIterator[SimCluster]:
    spec = FleetSpec(clusters=1, workloads=3, extras=2, bookmark_seconds=0.05, source_interval="1h", interval="1h")
    async with SimulatedFleet(spec) as fleet:
        yield fleet.clusters[0]


@pytest.fixture
def watching(simulated: SimCluster, tmp_path: Path) -> Any:
    """`async with watching(**config) as (agent, seen)`: an agent that has synced what the inventories name."""

    @asynccontextmanager
    async def started(user: str = "admin", **settings: Any) -> AsyncIterator[tuple[Agent, Recording]]:
        kubeconfig = simulated.write_kubeconfig(tmp_path / "kubeconfig", user)
        config = KubernetesConfig(cluster=simulated.name, kubeconfig=kubeconfig, **{**QUICK, **settings})
        seen = Recording()
        agent = Agent(config, seen, masker=Masker(b"k" * 32), clock=wall_clock_ms, rng=random.Random(1))
        agent.start()
        try:
            await seen.until(lambda row: (row.op, row.kind) == ("synced", "ConfigMap"), "ConfigMaps synced")
            yield agent, seen
        finally:
            await agent.stop()

    return started


def config_maps(cluster: SimCluster) -> list[tuple[str, str]]:
    """Namespace and name of ConfigMaps that Flux's Kustomizations applied."""
    found = cluster.api.list(cluster.kind("ConfigMap"))
    label = "kustomize.toolkit.fluxcd.io/name"
    return sorted((m["namespace"], m["name"]) for obj in found if label in (m := obj["metadata"]).get("labels", {}))


def recolour(cluster: SimCluster, key: tuple[str, str], color: str) -> str:
    """Edit a ConfigMap by hand and return its new resourceVersion."""
    target = Target(cluster.kind("ConfigMap"), *key)
    edited = cluster.api.patch(target, MERGE, {"data": {"color": color}}, BY_HAND)
    return str(edited["metadata"]["resourceVersion"])


def delete(cluster: SimCluster, key: tuple[str, str]) -> None:
    cluster.api.delete(Target(cluster.kind("ConfigMap"), *key), BY_HAND)


def told(seen: Recording, op: str, kind: str = "ConfigMap") -> list[tuple[str, str]]:
    return sorted((row.namespace, row.name) for row in seen.objects if (row.op, row.kind) == (op, kind))


def is_gapped(row: ObjectRow, kind: str = "ConfigMap") -> bool:
    return (row.op, row.kind) == ("synced", kind) and decode_detail(row, SyncDetail).gap_since_ms is not None


@pytest.mark.parametrize("as_status", [False, True], ids=["error-event", "http-410"])
async def test_an_expired_watch_tells_only_what_was_missed_and_marks_the_gap(
    simulated: SimCluster, watching: Any, as_status: bool
) -> None:
    simulated.switches.gone_as_status = as_status
    gone, edited, *untouched = config_maps(simulated)
    async with watching() as (_, seen):
        listed = {row.name: row.uid for row in seen.objects if row.op == "listed" and row.kind == "ConfigMap"}
        seen.clear()
        before_ms = wall_clock_ms()
        simulated.switches.drop_watches()
        delete(simulated, gone)
        recolour(simulated, edited, "red")
        simulated.api.store.compact()
        await seen.until(lambda row: (row.op, row.name) == ("deleted", gone[1]), "the deletion")
        synced = await seen.until(is_gapped, "ConfigMaps synced with a gap")
        detail = decode_detail(synced, SyncDetail)
        assert detail.gap_reason == "watch-expired"
        assert detail.gap_since_ms is not None
        assert detail.gap_since_ms <= before_ms + 1
        assert told(seen, "deleted") == [gone]
        assert next(row.uid for row in seen.objects if row.op == "deleted") == listed[gone[1]]
        assert told(seen, "modified") == [edited]
        assert not {*told(seen, "added"), *told(seen, "listed")} & {*untouched}


async def test_a_cut_watch_goes_on_where_it_was_without_a_gap(simulated: SimCluster, watching: Any) -> None:
    gone, edited, *_ = config_maps(simulated)
    async with watching() as (_, seen):
        seen.clear()
        simulated.switches.drop_watches()
        delete(simulated, gone)
        version = recolour(simulated, edited, "red")
        await seen.until(lambda row: row.resource_version == version, "the edit")
        await seen.until(lambda row: row.op == "deleted" and row.name == gone[1], "the deletion")
        assert not told(seen, "synced")
        assert not told(seen, "listed")


async def test_an_outage_is_said_lost_and_then_synced_with_a_gap(simulated: SimCluster, watching: Any) -> None:
    gone, *_ = config_maps(simulated)
    async with watching(lost_after_seconds=0.2) as (_, seen):
        simulated.switches.refuse(503)
        simulated.switches.drop_watches()
        seen.clear()
        lost = await seen.until(lambda row: (row.op, row.kind) == ("lost", "ConfigMap"), "ConfigMaps lost")
        assert decode_detail(lost, LostDetail).reason == "unreachable"
        assert await _stays_quiet(seen)
        delete(simulated, gone)
        simulated.switches.refuse(0)
        synced = await seen.until(is_gapped, "ConfigMaps synced with a gap")
        assert decode_detail(synced, SyncDetail).gap_reason == "api-unreachable"
        await seen.until(lambda row: (row.op, row.name) == ("deleted", gone[1]), "the deletion")
        assert told(seen, "deleted") == [gone]
        await seen.until(lambda row: row.op == "heartbeat", "heartbeats again")


async def test_silence_stops_the_heartbeats(simulated: SimCluster, watching: Any) -> None:
    async with watching(request_timeout_seconds=0.2) as (_, seen):
        await seen.until(lambda row: row.op == "heartbeat", "a heartbeat")
        simulated.switches.silent = True
        await until(lambda: _stays_quiet(seen), "no heartbeat in half a second")
        simulated.switches.speak()
        seen.clear()
        await seen.until(lambda row: row.op == "heartbeat", "heartbeats again")


async def _stays_quiet(seen: Recording) -> bool:
    seen.clear()
    await asyncio.sleep(0.5)
    return not [row for row in seen.objects if row.op == "heartbeat"]


@pytest.mark.parametrize(
    ("code", "retry_after_seconds"), [(429, 1), (500, 0), (503, 0)], ids=["too-many", "error", "unavailable"]
)
async def test_refused_requests_are_tried_again(
    simulated: SimCluster, watching: Any, code: int, retry_after_seconds: int
) -> None:
    simulated.switches.refuse(code, count=5, retry_after_seconds=retry_after_seconds)
    async with watching() as (agent, _):
        assert agent.known_objects > 0


async def test_a_renewed_token_is_read_after_a_refusal(simulated: SimCluster, watching: Any, tmp_path: Path) -> None:
    _, edited, *_ = config_maps(simulated)
    async with watching("observer") as (_, seen):
        simulated.switches.expired_users.add("observer")
        simulated.switches.drop_watches()
        simulated.write_kubeconfig(tmp_path / "kubeconfig", "alice")
        version = recolour(simulated, edited, "red")
        await seen.until(lambda row: row.resource_version == version, "the edit")


async def test_what_selectors_do_not_show_is_fetched_once_inventoried(simulated: SimCluster, watching: Any) -> None:
    stripped, deleted, *_ = config_maps(simulated)
    target = Target(simulated.kind("ConfigMap"), *stripped)
    labels = simulated.api.get(target.kind, *stripped)["metadata"]["labels"]
    simulated.api.patch(target, MERGE, {"metadata": {"labels": dict.fromkeys(labels)}}, BY_HAND)
    delete(simulated, deleted)
    async with watching() as (_, seen):
        row = await seen.until(lambda row: row.name == stripped[1] and row.kind == "ConfigMap", "the stripped one")
        assert row.op == "added"
        await seen.until(
            lambda row: (row.op, row.kind, row.name) == ("deleted", "ConfigMap", deleted[1]), "what is not there"
        )


async def test_a_status_write_alone_is_not_told(simulated: SimCluster, watching: Any) -> None:
    key = config_maps(simulated)[0]
    async with watching() as (_, seen):
        seen.clear()
        nothing = Target(simulated.kind("Service"), *next(iter(services(simulated))), "status")
        simulated.api.patch(nothing, MERGE, {"status": {"loadBalancer": {"ingress": [{"ip": "10.1.2.3"}]}}}, BY_HAND)
        version = recolour(simulated, key, "red")
        await seen.until(lambda row: row.resource_version == version, "a later edit")
        assert not told(seen, "modified", "Service")


def services(cluster: SimCluster) -> list[tuple[str, str]]:
    return [
        (obj["metadata"]["namespace"], obj["metadata"]["name"]) for obj in cluster.api.list(cluster.kind("Service"))
    ]


async def test_a_bound_on_objects_is_said_and_never_exceeded(simulated: SimCluster, tmp_path: Path) -> None:
    kubeconfig = simulated.write_kubeconfig(tmp_path / "kubeconfig")
    config = KubernetesConfig(cluster=simulated.name, kubeconfig=kubeconfig, max_objects=5, **QUICK)
    seen = Recording()
    agent = Agent(config, seen, masker=Masker(b"k" * 32))
    agent.start()
    try:
        await seen.until(lambda row: row.op == "lost" and b'"too-many"' in row.detail, "the bound")
        assert agent.known_objects <= 5
    finally:
        await agent.stop()


async def test_what_carries_fluxs_labels_in_no_inventory_is_told(simulated: SimCluster, watching: Any) -> None:
    namespace, _ = config_maps(simulated)[0]
    orphan = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "orphan", "namespace": namespace, "labels": {KUSTOMIZE_LABEL: "apps"}},
    }
    async with watching() as (_, seen):
        simulated.api.create(simulated.kind("ConfigMap"), namespace, orphan, BY_HAND)
        await seen.until(lambda row: (row.op, row.name) == ("added", "orphan"), "the orphan")


async def test_a_watch_without_a_word_is_opened_anew_and_has_no_gap(simulated: SimCluster, watching: Any) -> None:
    key = config_maps(simulated)[0]
    async with watching(idle_seconds=0.3, request_timeout_seconds=0.3, lost_after_seconds=30) as (agent, seen):
        simulated.switches.silent = True

        async def noticed() -> bool:
            return all(state == "broken" for states in agent.watches.values() for state in states)

        await until(noticed, "every watch noticed the silence")
        seen.clear()
        simulated.switches.speak()
        version = recolour(simulated, key, "red")
        await seen.until(lambda row: row.resource_version == version, "the edit")
        assert not told(seen, "synced")


async def test_no_secret_is_asked_for_unless_opted_in(simulated: SimCluster, watching: Any) -> None:
    async with watching(helm_storage=False) as (_, seen):
        row = await seen.until(lambda row: row.kind == "HelmManifest", "the pseudo object")
        assert "switched off" in row.parsed()["error"]
        assert not told(seen, "listed", "Secret")
