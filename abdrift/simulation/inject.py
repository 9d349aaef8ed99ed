"""Carries out a plan of faults against a simulated fleet, over HTTP as the user alice, and keeps the ledger."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterable

import aiohttp
import orjson

from abdrift.simulation import edits
from abdrift.simulation.cluster import SimCluster
from abdrift.simulation.edits import Request
from abdrift.simulation.fleet import SimulatedFleet
from abdrift.simulation.git import Commit
from abdrift.simulation.kinds import Kind
from abdrift.simulation.ledger import Ledger
from abdrift.simulation.objects import Object, clone
from abdrift.simulation.plan import ROLLED_OUT, Fault, FaultKind
from abdrift.simulation.runtime import REQUESTED_AT
from abdrift.simulation.spec import APPS, EARLY, FLEET_REPOSITORY, FLUX, SITE_REPOSITORY, deployment
from abdrift.simulation.storage import Change
from abdrift.simulation.workloads import NEVER_PULLED

_STORM_BATCH = 50
_IDLE_SECONDS = 20.0
_IDLE_LOOK_SECONDS = 0.25
_TIMEOUT = aiohttp.ClientTimeout(total=30)
_PROXY = "infra/proxy.yaml"
_DEADLINE_SECONDS = 2
"""Instead of ten minutes, for which nobody would watch a demonstration."""
_VOLATILE = ("deployment.kubernetes.io/revision",)


class InjectionError(Exception):
    """The API refused an edit of the plan."""


def git_state(obj: Object) -> Object:
    """Pick what an edit changes and a reconcile restores: content, labels and annotations, no status, no versions."""
    metadata = obj["metadata"]
    notes = {key: value for key, value in metadata.get("annotations", {}).items() if key not in _VOLATILE}
    content = {key: value for key, value in obj.items() if key not in ("metadata", "status")}
    return {**content, "labels": metadata.get("labels", {}), "annotations": notes}


class FaultInjector:
    """Runs a plan; `ledger` fills as it goes."""

    def __init__(self, fleet: SimulatedFleet, clock: Callable[[], int] = time.time_ns) -> None:
        """`clock` gives the wall clock in nanoseconds, for the ledger."""
        self.fleet = fleet
        self.ledger = Ledger()
        self._clock = clock
        self._commits: dict[FaultKind, Commit] = {}
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._watched: dict[tuple[str, Kind, tuple[str, str]], list[tuple[str, Callable[[Object], bool]]]] = {}
        for cluster in fleet.clusters:
            cluster.api.store.listen(self._listener(cluster.name))

    async def run(self, plan: Iterable[Fault]) -> Ledger:
        """Carry out every fault at its time, counted from now; the ledger once all are done."""
        async with (
            aiohttp.ClientSession(timeout=_TIMEOUT, headers={"User-Agent": "kubectl/v1.34.4 (simulated)"}) as session,
            asyncio.TaskGroup() as group,
        ):
            for fault in plan:
                group.create_task(self._at_its_time(session, fault))
        return self.ledger

    async def _at_its_time(self, session: aiohttp.ClientSession, fault: Fault) -> None:
        await asyncio.sleep(fault.at_seconds)
        if fault.kind in ROLLED_OUT:  # which nobody can put off in one of the clusters
            await self.inject(session, fault)
            return
        async with self._turns[fault.cluster]:
            await self._until_idle(fault)
            await self.inject(session, fault)

    async def _until_idle(self, fault: Fault) -> None:
        """Wait while an earlier fault of the cluster is being corrected, for a while at most.

        A reconcile on its way would undo this one before anybody could see it, and nothing would be there to find.
        """
        for _ in range(round(_IDLE_SECONDS / _IDLE_LOOK_SECONDS)):
            if not self.ledger.being_corrected(fault.cluster) and not self._reconciling(fault.cluster):
                return
            await asyncio.sleep(_IDLE_LOOK_SECONDS)

    def _reconciling(self, cluster: str) -> bool:
        simulated = self.fleet.cluster(cluster)
        conditions = (
            each
            for owner in simulated.api.list(simulated.kind("Kustomization"))
            for each in owner.get("status", {}).get("conditions", [])
        )
        return any(
            each["type"] == "Reconciling" and each["status"] == "True" and each["reason"] != "ProgressingWithRetry"
            for each in conditions
        )

    async def inject(self, session: aiohttp.ClientSession, fault: Fault) -> None:
        """Carry out one fault now; a refusal goes into the ledger."""
        self.ledger.open(fault)
        cluster = self.fleet.cluster(fault.cluster)
        try:
            await self._carry_out(session, cluster, fault)
        except (InjectionError, aiohttp.ClientError, TimeoutError) as error:
            self.ledger.failed(fault.id, str(error))

    async def _carry_out(self, session: aiohttp.ClientSession, cluster: SimCluster, fault: Fault) -> None:
        match fault.kind:
            case FaultKind.SILENCE:
                cluster.switches.silent = True
                self.ledger.done(fault.id, self._clock())
                await asyncio.sleep(float(fault.detail["lasts_seconds"]))
                cluster.switches.speak()
                self.ledger.restored(fault.id, self._clock())
            case FaultKind.EVENT_STORM:
                count = int(fault.detail["count"])
                for first in range(0, count, _STORM_BATCH):
                    cluster.storm(min(_STORM_BATCH, count - first), first)
                    await asyncio.sleep(0)
                self.ledger.done(fault.id, self._clock())
            case FaultKind.AUTOSCALED:
                kind = cluster.kind("HorizontalPodAutoscaler")
                hpa = cluster.api.get(kind, fault.object.namespace, fault.object.name)
                cluster.workloads.autoscale(hpa, int(fault.detail["replicas"]))
                self.ledger.done(fault.id, self._clock())
            case FaultKind.BAD_COMMIT | FaultKind.ORPHANED | FaultKind.GIT_AHEAD | FaultKind.ROLLOUT:
                await self._commit(session, cluster, fault)
            case FaultKind.BAD_REVISION | FaultKind.BAD_IMAGE | FaultKind.REVERTED:
                await self._roll_out(session, cluster, fault)
            case _:
                await self._edit(session, cluster, fault)

    async def _edit(self, session: aiohttp.ClientSession, cluster: SimCluster, fault: Fault) -> None:
        kind = cluster.kind(fault.object.kind)
        live = cluster.api.get(kind, fault.object.namespace, fault.object.name)
        before = git_state(live)
        requests = edits.requests(fault, kind, live, self._manifest(cluster, fault))
        for number, request in enumerate(requests):
            if number == len(requests) - 1:
                # Set before the edit: Flux may be faster than the answer. Seen as restored only once it had changed.
                self._expect_restored(cluster, kind, fault, before)
            await self._send(session, cluster, request)
        self.ledger.done(fault.id, self._clock())

    def _manifest(self, cluster: SimCluster, fault: Fault) -> Object | None:
        repository = self.fleet.git.repositories[self.fleet.site_repository(cluster.name)]
        for manifest in repository.head().under("./"):
            named = (manifest["kind"], manifest["metadata"]["name"])
            if named == (fault.object.kind, fault.object.name):
                return manifest
        return None

    async def _commit(self, session: aiohttp.ClientSession, cluster: SimCluster, fault: Fault) -> None:
        url = self.fleet.site_repository(cluster.name)
        changes = self._changed_files(cluster, fault)
        commit = self.fleet.git.commit(url, changes, message=f"{fault.kind} ({fault.id})")
        if fault.kind is FaultKind.GIT_AHEAD:
            self._expect_applied(cluster, fault, commit.sha)
        else:
            await self._fetch(session, cluster, SITE_REPOSITORY, fault)
        self.ledger.done(fault.id, self._clock())

    async def _roll_out(self, session: aiohttp.ClientSession, cluster: SimCluster, fault: Fault) -> None:
        """Push once for all, and have the cluster fetch as its webhook would."""
        if fault.kind not in self._commits:
            self._commits[fault.kind] = self._pushed(fault.kind)
        await self._fetch(session, cluster, FLEET_REPOSITORY, fault)
        self.ledger.rolled_out(fault.id, self._commits[fault.kind].sha)
        self.ledger.done(fault.id, self._clock())

    def _pushed(self, kind: FaultKind) -> Commit:
        url, author = self.fleet.fleet_repository, "mallory <mallory@lab>"
        if kind is FaultKind.REVERTED:
            message = 'Revert "Run more proxies"\n\nNo cluster takes it.'
            return self.fleet.git.commit(url, {_PROXY: None}, message=message, branch=EARLY)
        proxy = deployment("proxy", self.fleet.spec.namespaces[0], 1)
        if kind is FaultKind.BAD_IMAGE:
            proxy["spec"]["template"]["spec"]["containers"][0]["image"] = f"registry.invalid/proxy:{NEVER_PULLED}"
            proxy["spec"]["progressDeadlineSeconds"] = _DEADLINE_SECONDS
            message = "Take the proxy from the new registry\n\nReviewed by nobody."
        else:
            proxy["spec"]["replicas"] = -1
            message = "Run more proxies\n\nReviewed by nobody."
        return self.fleet.git.commit(url, {_PROXY: (proxy,)}, message=message, author=author, branch=EARLY)

    async def _fetch(self, session: aiohttp.ClientSession, cluster: SimCluster, repository: str, fault: Fault) -> None:
        asked = {"metadata": {"annotations": {REQUESTED_AT: fault.id}}}
        source = fault.object.__class__("GitRepository", FLUX, repository)
        path = edits.path_of(cluster.kind("GitRepository"), source)
        request = Request("PATCH", path, asked, "application/merge-patch+json", {"fieldManager": "flux"})
        await self._send(session, cluster, request)

    def _changed_files(self, cluster: SimCluster, fault: Fault) -> dict[str, tuple[Object, ...] | None]:
        name = fault.object.name
        if fault.kind is FaultKind.ORPHANED:
            return {f"extras/{name}.yaml": None}
        path = (
            f"apps/{name}.yaml"
            if fault.kind is FaultKind.ROLLOUT
            else f"apps/app-{self.fleet.spec.workloads - 1:02d}.yaml"
        )
        tree = self.fleet.git.repositories[self.fleet.site_repository(cluster.name)].head().tree
        parts = clone(list(tree[path]))
        workload = parts[0]["spec"]
        if fault.kind is FaultKind.BAD_COMMIT:
            workload["replicas"] = -1
        else:
            workload["template"]["spec"]["containers"][0]["image"] = f"registry.invalid/{name}:{fault.id}"
        return {path: tuple(parts)}

    async def _send(self, session: aiohttp.ClientSession, cluster: SimCluster, request: Request) -> None:
        headers = {"Authorization": f"Bearer {cluster.token('alice')}", "Content-Type": request.media_type}
        body = None if request.body is None else orjson.dumps(request.body)
        async with session.request(request.method, cluster.url + request.url, data=body, headers=headers) as response:
            if response.status >= 300:  # noqa: PLR2004  not a success
                raise InjectionError(f"{request.method} {request.path}: {response.status} {await response.text()}")
            await response.read()

    def _expect_restored(self, cluster: SimCluster, kind: Kind, fault: Fault, before: Object) -> None:
        changed = False

        def is_back(obj: Object) -> bool:
            nonlocal changed
            same = git_state(obj) == before
            changed = changed or not same or fault.kind is FaultKind.DELETED
            return same and changed

        key = (fault.object.namespace, fault.object.name)
        self._watched.setdefault((cluster.name, kind, key), []).append((fault.id, is_back))

    def _expect_applied(self, cluster: SimCluster, fault: Fault, sha: str) -> None:
        def is_applied(obj: Object) -> bool:
            return sha in str(obj["status"].get("lastAppliedRevision", ""))

        watched = (cluster.name, cluster.kind("Kustomization"), (FLUX, APPS))
        self._watched.setdefault(watched, []).append((fault.id, is_applied))

    def _listener(self, cluster: str) -> Callable[[Kind, Change], None]:
        def listen(kind: Kind, change: Change) -> None:
            if change.new is None:
                return
            waiting = self._watched.get((cluster, kind, change.new.key))
            if not waiting:
                return
            obj = change.new.value()
            for each in [each for each in waiting if each[1](obj)]:
                waiting.remove(each)
                self.ledger.restored(each[0], self._clock())

        return listen
