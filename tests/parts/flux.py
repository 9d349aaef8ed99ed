"""Real Flux controllers, as processes against a control plane, and what a person does with `flux reconcile`."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from tests.parts.control_plane import FLUX_NAMESPACE
from tests.parts.loopback import HOST, answers
from tests.parts.process import Part, Program
from tests.parts.waiting import WITHIN_SECONDS, until

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tests.parts.control_plane import ControlPlane
    from tests.parts.discovery import Object, Ref
    from tests.parts.guard import Guard
    from tests.parts.kube_api import KubeApi
    from tests.parts.loopback import Ports

REQUESTED_AT = "reconcile.fluxcd.io/requestedAt"
FLUX_CLI = "flux-client-side-apply"
"""The field manager under which `flux` annotates."""


class Flux:
    """source-, kustomize- and helm-controller. Their CRDs must be there before they start."""

    def __init__(
        self, folder: Path, binaries: Mapping[str, Path], plane: ControlPlane, ports: Ports, guard: Guard
    ) -> None:
        self._folder = folder
        self._binaries = binaries
        self._plane = plane
        self._ports = ports
        self._guard = guard
        artifacts = ports.take()
        (folder / "artifacts").mkdir(parents=True)
        self.source_controller = self._part(
            "source-controller",
            f"--storage-path={folder / 'artifacts'}",
            f"--storage-addr={HOST}:{artifacts}",
            f"--storage-adv-addr={HOST}:{artifacts}",
        )
        self.kustomize_controller = self._part("kustomize-controller")
        self.helm_controller = self._part("helm-controller")

    @property
    def parts(self) -> Sequence[Part]:
        """The controllers, in the order to start them."""
        return (self.source_controller, self.kustomize_controller, self.helm_controller)

    def start(self) -> None:
        """Start those controllers that don't run, and wait until all are ready."""
        for part in self.parts:
            part.launch()
        for part in self.parts:
            part.wait_ready()

    def stop(self) -> None:
        """Stop all controllers: commits stay unfetched, edits uncorrected, requests unanswered."""
        for part in reversed(self.parts):
            part.stop()

    def _part(self, name: str, *arguments: str) -> Part:
        metrics, health = self._ports.take(), self._ports.take()
        credentials = self._plane.credentials(f"system:serviceaccount:{FLUX_NAMESPACE}:{name}")
        kubeconfig = credentials.write_kubeconfig(self._folder / f"{name}.kubeconfig")
        scratch = self._folder / f"{name}.tmp"
        scratch.mkdir()
        argv: list[str | Path] = [
            self._binaries[name] / name,
            "--watch-all-namespaces=true",
            "--enable-leader-election=false",
            "--log-encoding=json",
            f"--metrics-addr={HOST}:{metrics}",
            f"--health-addr={HOST}:{health}",
            # What Flux's documentation advises for many objects; the defaults would queue a test's twenty owners.
            "--concurrent=20",
            "--kube-api-qps=500",
            "--kube-api-burst=1000",
            *arguments,
        ]
        environment = {"KUBECONFIG": str(kubeconfig), "RUNTIME_NAMESPACE": FLUX_NAMESPACE, "TMPDIR": str(scratch)}
        ready = answers(f"http://{HOST}:{health}/readyz")
        return Part(Program(name, argv, self._folder / f"{name}.log", ready, environment), self._guard)


def condition(obj: Object | None, condition_type: str) -> Object | None:
    """Return a condition of `obj`'s status, or None where either is missing."""
    conditions: list[Object] = (obj or {}).get("status", {}).get("conditions", [])
    return next((entry for entry in conditions if entry["type"] == condition_type), None)


def is_ready(obj: Object | None) -> bool:
    """Whether a Flux object says Ready of its present generation.

    Flux writes conditions first and the rest of the status in a second patch, milliseconds later: a Ready alone may
    stand beside no `lastAppliedRevision` or an old one. So this asks for the status' own generation too.
    """
    ready = condition(obj, "Ready")
    if obj is None or ready is None or ready["status"] != "True":
        return False
    return bool(obj["status"].get("observedGeneration") == obj["metadata"]["generation"])


async def wait_ready(api: KubeApi, ref: Ref, within_seconds: float = WITHIN_SECONDS) -> Object:
    """Return the Flux object once it is Ready. Raises `AssertionError` with its last conditions."""

    async def ready() -> Object | None:
        obj = await api.find(ref)
        return obj if is_ready(obj) else None

    try:
        return await until(ready, f"{ref.kind} {ref.name} is Ready", within_seconds)
    except AssertionError as error:
        raise AssertionError(f"{error}: {condition(await api.find(ref), 'Ready')}") from None


async def request_reconcile(api: KubeApi, ref: Ref) -> str:
    """Ask for a reconcile as `flux reconcile` does, and return the value that names the request."""
    value = dt.datetime.now(dt.UTC).isoformat(timespec="microseconds")
    await api.patch(ref, {"metadata": {"annotations": {REQUESTED_AT: value}}}, field_manager=FLUX_CLI)
    return value


async def reconcile(api: KubeApi, ref: Ref, within_seconds: float = WITHIN_SECONDS) -> Object:
    """Ask for a reconcile and return the object once the request was handled, whatever came of it."""
    value = await request_reconcile(api, ref)

    async def handled() -> Object | None:
        obj = await api.get(ref)
        return obj if obj.get("status", {}).get("lastHandledReconcileAt") == value else None

    return await until(handled, f"{ref.kind} {ref.name} handled the request {value}", within_seconds)
