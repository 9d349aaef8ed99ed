"""What the incidents step remembers: frozen cells, each under a key that says what it is about.

| key | cell |
| --- | --- |
| `clock` | the clock, what is to be looked at when, which causes have an open incident |
| `policy` | the policy in force |
| `cluster/<cluster>` | a cluster's uid and the labels that members carry |
| `site/<site>` | how many clusters a site has |
| `commit/<cause>` | who made a revision and why, for symptoms that do not say |
| `symptom/<finding id or resource id>` | one symptom, lasting or over |
| `group/<cause>` | how many members a cause has, and its incident |
| `shard/<cause>/<number>` | some of a cause's members: a change writes one shard rather than all |
| `command/<subject>` | the newest result of a command for members |
| `tombs/<hour>` | incidents closed in that hour, to be forgotten a day later |

A cause is `<kind>/<what tells it from others>`. All times are milliseconds since the epoch, of the broker's clock
unless said otherwise.
"""

import msgspec

from abdrift.partitions import partition_of

SHARDS = 64
"""Of one cause: with 10,000 members a change rewrites some 160 of them."""

CLOCK = "clock"
POLICY = "policy"


class Place(msgspec.Struct, frozen=True, array_like=True):
    """A cause that a symptom may come of."""

    key: str
    kind: str
    name: str
    source: str = ""
    """URL of the repository, for revisions and charts."""


class ClockCell(msgspec.Struct, frozen=True, tag="clock"):
    """What concerns the fleet as a whole."""

    now_ms: int = 0
    pruned_ms: int = 0
    clusters: int = 0
    open: tuple[str, ...] = ()
    """Causes with an open incident."""
    due_ms: dict[str, int] = {}
    """When a cause's incident, or a `tombs` cell, is to be looked at."""


class PolicyCell(msgspec.Struct, frozen=True, tag="policy"):
    """`body` is the policy's JSON."""

    body: bytes


class ClusterCell(msgspec.Struct, frozen=True, tag="cluster"):
    """One cluster; `is_counted` once the inventory has named it."""

    uid: str = ""
    labels: dict[str, str] = {}
    health_revision: int = 0
    is_counted: bool = False


class SiteCell(msgspec.Struct, frozen=True, tag="site"):
    """One site."""

    clusters: int = 0


class CommitCell(msgspec.Struct, frozen=True, tag="commit"):
    """A revision's commit, as a finding told of it."""

    body: bytes
    """A `GitCommit` as JSON."""
    seen_ms: int


class SymptomCell(msgspec.Struct, frozen=True, tag="symptom"):
    """One finding, or one state of health, that may be a sign of something larger."""

    revision: int
    symptom: str
    cluster: str
    member: str
    """Its object's name within its cause: the findings about one object are one member."""
    body: bytes
    """An `IncidentMember` as JSON, without what others know better: labels, findings, end."""
    places: tuple[Place, ...]
    """What it may come of, the widest first."""
    told_ms: int
    until_ms: int = 0
    """0 while it lasts."""
    as_of_ms: int = 0
    is_complete: bool = True
    writer: str = "abdrift/drift"
    """Who told of it."""


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """One member of a cause."""

    told_ms: int
    until_ms: int
    symptoms: tuple[str, ...]
    """Ids of the symptoms that last; none once it is over."""
    lead: str
    """Id of the gravest of them, or of the last one."""
    symptom: str
    """What the lead is."""
    part: str = ""
    """The narrower cause it has within this one."""


class IncidentNote(msgspec.Struct, frozen=True):
    """The open incident of a cause."""

    incident_id: str
    opened_ms: int
    first: bytes
    """The first member, as JSON."""
    revision: int = 0
    published_ms: int = 0
    is_news: bool = False
    """Whether something changed since it was published."""
    empty_ms: int = 0
    """Since when no symptom lasts."""
    severity: str = ""


class GroupCell(msgspec.Struct, frozen=True, tag="group"):
    """A cause and how many members it has."""

    place: Place
    wider: str = ""
    """The wider cause whose incident takes this one's place."""
    members: int = 0
    """That last."""
    clusters: int = 0
    """That have one."""
    commit: bytes = b""
    """A `GitCommit` as JSON, as far as it is known."""
    outcomes: dict[str, int] = {}
    left: str = "recovered"
    """How the last symptom ended: recovered, superseded, forgotten."""
    incident: IncidentNote | None = None


class ShardCell(msgspec.Struct, frozen=True, tag="shard"):
    """Members by name; all of a cluster's are in one shard."""

    marks: dict[str, Mark] = {}


class CommandCell(msgspec.Struct, frozen=True, tag="command"):
    """The newest outcome of a command, and the causes it was counted for."""

    revision: int
    result: str
    groups: tuple[str, ...]
    seen_ms: int


class TombsCell(msgspec.Struct, frozen=True, tag="tombs"):
    """Incidents closed within an hour."""

    incident_ids: tuple[str, ...] = ()


IncidentsCell = (
    ClockCell
    | PolicyCell
    | ClusterCell
    | SiteCell
    | CommitCell
    | SymptomCell
    | GroupCell
    | ShardCell
    | CommandCell
    | TombsCell
)


def cluster_of(member: str) -> str:
    """Return the cluster of a member's name, which is `<cluster>|<object>`."""
    return member.partition("|")[0]


def shard_key(cause: str, cluster: str) -> str:
    """Return the key of the shard that holds a cluster's members of a cause."""
    return f"shard/{cause}/{partition_of(cluster, SHARDS)}"


def shard_keys(cause: str) -> tuple[str, ...]:
    """Return the keys of all of a cause's shards."""
    return tuple(f"shard/{cause}/{number}" for number in range(SHARDS))
