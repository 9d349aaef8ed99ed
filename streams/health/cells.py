"""The health step's state. Every cell is frozen and belongs to one cluster; keys begin with what they are."""

import msgspec

from streams.health.warnings import Warnings


class Reason(msgspec.Struct, frozen=True):
    """A reason as it is kept."""

    code: str
    message: str
    status: str
    since_ms: int
    source: str = ""


class Resource(msgspec.Struct, frozen=True, tag="resource"):
    """One resource: what is published, and what would be if it lasts."""

    scope: str
    cluster: str
    group: str = ""
    version: str = ""
    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""
    status: str = "unknown"
    since_ms: int = 0
    reasons: tuple[Reason, ...] = ()
    candidate: str = "unknown"
    candidate_since_ms: int = 0
    candidate_reasons: tuple[Reason, ...] = ()
    revision: int = 0
    seen_ms: int = 0
    published_ms: int = 0
    members: tuple[int, int, int, int] = (0, 0, 0, 0)
    """For rollups: healthy, degraded, failing, unknown."""


class Cluster(msgspec.Struct, frozen=True, tag="cluster"):
    """What is known of a cluster's agent, and which timers run for its resources."""

    name: str
    uid: str = ""
    labels: dict[str, str] = {}
    heartbeat_ms: int = 0
    """Append time of the newest heartbeat; 0 before the first."""
    interval_ms: int = 0
    silent: bool = False
    lost: dict[str, str] = {}
    """Kinds that cannot be seen, with the reason."""
    due: dict[str, int] = {}
    """Resource keys whose candidate status settles at that time."""


class Index(msgspec.Struct, frozen=True, tag="index"):
    """The keys of one cluster's resources, by scope; and which clusters a partition holds."""

    keys: tuple[str, ...] = ()


Cell = Resource | Cluster | Index | Warnings

CLUSTERS = "clusters"


def cluster_key(cluster: str) -> str:
    """Return the key of a cluster's cell."""
    return f"agent/{cluster}"


def index_key(cluster: str) -> str:
    """Return the key of the index of a cluster's resources."""
    return f"index/{cluster}"


def warnings_key(resource_id: str) -> str:
    """Return the key of a workload's Warning counts."""
    return f"warnings/{resource_id}"


def resource_id(scope: str, cluster: str, *parts: str) -> str:
    """Return a resource's id, which is also its cell's key; what does not apply is left out."""
    return "/".join([scope, cluster, *(part for part in parts if part)])
