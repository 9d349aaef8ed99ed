"""The kinds a simulated API server knows: names, scope, subresources."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """One served kind. Compared by identity: each set of `Kinds` holds one instance of each."""

    group: str
    version: str
    name: str
    plural: str
    namespaced: bool = True
    status: bool = False
    """Has the `status` subresource."""
    scale: bool = False
    """Has the `scale` subresource."""
    generation: bool = False
    """`metadata.generation` is kept."""
    custom: bool = False
    """Defined by a CustomResourceDefinition: its lists are atomic, its writes know no strategic merge."""

    @property
    def api_version(self) -> str:
        """`group/version`, or the version alone in the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def resource(self) -> str:
        """`plural.group`, as error messages name it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def qualified(self) -> str:
        """`Kind.group`, as validation errors name it."""
        return f"{self.name}.{self.group}" if self.group else self.name


def _flux(group: str, version: str, name: str, plural: str) -> Kind:
    return Kind(f"{group}.toolkit.fluxcd.io", version, name, plural, status=True, generation=True, custom=True)


def _workload(name: str, plural: str) -> Kind:
    scalable = name != "DaemonSet"
    return Kind("apps", "v1", name, plural, status=True, scale=scalable, generation=True)


def _rbac(name: str, plural: str, *, namespaced: bool) -> Kind:
    return Kind("rbac.authorization.k8s.io", "v1", name, plural, namespaced=namespaced)


def builtin_kinds() -> tuple[Kind, ...]:
    """Tell what every cluster serves: Kubernetes' kinds as far as Abdrift meets them, and those of Flux 2.7."""
    return (
        Kind("", "v1", "Namespace", "namespaces", namespaced=False, status=True),
        Kind("", "v1", "Node", "nodes", namespaced=False, status=True),
        Kind("", "v1", "Pod", "pods", status=True, generation=True),
        Kind("", "v1", "Event", "events"),
        Kind("", "v1", "ConfigMap", "configmaps"),
        Kind("", "v1", "Secret", "secrets"),
        Kind("", "v1", "Service", "services", status=True),
        Kind("", "v1", "ServiceAccount", "serviceaccounts"),
        Kind("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", status=True),
        _workload("Deployment", "deployments"),
        _workload("ReplicaSet", "replicasets"),
        _workload("StatefulSet", "statefulsets"),
        _workload("DaemonSet", "daemonsets"),
        Kind("batch", "v1", "Job", "jobs", status=True, generation=True),
        Kind("batch", "v1", "CronJob", "cronjobs", status=True, generation=True),
        Kind("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", status=True),
        Kind("networking.k8s.io", "v1", "Ingress", "ingresses", status=True, generation=True),
        Kind("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", generation=True),
        Kind("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", status=True, generation=True),
        Kind("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", generation=True),
        Kind("coordination.k8s.io", "v1", "Lease", "leases"),
        _rbac("Role", "roles", namespaced=True),
        _rbac("RoleBinding", "rolebindings", namespaced=True),
        _rbac("ClusterRole", "clusterroles", namespaced=False),
        _rbac("ClusterRoleBinding", "clusterrolebindings", namespaced=False),
        Kind(
            "apiextensions.k8s.io",
            "v1",
            "CustomResourceDefinition",
            "customresourcedefinitions",
            namespaced=False,
            status=True,
            generation=True,
        ),
        _flux("source", "v1", "GitRepository", "gitrepositories"),
        _flux("source", "v1", "OCIRepository", "ocirepositories"),
        _flux("source", "v1", "HelmRepository", "helmrepositories"),
        _flux("source", "v1", "Bucket", "buckets"),
        _flux("source", "v1", "HelmChart", "helmcharts"),
        _flux("kustomize", "v1", "Kustomization", "kustomizations"),
        _flux("helm", "v2", "HelmRelease", "helmreleases"),
        Kind("example.com", "v1", "Widget", "widgets", status=True, generation=True, custom=True),
    )


class Kinds:
    """The kinds of one cluster, found by path or by manifest."""

    def __init__(self, kinds: Iterable[Kind]) -> None:
        self._by_path: dict[tuple[str, str, str], Kind] = {}
        self._by_name: dict[tuple[str, str], Kind] = {}
        for kind in kinds:
            self.register(kind)

    def __iter__(self) -> Iterator[Kind]:
        return iter(self._by_path.values())

    def register(self, kind: Kind) -> None:
        """Serve one more kind."""
        self._by_path[kind.group, kind.version, kind.plural] = kind
        self._by_name[kind.group, kind.name] = kind

    def at(self, group: str, version: str, plural: str) -> Kind | None:
        """Give the kind served at that path."""
        return self._by_path.get((group, version, plural))

    def of(self, api_version: str, name: str) -> Kind:
        """Give the kind a manifest names. Raises KeyError with kubectl's words when it is not served."""
        group = api_version.rpartition("/")[0]
        try:
            return self._by_name[group, name]
        except KeyError:
            raise KeyError(f'no matches for kind "{name}" in version "{api_version}"') from None

    def named(self, name: str) -> Kind:
        """Give the one kind of that name. Raises KeyError if there is none."""
        for (_, found), kind in self._by_name.items():
            if found == name:
                return kind
        raise KeyError(f"no kind {name!r} is served")
