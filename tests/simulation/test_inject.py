import asyncio
from collections.abc import Callable

import pytest

from abdrift.simulation import FaultInjector, FaultKind, FleetSpec, SimCluster, SimulatedFleet, plan
from abdrift.simulation.apiserver import MERGE, Options, Target
from abdrift.simulation.inject import git_state
from abdrift.simulation.objects import Object
from abdrift.simulation.plan import EDITS
from abdrift.simulation.runtime import REQUESTED_AT

FLUX = "flux-system"
SPEC = FleetSpec(clusters=1, workloads=3, rollout_seconds=0.05)


def ask(fleet: SimulatedFleet) -> None:
    for cluster in fleet.clusters:
        for kind, name in (("GitRepository", "site"), ("Kustomization", "apps")):
            body = {"metadata": {"annotations": {REQUESTED_AT: "now"}}}
            cluster.api.patch(Target(cluster.kind(kind), FLUX, name), MERGE, body, Options("flux"))


async def until(done: Callable[[], object], limit_seconds: float = 20) -> None:
    async with asyncio.timeout(limit_seconds):
        while not done():  # noqa: ASYNC110  the simulator has no event for "what a test waits for"
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("kind", [*EDITS, FaultKind.GIT_AHEAD])
async def test_a_fault_changes_and_a_reconcile_restores(kind: FaultKind) -> None:
    async with SimulatedFleet(SPEC) as fleet:
        (fault, *_) = plan(1, SPEC, 0.01, kinds=[kind])
        injector = FaultInjector(fleet)
        cluster = fleet.clusters[0]
        before = cluster.api.get(cluster.kind(fault.object.kind), fault.object.namespace, fault.object.name)
        ledger = await injector.run([fault])
        entry = ledger.entries[fault.id]
        assert not entry.error
        assert entry.restored_at_ns is None
        after = cluster.api.find(cluster.kind(fault.object.kind), fault.object.namespace, fault.object.name)
        assert kind is FaultKind.GIT_AHEAD or after is None or git_state(after) != git_state(before)
        ask(fleet)
        await until(lambda: ledger.entries[fault.id].restored_at_ns)


QUIET = {
    FaultKind.SUSPENDED: lambda obj: obj["spec"]["suspend"] is True,
    FaultKind.RECONCILE_DISABLED: lambda obj: "disabled" in obj["metadata"]["annotations"].values(),
    FaultKind.RESPELLED: lambda obj: obj["metadata"]["generation"] == 1,
    FaultKind.STATUS_WRITTEN: lambda obj: obj["metadata"]["generation"] == 1,
    FaultKind.AUTOSCALED: lambda obj: obj["status"]["desiredReplicas"] > 2,
}


@pytest.mark.parametrize(("kind", "holds"), QUIET.items(), ids=list(QUIET))
async def test_other_faults_do_what_they_say(kind: FaultKind, holds: Callable[[Object], bool]) -> None:
    async with SimulatedFleet(SPEC) as fleet:
        (fault, *_) = plan(1, SPEC, 0.01, kinds=[kind])
        ledger = await FaultInjector(fleet).run([fault])
        assert not ledger.entries[fault.id].error
        cluster = fleet.clusters[0]
        obj = cluster.api.get(cluster.kind(fault.object.kind), fault.object.namespace, fault.object.name)
        assert holds(obj)


async def test_a_bad_commit_fails_its_kustomization() -> None:
    async with SimulatedFleet(SPEC) as fleet:
        (fault, *_) = plan(1, SPEC, 0.01, kinds=[FaultKind.BAD_COMMIT])
        await FaultInjector(fleet).run([fault])
        cluster = fleet.clusters[0]
        kind = cluster.kind("Kustomization")
        await until(lambda: "ReconciliationFailed" in str(cluster.api.get(kind, FLUX, "apps")["status"]))


async def test_a_bad_revision_fails_in_the_early_clusters_alone_until_it_is_reverted() -> None:
    spec = FleetSpec(clusters=3, workloads=3, early=2)
    bad, reverted = (plan(1, spec, 0.01, kinds=[kind]) for kind in (FaultKind.BAD_REVISION, FaultKind.REVERTED))
    async with SimulatedFleet(spec) as fleet:
        injector = FaultInjector(fleet)

        applied = [_infra(each)["lastAppliedRevision"].partition("@")[0] for each in fleet.clusters]
        assert applied == ["early", "early", "main"]
        ledger = await injector.run(bad)
        (sha,) = set(ledger.commits.values())
        head = fleet.git.repositories[fleet.fleet_repository].find(sha)
        assert (head.author, head.message.partition("\n")[0]) == ("mallory <mallory@lab>", "Run more proxies")
        await until(lambda: _failing(fleet) == 2)
        await injector.run(reverted)
        await until(lambda: _failing(fleet) == 0)
        assert [entry.error for entry in ledger.entries.values()] == [""] * 4


async def test_a_bad_image_is_applied_and_never_comes_up_until_it_is_reverted() -> None:
    spec = FleetSpec(clusters=3, workloads=3, early=2)
    bad, reverted = (plan(1, spec, 0.01, kinds=[kind]) for kind in (FaultKind.BAD_IMAGE, FaultKind.REVERTED))
    async with SimulatedFleet(spec) as fleet:
        injector = FaultInjector(fleet)
        ledger = await injector.run(bad)
        await until(lambda: len(_given_up(fleet)) == 2)
        assert _failing(fleet) == 0, "the Kustomizations do not wait for health"
        (sha,) = set(ledger.commits.values())
        assert all(_infra(each)["lastAppliedRevision"].endswith(sha) for each in fleet.clusters[:2])
        await injector.run(reverted)
        await until(lambda: not _given_up(fleet))


def _given_up(fleet: SimulatedFleet) -> list[Object]:
    """Return the proxies whose rollouts made no progress until their deadline."""
    found = (each.api.find(each.kind("Deployment"), SPEC.namespaces[0], "proxy") for each in fleet.clusters)
    return [proxy for proxy in found if proxy and "ProgressDeadlineExceeded" in str(proxy.get("status"))]


def _failing(fleet: SimulatedFleet) -> int:
    return sum(
        condition["type"] == "Ready" and condition["status"] == "False"
        for each in fleet.clusters
        for condition in _infra(each)["conditions"]
    )


def _infra(cluster: SimCluster) -> Object:
    status: Object = cluster.api.get(cluster.kind("Kustomization"), FLUX, "infra")["status"]
    return status
