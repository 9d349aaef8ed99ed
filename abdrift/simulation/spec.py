"""What a simulated fleet consists of: clusters and their labels, and what Git holds for them.

Pure: the same spec gives the same fleet.
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from abdrift.simulation.git_objects import Tree
from abdrift.simulation.objects import Object

FLUX = "flux-system"
APPS, EXTRAS, INFRA, RELEASE = "apps", "extras", "infra", "gateway"
FLEET_REPOSITORY, SITE_REPOSITORY = "fleet", "site"
MAIN, EARLY = "main", "early"
"""Branches of the fleet's repository; a change is tried on the early one before it is merged."""
AUTOSCALED = "app-00"
"""The workload that an HPA scales; Git leaves its replicas out."""

_REGIONS = {
    "eu-central": ("fra", "muc", "ber", "vie"),
    "eu-west": ("ams", "par", "lux"),
    "eu-north": ("hel", "sto", "osl"),
}
_ENVIRONMENTS = ("tst", "ref", "prd", "prd")
_CUSTOMERS = ("core", "ran", "media", "retail")
_NODE_KINDS = ("vm", "bare-metal")


@dataclass(frozen=True, slots=True)
class FleetSpec:
    """How large a fleet is and how it behaves. Durations in Flux objects are Go durations."""

    clusters: int = 3
    seed: int = 0
    namespaces: tuple[str, ...] = ("shop", "radio")
    workloads: int = 10
    """Workloads of each cluster's `apps`, each a Deployment, a ConfigMap and a Service."""
    extras: int = 4
    """ConfigMaps of `extras`, a Kustomization that does not prune."""
    nodes: int = 2
    pods: bool = False
    """One running Pod for each workload."""
    source_interval: str = "10m"
    interval: str = "10m"
    rollout_seconds: float = 1.0
    bookmark_seconds: float = 10.0
    early: int = 0
    """So many clusters, the first ones, follow the fleet's repository on its early branch."""
    flux: bool = True
    """Off leaves the clusters without Flux's objects and controllers."""

    def cluster_names(self) -> list[str]:
        """`edge-0000` and on."""
        return [f"edge-{number:04d}" for number in range(self.clusters)]

    def early_names(self) -> list[str]:
        """Name the clusters that get a change of the fleet's repository first."""
        return self.cluster_names()[: self.early]


def cluster_labels(spec: FleetSpec) -> dict[str, dict[str, str]]:
    """Labels of each cluster: site, region, environment, customer, wave, node kind."""
    source = random.Random(f"labels/{spec.seed}")  # noqa: S311  a simulation's dice
    sites = [(region, site) for region, found in _REGIONS.items() for site in found]
    labels = {}
    for number, name in enumerate(spec.cluster_names()):
        region, site = sites[number % len(sites)]
        environment = _ENVIRONMENTS[number % len(_ENVIRONMENTS)]
        labels[name] = {
            "region": region,
            "site": f"{site}1",
            "environment": environment,
            "customer": source.choice(_CUSTOMERS),
            "wave": {"tst": "0", "ref": "1", "prd": "2"}[environment],
            "node-kind": source.choice(_NODE_KINDS),
        }
    return labels


def workload_namespace(spec: FleetSpec, number: int) -> str:
    """Give the namespace a numbered workload lives in."""
    return spec.namespaces[number % len(spec.namespaces)]


def deployment(name: str, namespace: str, number: int) -> Object:
    """Give a numbered workload's Deployment as Git has it; the first leaves its replicas to an HPA."""
    container: Object = {
        "name": "main",
        "image": f"registry.invalid/{name}:1.{number}.0",
        "env": [{"name": "COLOR", "value": "blue"}, {"name": "LOG_LEVEL", "value": "info"}],
        "ports": [{"name": "http", "containerPort": 8080}],
        # Spelled as people do; the API server prints 500m and 1Gi.
        "resources": {"requests": {"cpu": "0.5", "memory": "1024Mi"}},
        "volumeMounts": [{"name": "config", "mountPath": "/etc/app"}],
    }
    spec: Object = {
        "selector": {"matchLabels": {"app": name}},
        "template": {
            "metadata": {"labels": {"app": name}},
            "spec": {"containers": [container], "volumes": [{"name": "config", "configMap": {"name": name}}]},
        },
    }
    if name != AUTOSCALED:
        spec["replicas"] = 2
    metadata = {"name": name, "namespace": namespace, "labels": {"app": name}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


def config_map(name: str, namespace: str, data: Mapping[str, str]) -> Object:
    """Give a ConfigMap."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace},
        "data": dict(data),
    }


def _service(name: str, namespace: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": 8080}]},
    }


def _autoscaler(namespace: str) -> Object:
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": AUTOSCALED, "namespace": namespace},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": AUTOSCALED},
            "minReplicas": 2,
            "maxReplicas": 8,
        },
    }


def site_tree(spec: FleetSpec) -> dict[str, tuple[Object, ...]]:
    """Tell what each cluster's own repository holds: `apps` and `extras`."""
    tree: dict[str, tuple[Object, ...]] = {}
    for number in range(spec.workloads):
        name, namespace = f"app-{number:02d}", workload_namespace(spec, number)
        parts = [
            deployment(name, namespace, number),
            config_map(name, namespace, {"color": "blue", "app.toml": f'name = "{name}"\n'}),
            _service(name, namespace),
        ]
        if name == AUTOSCALED:
            parts.append(_autoscaler(namespace))
        tree[f"apps/{name}.yaml"] = tuple(parts)
    for number in range(spec.extras):
        name = f"extra-{number:02d}"
        tree[f"extras/{name}.yaml"] = (config_map(name, spec.namespaces[0], {"number": str(number)}),)
    return tree


def fleet_tree(spec: FleetSpec) -> Tree:
    """Tell what all clusters share: `infra`, and the chart of the HelmRelease."""
    namespaces = tuple(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": each}} for each in spec.namespaces
    )
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "edge", "namespace": spec.namespaces[0]},
    }
    widget = {
        "apiVersion": "example.com/v1",
        "kind": "Widget",
        "metadata": {"name": "edge", "namespace": spec.namespaces[0]},
        "spec": {"timeout": "90s", "size": "0.5", "points": [{"name": "a", "weight": 1}, {"name": "b", "weight": 2}]},
    }
    release = "{{ .Release.Name }}"
    gateway = deployment(release, "", 1)
    del gateway["metadata"]["namespace"], gateway["spec"]["template"]["spec"]["volumes"]
    del gateway["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
    gateway["spec"]["replicas"] = "{{ .Values.replicas }}"
    return {
        "infra/namespaces.yaml": namespaces,
        "infra/account.yaml": (account,),
        "infra/site.yaml": (config_map("site", spec.namespaces[0], {"plane": "edge"}),),
        "infra/widget.yaml": (widget,),
        f"charts/{RELEASE}/Chart.yaml": ({"name": RELEASE, "version": "0.1.0"},),
        f"charts/{RELEASE}/templates/all.yaml": (
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"{release}-cm"}, "data": {"color": "blue"}},
            gateway,
        ),
    }


def _flux(kind: str, api_version: str, name: str, spec: Object) -> Object:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": FLUX}, "spec": spec}


def flux_objects(spec: FleetSpec, fleet_url: str, site_url: str, fleet_branch: str = MAIN) -> Iterator[Object]:
    """Give sources, Kustomizations and the HelmRelease of a cluster, in the order they are created."""
    source = "source.toolkit.fluxcd.io/v1"
    for name, url, branch in ((FLEET_REPOSITORY, fleet_url, fleet_branch), (SITE_REPOSITORY, site_url, MAIN)):
        followed: Object = {"interval": spec.source_interval, "url": url, "ref": {"branch": branch}}
        yield _flux("GitRepository", source, name, followed)
    for name, repository, prune in ((INFRA, "fleet", True), (APPS, "site", True), (EXTRAS, "site", False)):
        body = {
            "interval": spec.interval,
            "retryInterval": "1m",
            "timeout": "30s",
            "path": f"./{name}",
            "prune": prune,
            "wait": False,
            "sourceRef": {"kind": "GitRepository", "name": repository},
        }
        yield _flux("Kustomization", "kustomize.toolkit.fluxcd.io/v1", name, body)
    chart = {
        "chart": f"./charts/{RELEASE}",
        "reconcileStrategy": "ChartVersion",
        "sourceRef": {"kind": "GitRepository", "name": FLEET_REPOSITORY},
    }
    body = {
        "interval": spec.interval,
        "targetNamespace": spec.namespaces[-1],
        "releaseName": RELEASE,
        "driftDetection": {"mode": "enabled"},
        "install": {"disableWait": True},
        "upgrade": {"disableWait": True},
        "chart": {"spec": chart},
        "values": {"replicas": 2},
    }
    yield _flux("HelmRelease", "helm.toolkit.fluxcd.io/v2", RELEASE, body)


def node(name: str, kind: str, time: str) -> Object:
    """Give a Node that is Ready."""
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "KubeletReady",
        "message": "kubelet is posting ready status",
        "lastHeartbeatTime": time,
        "lastTransitionTime": time,
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "node.example.com/kind": kind}},
        "spec": {},
        "status": {"conditions": [ready], "capacity": {"cpu": "16", "memory": "64Gi", "pods": "110"}},
    }


def pod(workload: Object, time: str) -> Object:
    """Give a Pod of a Deployment, as its kubelet reports it running."""
    template, metadata = workload["spec"]["template"], workload["metadata"]
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": time}
    states = [
        {"name": each["name"], "image": each["image"], "ready": True, "restartCount": 0, "started": True}
        for each in template["spec"]["containers"]
    ]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{metadata['name']}-0",
            "namespace": metadata["namespace"],
            "labels": template["metadata"]["labels"],
        },
        "spec": template["spec"],
        "status": {"phase": "Running", "conditions": [ready], "containerStatuses": states},
    }
