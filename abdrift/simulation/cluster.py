"""One simulated cluster: its API server, its controllers, and what an operator can do to it from outside."""

import random
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from abdrift.simulation import spec as fleet_spec
from abdrift.simulation.access import Access
from abdrift.simulation.apiserver import ApiServer, Options, Target
from abdrift.simulation.events import EventRecorder
from abdrift.simulation.flux_helm import HelmReleaseReconciler
from abdrift.simulation.flux_kustomize import KustomizationReconciler
from abdrift.simulation.flux_source import GitRepositoryReconciler, HelmChartReconciler
from abdrift.simulation.git import SimGit
from abdrift.simulation.kinds import Kind, Kinds, builtin_kinds
from abdrift.simulation.objects import Object
from abdrift.simulation.runtime import Runtime
from abdrift.simulation.schedule import NANOSECONDS, Schedule, timestamp
from abdrift.simulation.spec import FLUX, FleetSpec
from abdrift.simulation.storage import Store
from abdrift.simulation.switches import Switches
from abdrift.simulation.workloads import Workloads

if TYPE_CHECKING:
    from collections.abc import Iterable

_BOOT = Options("kubeadm")
_KINDS = builtin_kinds()


class SimCluster:
    """A cluster of the fleet; everything in it is reached over `url`, these attributes are for the test's own side."""

    def __init__(self, name: str, labels: dict[str, str], spec: FleetSpec, schedule: Schedule, git: SimGit) -> None:
        self.name = name
        self.labels = labels
        self.bookmark_seconds = spec.bookmark_seconds
        self.switches = Switches()
        self.access = Access(f"{spec.seed}/{name}")
        self.url = ""
        """The API server's URL, known once the fleet serves."""
        self._spec = spec
        self._schedule = schedule
        self._random = random.Random(f"{spec.seed}/{name}")  # noqa: S311  a simulation's dice
        self.api = ApiServer(Kinds(_KINDS), Store(), self._now_ns, self._random)
        self.runtime = Runtime(self.api, schedule, git, self._random, EventRecorder(self.api, schedule, self._random))
        self.workloads = Workloads(self.runtime, spec.rollout_seconds)
        self._create_namespaces()
        self.uid = str(self.api.get(self.kind("Namespace"), "", "kube-system")["metadata"]["uid"])

    def _now_ns(self) -> int:
        return self._schedule.now_ns() + int(self.switches.clock_skew_seconds * NANOSECONDS)

    def kind(self, name: str) -> Kind:
        """Give a served kind by its name."""
        return self.api.kinds.named(name)

    def token(self, user: str = "admin") -> str:
        """Give the bearer token of `admin`, `alice`, `observer` or `actor`."""
        return self.access.token(user)

    def kubeconfig(self, user: str = "admin") -> Object:
        """Give a kubeconfig whose current context is this cluster as that user."""
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": self.name,
            "clusters": [{"name": self.name, "cluster": {"server": self.url}}],
            "users": [{"name": user, "user": {"token": self.token(user)}}],
            "contexts": [{"name": self.name, "context": {"cluster": self.name, "user": user}}],
        }

    def write_kubeconfig(self, path: Path, user: str = "admin") -> Path:
        """Write `kubeconfig(user)` to a file only its owner may read; the path."""
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(self.kubeconfig(user)))
        return path

    def install_flux(self, fleet_url: str, site_url: str, fleet_branch: str = fleet_spec.MAIN) -> None:
        """Start Flux's controllers and create its objects."""
        for reconciler in (
            GitRepositoryReconciler,
            HelmChartReconciler,
            KustomizationReconciler,
            HelmReleaseReconciler,
        ):
            reconciler(self.runtime)
        self.create(fleet_spec.flux_objects(self._spec, fleet_url, site_url, fleet_branch), Options("flux"))

    def create(self, objects: "Iterable[Object]", options: Options = _BOOT) -> None:
        """Create objects, their status too."""
        for obj in objects:
            kind = self.api.kinds.of(obj["apiVersion"], obj["kind"])
            namespace = obj["metadata"].get("namespace", "")
            created = self.api.create(kind, namespace, obj, options)
            if "status" in obj:
                target = Target(kind, namespace, created["metadata"]["name"], "status")
                self.api.replace(target, {**created, "status": obj["status"]}, options)

    def _create_namespaces(self) -> None:
        names = ["default", "kube-system", FLUX, *self._spec.namespaces]
        self.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in names)

    def create_nodes(self) -> None:
        """Nodes, as their kubelets report them."""
        time = timestamp(self._now_ns())
        names = (f"{self.name}-node-{number}" for number in range(self._spec.nodes))
        self.create(fleet_spec.node(name, self.labels["node-kind"], time) for name in names)

    def create_pods(self) -> None:
        """One running Pod for each Deployment."""
        time = timestamp(self._now_ns())
        self.create([fleet_spec.pod(each, time) for each in self.api.list(self.kind("Deployment"))], Options("kubelet"))

    def storm(self, count: int, first: int = 0) -> None:
        """Write `count` Warning Events about Pods that never were, as a crash loop does."""
        kind, namespace = self.kind("Event"), self._spec.namespaces[0]
        # The API would find the same owners of the same fields for each: one goes through it, the others are its like.
        like = self.api.create(kind, namespace, self._storm_event(first), Options("kubelet"))
        for number in range(first + 1, first + count):
            event = self._storm_event(number)
            event["metadata"] = {**like["metadata"], **event["metadata"], "uid": self.api.new_uid()}
            self.api.store.put(kind, {**like, **event})

    def _storm_event(self, number: int) -> Object:
        namespace, time = self._spec.namespaces[0], timestamp(self._now_ns())
        pod = f"storm-{number % 50:02d}"
        return {
            "metadata": {"name": f"{pod}.{number:016x}", "namespace": namespace},
            "involvedObject": {"kind": "Pod", "apiVersion": "v1", "namespace": namespace, "name": pod},
            "reason": "BackOff",
            "message": f"Back-off restarting failed container main in pod {pod}",
            "source": {"component": "kubelet", "host": f"{self.name}-node-0"},
            "firstTimestamp": time,
            "lastTimestamp": time,
            "count": 1,
            "type": "Warning",
        }
