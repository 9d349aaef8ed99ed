"""The simulated fleet: clusters, the Git they follow, and the port that serves them all."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Self

from aiohttp import web

from abdrift.simulation import spec as fleet_spec
from abdrift.simulation.cluster import SimCluster
from abdrift.simulation.git import SimGit
from abdrift.simulation.git_http import GIT_PREFIX, answer_git
from abdrift.simulation.http import PREFIX, Frontend
from abdrift.simulation.schedule import NANOSECONDS, Schedule
from abdrift.simulation.spec import FleetSpec

_SETTLE_SECONDS = 20.0
"""How long before the start the fleet was installed; by then every rollout is done."""


class SimulatedFleet:
    """N clusters on one loopback port; `async with` serves them and plays their controllers in real time.

    `clock` gives nanoseconds since the epoch. `build()` alone, without serving, leaves time to `schedule.advance`.
    """

    def __init__(self, spec: FleetSpec, *, clock: Callable[[], int] = time.time_ns, port: int = 0) -> None:
        """`port` 0 lets the system choose."""
        self.spec = spec
        self._clock = clock
        self._port = port
        start_ns = clock() - int(_SETTLE_SECONDS * NANOSECONDS)
        self.schedule = Schedule(lambda: start_ns)
        self.git = SimGit(self.schedule.now_ns)
        self.clusters: list[SimCluster] = []
        self.base_url = ""
        """`http://127.0.0.1:PORT`, without a slash at the end."""
        self._by_name: dict[str, SimCluster] = {}
        self.frontend = Frontend(self._by_name)
        self._runner: web.ServerRunner | None = None
        self._player: asyncio.Task[None] | None = None

    def cluster(self, name: str) -> SimCluster:
        """Give a cluster by its name. Raises KeyError."""
        return self._by_name[name]

    @property
    def fleet_repository(self) -> str:
        """URL of the repository that all clusters share."""
        return f"{self.base_url}{GIT_PREFIX}fleet.git"

    def site_repository(self, cluster: str) -> str:
        """URL of a cluster's own repository."""
        return f"{self.base_url}{GIT_PREFIX}sites/{cluster}.git"

    def build(self) -> None:
        """Create the clusters and let Flux install everything, in no time."""
        spec = self.spec
        self.git.create(self.fleet_repository, fleet_spec.fleet_tree(spec))
        if spec.early:
            self.git.branch(self.fleet_repository, fleet_spec.EARLY)
        early = frozenset(spec.early_names())
        labels, tree = fleet_spec.cluster_labels(spec), fleet_spec.site_tree(spec)
        for name in spec.cluster_names():
            cluster = SimCluster(name, labels[name], spec, self.schedule, self.git)
            cluster.url = f"{self.base_url}{PREFIX}{name}"
            cluster.create_nodes()
            if spec.flux:
                self.git.create(self.site_repository(name), tree)
                branch = fleet_spec.EARLY if name in early else fleet_spec.MAIN
                cluster.install_flux(self.fleet_repository, self.site_repository(name), branch)
            self.clusters.append(cluster)
            self._by_name[name] = cluster
        self.schedule.advance(_SETTLE_SECONDS)
        if spec.pods:
            for cluster in self.clusters:
                cluster.create_pods()
        for cluster in self.clusters:
            # Nobody has watched yet: the history of the installation would only take up memory.
            cluster.api.store.compact()

    async def __aenter__(self) -> Self:
        """Bind, build, and let time run."""
        self._runner = web.ServerRunner(web.Server(self._handle), handle_signals=False)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.base_url = f"http://{host}:{port}"
        self.build()
        self.schedule.follow(self._clock)
        self._player = asyncio.create_task(self.schedule.run(), name="simulated-fleet")
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop time and close the port; open watches end."""
        for cluster in self.clusters:
            cluster.switches.speak()
            cluster.switches.drop_watches()
        if self._player is not None:
            self._player.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._player
        if self._runner is not None:
            await self._runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path.startswith(GIT_PREFIX):
            return await answer_git(self.git, self.base_url, request)
        return await self.frontend.handle(request)
