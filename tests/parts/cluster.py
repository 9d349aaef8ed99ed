"""A whole cluster of real parts: control plane, Flux, and a Git server with a repository to begin with."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.parts import build
from tests.parts.control_plane import ControlPlane
from tests.parts.flux import Flux
from tests.parts.git import GitServer
from tests.parts.guard import Guard
from tests.parts.kube_api import KubeApi
from tests.parts.loopback import Ports
from tests.parts.versions import FLUX_CONTROLLERS, KUBERNETES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.parts.discovery import Object
    from tests.parts.process import Part

FLEET = "fleet"
MANIFESTS = Path(__file__).parent / "manifests"


class Cluster:
    """Real parts on ports of their own, several clusters at once if need be. `with` it, or `start` and `stop` it.

    All that it writes lies under `folder`, which must exist and is left there, logs included. What is not built yet is
    built by `start`, which takes minutes; `say` is told of the progress. `start` and `stop` block, as every method of
    its parts does; in an event loop, call them through `asyncio.to_thread`.
    """

    def __init__(self, folder: Path, say: Callable[[str], None], *, with_flux: bool = True) -> None:
        self.folder = folder
        self._say = say
        kubernetes = build.ensure(KUBERNETES, say)
        binaries = {part.name: build.ensure(part, say) for part in FLUX_CONTROLLERS} if with_flux else {}
        self._crds = [binary / "crds" for binary in binaries.values()]
        ports = Ports()
        self._guard = Guard()
        self.control_plane = ControlPlane(folder, kubernetes, ports, self._guard)
        self._flux = Flux(folder / "flux", binaries, self.control_plane, ports, self._guard) if with_flux else None
        self.git = GitServer(folder / "git", ports.take())
        self.fleet = self.git.create(FLEET)
        self.etcd = self.control_plane.etcd
        self.apiserver = self.control_plane.apiserver
        self.controller_manager = self.control_plane.controller_manager

    @property
    def flux(self) -> Flux:
        """Flux' controllers. Raises `RuntimeError` in a cluster that was made without."""
        if self._flux is None:
            raise RuntimeError("this cluster was made with with_flux=False")
        return self._flux

    @property
    def parts(self) -> Sequence[Part]:
        """All processes, in the order to start them."""
        return (*self.control_plane.parts, *(self._flux.parts if self._flux else ()))

    def start(self) -> None:
        """Start everything and wait until all of it is ready. Raises `PartFailedError`."""
        started = time.monotonic()
        try:
            self.git.start()
            self.control_plane.start()
            asyncio.run(self._prepare())
            if self._flux:
                self._flux.start()
        except BaseException:
            self.stop()
            raise
        self._say(f"cluster ready in {time.monotonic() - started:.1f} s ({self.control_plane.server}, {self.folder})")

    def ensure_running(self) -> None:
        """Start again what a test stopped, killed or paused."""
        self.git.start()
        for part in self.parts:
            if part.running:
                part.resume()
            else:
                part.start()

    def stop(self) -> None:
        """Stop everything, Flux first."""
        for part in reversed(self.parts):
            part.stop()
        self.git.stop()
        self._guard.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def api(self, user: str = "admin") -> KubeApi:
        """Return a client for `async with`: of `admin`, or of `alice`, a person with all rights by RBAC."""
        return KubeApi(self.control_plane.credentials(user))

    def kubeconfig(self, user: str = "admin") -> Path:
        """Write a kubeconfig of a user and return its path."""
        return self.control_plane.credentials(user).write_kubeconfig(self.folder / f"{user}.kubeconfig")

    async def service_account_kubeconfig(self, namespace: str, name: str, server: str | None = None) -> Path:
        """Write a kubeconfig with a fresh token of a ServiceAccount that exists, and return its path.

        `server` is where it says the API server is, if not there: a way that leads there.
        """
        async with self.api() as admin:
            token = await admin.create_token(namespace, name)
        user = f"system:serviceaccount:{namespace}:{name}"
        path = self.folder / f"{namespace}.{name}.kubeconfig"
        credentials = self.control_plane.token_credentials(user, token)
        return replace(credentials, server=server or credentials.server).write_kubeconfig(path)

    def audit_events(self, user: str) -> list[Object]:
        """Return what the API server has audited of `user` (the full name), oldest first.

        Writes carry their `requestObject`, but for Secrets and tokens. Reads by Kubernetes' and Flux's own parts are
        left out.
        """
        lines = self.control_plane.audit_log.read_text().splitlines()
        events: list[Object] = [json.loads(line) for line in lines]
        # Who was refused for a token that is none has no name.
        return [event for event in events if event["user"].get("username") == user]

    def log_tails(self) -> str:
        """Return the last lines of each part's log, for a failed test's report."""
        return "\n".join(f"--- {part.name}: {part.log}\n{part.log_tail()}" for part in self.parts)

    async def _prepare(self) -> None:
        async with self.api() as admin:
            await admin.apply_yaml(MANIFESTS / "cluster.yaml")
            for crds in self._crds:
                await admin.apply_yaml(crds)
