"""The health step's state. Every cell is frozen and belongs to one cluster; keys begin with what they are."""

import msgspec

from abdrift.facts.health import HealthReason


class Reason(msgspec.Struct, frozen=True):
    """A reason as it is kept."""

    code: str
    message: str
    status: str
    since_ms: int
    source: str = ""
    as_of_ms: int = 0
    """The newest moment its source vouches for, where that is another than its agent's; else 0."""

    @classmethod
    def of(cls, one: HealthReason) -> "Reason":
        """Return a reason as it was just found; since when it has held is known where it is settled."""
        return cls(one.code, one.message, one.status.value, 0, one.source or "")


class Attempt(msgspec.Struct, frozen=True, array_like=True):
    """A revision that a Kustomization began with."""

    revision: str
    began_ms: int
    """When that was seen first, by its agent's clock; 0 where it had begun before."""


class Resource(msgspec.Struct, frozen=True, tag="resource"):
    """One resource: what it says of itself, what is published, and what would be if it lasts."""

    scope: str
    cluster: str
    group: str = ""
    version: str = ""
    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""
    pool: str = ""
    """Of a node."""
    attempts: tuple[Attempt, ...] = ()
    """Of a Kustomization: the newest ones, oldest first."""
    owner: str = ""
    """Of a workload: the key of the Kustomization that its labels name."""
    generation: int = 0
    changed_ms: int = 0
    """Of a workload: when its spec was seen to change last, by its agent's clock; 0 where that is not known."""
    rollout: str = ""
    """Of a failing workload: the revision that its newest rollout came with."""
    epoch: tuple[str, int] = ("", 0)
    """Source and epoch of the agent that saw it last."""
    seen_ms: int = 0
    """When that agent saw it, by its own clock."""
    found: tuple[Reason, ...] = ()
    """What its own status speaks of; Events and silence are weighed anew each time."""
    status: str = "unknown"
    since_ms: int = 0
    reasons: tuple[Reason, ...] = ()
    candidate: str = "unknown"
    candidate_since_ms: int = 0
    candidate_reasons: tuple[Reason, ...] = ()
    revision: int = 0
    published_ms: int = 0
    members: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Of namespaces and clusters: how many members are healthy, degraded, failing, unknown, as published."""
    counted: tuple[int, int, int, int] = (0, 0, 0, 0)
    """The same as counted so far."""


class Cluster(msgspec.Struct, frozen=True, tag="cluster"):
    """What is known of a cluster's agent."""

    name: str
    uid: str = ""
    labels: dict[str, str] = {}
    heartbeat_ms: int = 0
    """Append time of the newest heartbeat; 0 before the first."""
    interval_ms: int = 0
    silent: bool = True
    """Until the first heartbeat, and again when heartbeats stay away: nothing vouches for what was seen."""
    lost: dict[str, str] = {}
    """Kinds that cannot be seen, with the reason."""
    undeclared: bool = False
    """Whether no inventory has ever named it. Not said of clusters from before this was noted."""
    withdrawn: bool = False
    """Whether somebody said that it is gone, and no inventory named it since."""
    forget_ms: int = 0
    """When it is forgotten unless it is heard of or declared before; 0 while it is."""
    vouched_ms: int = 0
    """When the newest heartbeat was sent, by its agent's clock: long before it came where it was spooled."""


class Index(msgspec.Struct, frozen=True, tag="index"):
    """The keys of one cluster's resources, or of its words about what is not known; at `CLUSTERS`, the clusters."""

    keys: tuple[str, ...] = ()


class Timers(msgspec.Struct, frozen=True, tag="timers"):
    """Which of one cluster's resources are to be judged again, and when: append time, by key."""

    due_ms: dict[str, int] = {}
    earliest_ms: int = 0


class Word(msgspec.Struct, frozen=True, array_like=True):
    """What was said of one object: Warnings within the window when they became unusual, and the newest one's reason."""

    warnings: int
    reason: str


class Warnings(msgspec.Struct, frozen=True, tag="warnings"):
    """The objects of one workload whose Warnings are unusual, by `kind/name` as Events have them."""

    words: dict[str, Word] = {}


class Unplaced(msgspec.Struct, frozen=True, tag="unplaced"):
    """The same for objects of one namespace of which no workload is known."""

    words: dict[str, Word] = {}


class Level(msgspec.Struct, frozen=True, array_like=True):
    """What was said under one rule, as a reason has it."""

    code: str
    message: str
    status: str
    source: str
    as_of_ms: int


class Levels(msgspec.Struct, frozen=True, tag="levels"):
    """What metrics and logs say against one workload, node or cluster, by `kind/name/rule` as they name it."""

    words: dict[str, Level] = {}


class UnplacedLevels(msgspec.Struct, frozen=True, tag="unplaced-levels"):
    """The same for workloads of one namespace, or nodes, that are not known."""

    words: dict[str, Level] = {}


class Told(msgspec.Struct, frozen=True, tag="told"):
    """The newest frame of words that was taken."""

    epoch: int = -1
    sequence: int = -1


Cell = Resource | Cluster | Index | Timers | Warnings | Unplaced | Levels | UnplacedLevels | Told

CLUSTERS = "clusters"
OBSERVED_SCOPES = ("workload", "gitops", "node")
"""Scopes of what agents see; the others are counted up from these."""


def cluster_key(cluster: str) -> str:
    """Return the key of a cluster's cell."""
    return f"agent/{cluster}"


def index_key(cluster: str) -> str:
    """Return the key of the index of a cluster's resources."""
    return f"index/{cluster}"


def shelves_key(cluster: str) -> str:
    """Return the key of the index of cells with words about what is not known of a cluster."""
    return f"shelves/{cluster}"


def timers_key(cluster: str) -> str:
    """Return the key of the timers of a cluster's resources."""
    return f"timers/{cluster}"


def resource_id(scope: str, cluster: str, *parts: str) -> str:
    """Return a resource's id, which is also its cell's key; what does not apply is left out."""
    return "/".join([scope, cluster, *(part for part in parts if part)])
