"""Where scenarios take place: one cluster and its Git, real or simulated, behind the same few words."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import yaml

from abdrift.fleet import Member
from abdrift.simulation import FleetSpec, SimulatedFleet
from tests.parts.credentials import Credentials
from tests.parts.kube_api import KubeApi
from tests.parts.loopback import HOST
from tests.parts.waiting import POLL_SECONDS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from abdrift.simulation import SimCluster
    from abdrift.simulation.git import SimGit
    from tests.parts.cluster import Cluster
    from tests.parts.discovery import Object
    from tests.parts.git import GitRepo
    from tests.parts.proxy import Proxy

RBAC = Path(__file__).parents[2] / "deploy" / "rbac"
SHIPPED = (
    *(RBAC / name for name in ("namespace.yaml", "agent.yaml", "gitops.yaml", "gitops-admission.yaml")),
    RBAC / "helm-storage" / "helm-storage.yaml",
    RBAC / "secrets" / "secrets.yaml",
)
SYSTEM = "abdrift-system"


class Repository(Protocol):
    """A Git repository that Flux follows."""

    url: str

    async def commit(self, files: Mapping[str, str | None], message: str) -> str:
        """Write files (path to YAML text; None deletes), and return the revision as Flux names it."""
        ...


@dataclass
class Site:
    """One cluster: its name in the fleet, who may do what in it, and its Git."""

    member: Member
    admin: KubeApi
    alice: KubeApi
    real: Cluster | None = None
    fleet: SimulatedFleet | None = None
    way: Proxy | None = None
    """By which the agent reaches a real cluster's API server."""

    @property
    def cluster(self) -> str:
        """The cluster's name in the fleet."""
        return self.member.name

    @property
    def simulated(self) -> SimCluster:
        """The simulated cluster behind it, for switches that a real one has not."""
        assert self.fleet is not None, "this site is a real cluster"
        return self.fleet.cluster(self.cluster)

    async def cut_watches(self) -> None:
        """Break the agent's watches; the API server goes on. A real agent is back when this returns."""
        if self.way is None:
            self.simulated.switches.drop_watches()
            return
        before = self.way.connections
        assert self.way.reset(), "the agent watches"
        while self.way.connections == before:  # noqa: ASYNC110  what counts them is a test's, on this event loop
            await asyncio.sleep(POLL_SECONDS)

    async def repository(self) -> Repository:
        """Return a new, empty repository."""
        name = f"repo-{secrets.token_hex(4)}"
        if self.real is not None:
            return RealRepository(await asyncio.to_thread(self.real.git.create, name))
        assert self.fleet is not None, "a site is real or simulated"
        url = f"{self.fleet.base_url}/git/{name}.git"
        self.fleet.git.create(url, {})
        return SimulatedRepository(self.fleet.git, url)


class RealRepository:
    """A repository of the test bed's Git server."""

    def __init__(self, repo: GitRepo) -> None:
        self.url = repo.url
        self._repo = repo

    async def commit(self, files: Mapping[str, str | None], message: str) -> str:
        """Commit and push."""
        await asyncio.to_thread(self._repo.commit, files, message)
        return self._repo.revision


class SimulatedRepository:
    """A repository of the simulated fleet."""

    def __init__(self, git: SimGit, url: str) -> None:
        self.url = url
        self._git = git

    async def commit(self, files: Mapping[str, str | None], message: str) -> str:
        """Commit what the texts hold; a kustomization.yaml means nothing here."""
        changes = {path: None if text is None else _documents(text) for path, text in files.items()}
        return f"main@sha1:{self._git.commit(self.url, changes, message=message).sha}"


class SimulatedApi(KubeApi):
    """A client of a simulated cluster, which is served below a path of its own."""

    def __init__(self, fleet: SimulatedFleet, cluster: SimCluster, user: str) -> None:
        super().__init__(Credentials(fleet.base_url, "", user, cluster.token(user)))
        self._prefix = cluster.url.removeprefix(fleet.base_url)

    async def _request(self, method: str, path: str, **given: Any) -> Object:
        return await super()._request(method, self._prefix + path, **given)


@asynccontextmanager
async def real_site(cluster: Cluster, labels: Mapping[str, str], way: Proxy | None = None) -> AsyncIterator[Site]:
    """Yield the real cluster under the rights that deploy/rbac ships, its components among them.

    With a way, the agent takes that one to the API server, and no other.
    """
    async with cluster.api("admin") as admin, cluster.api("alice") as alice:
        for file in SHIPPED:
            await admin.apply_yaml(file)
        member = Member(
            name="real",
            labels=dict(labels),
            kubeconfig=await cluster.service_account_kubeconfig(
                SYSTEM, "abdrift-agent", f"https://{HOST}:{way.port}" if way else None
            ),
            acting_kubeconfig=await cluster.service_account_kubeconfig(SYSTEM, "abdrift-gitops"),
        )
        yield Site(member, admin, alice, real=cluster, way=way)


@asynccontextmanager
async def simulated_sites(folder: Path, clusters: int = 1) -> AsyncIterator[tuple[Site, ...]]:
    """Yield the clusters of a simulated fleet, observed and acted on by users with no more than these rights."""
    async with AsyncExitStack() as stack:
        spec = FleetSpec(clusters=clusters, workloads=2, extras=1, nodes=1, interval="1h", source_interval="1h")
        fleet = await stack.enter_async_context(SimulatedFleet(spec))
        sites = []
        for cluster in fleet.clusters:
            users = {user: folder / f"{cluster.name}-{user}.kubeconfig" for user in ("agent", "actor")}
            member = Member(
                name=cluster.name,
                labels=cluster.labels,
                kubeconfig=cluster.write_kubeconfig(users["agent"], "agent"),
                acting_kubeconfig=cluster.write_kubeconfig(users["actor"], "actor"),
            )
            admin = await stack.enter_async_context(SimulatedApi(fleet, cluster, "admin"))
            alice = await stack.enter_async_context(SimulatedApi(fleet, cluster, "alice"))
            await admin.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM}})
            sites.append(Site(member, admin, alice, fleet=fleet))
        yield tuple(sites)


def _documents(text: str) -> tuple[Object, ...]:
    return tuple(
        each for each in yaml.safe_load_all(text) if each and "kustomize.config" not in str(each.get("apiVersion"))
    )
