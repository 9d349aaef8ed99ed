"""What the drift step remembers: frozen cells, each under a key that says what it is about.

| key | cell |
| --- | --- |
| `partition` | the clock and, of each cluster, when it wants to be woken next |
| `policy` | the policy in force |
| `remote/<url>` | a Git remote's heads and who follows it |
| `cluster/<cluster>` | what is known of a cluster's sight, and the names of its owners and sources |
| `timers/<cluster>` | what is to be looked at again, and when |
| `tombs/<cluster>/<hour>` | findings closed in that hour, to be forgotten a day later |
| `kind/<cluster>/<group>/<kind>` | the objects of a kind that are there |
| `owner/<cluster>/<object id>` | a Kustomization or HelmRelease: how it stands, and each of its objects |
| `labelled/<cluster>/<object id>` | objects that carry an owner's labels and are in no inventory |
| `source/<cluster>/<object id>` | a source: its artifact, and the owners that follow it |
| `object/<cluster>/<object id>` | an object: as it is, and as it was last proven |
| `scaler/<cluster>/<object id>` | the HorizontalPodAutoscaler that targets an object |
| `alerting/<cluster>` | which alerts fire for which objects, and which were resolved of late |
| `alerts/<cluster>/<object id>` | the alerts that fire for an object |
| `finding/<drift kind>/<cluster>/<object id>` | the last finding about an object |

An object id is `group/kind/namespace/name`: it names the thing, not its version or UID. Documents are masked JSON.
"""

from typing import Final

import msgspec

_PARTS_AFTER_CLUSTER: Final = {
    "cluster": 0,
    "timers": 0,
    "alerting": 0,
    "tombs": 1,
    "kind": 2,
    "owner": 4,
    "labelled": 4,
    "source": 4,
    "object": 4,
    "scaler": 4,
    "alerts": 4,
    "finding": 4,
}
"""By a key's first part: how many follow the cluster's name, which may hold slashes itself."""


def cluster_of(key: str) -> str:
    """Return the cluster that a cell is about; empty where it is about none."""
    noun, _, rest = key.partition("/")
    parts = _PARTS_AFTER_CLUSTER.get(noun)
    if parts is None:
        return ""
    if noun == "finding":
        rest = rest.partition("/")[2]
    return rest.rsplit("/", parts)[0]


class Ref(msgspec.Struct, frozen=True, array_like=True):
    """A Kubernetes object's name in full."""

    group: str
    version: str
    kind: str
    namespace: str
    name: str
    uid: str = ""

    @property
    def id(self) -> str:
        """The object id."""
        return f"{self.group}/{self.kind}/{self.namespace}/{self.name}"


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all cells."""


class PartitionCell(Cell, frozen=True, kw_only=True, tag="partition"):
    """`due_ms` by cluster: a lower bound of when a timer of it is due."""

    clock_ms: int = 0
    due_ms: dict[str, int] = {}


class PolicyCell(Cell, frozen=True, kw_only=True, tag="policy"):
    """`body` is the policy's JSON."""

    body: bytes


class RemoteCell(Cell, frozen=True, kw_only=True, tag="remote"):
    """`detail` is a `RemoteDetail` as JSON, empty before the first. `followers` are (cluster, source id)."""

    detail: bytes = b""
    observed_ms: int = 0
    followers: tuple[tuple[str, str], ...] = ()


class Watch(msgspec.Struct, frozen=True, kw_only=True):
    """How well one kind is seen. `selector` is what its list was restricted to."""

    synced: bool = False
    began_ms: int = 0
    as_of_ms: int = 0
    selector: str = ""
    lost_reason: str = ""
    gap_since_ms: int | None = None
    gap_until_ms: int | None = None
    gap_reason: str = ""


class ClusterCell(Cell, frozen=True, kw_only=True, tag="cluster"):
    """One cluster. `row` counts the rows absorbed: their order of arrival. Times are append times unless observed."""

    row: int = 0
    uid: str = ""
    labels: dict[str, str] = {}
    """As its agent has them."""
    declared: dict[str, str] | None = None
    """As the inventory has them; None where it does not name the cluster."""
    withdrawn: str | None = None
    """Why the inventory names it no longer, empty where nobody said; None where nobody withdrew it."""
    kubernetes_version: str = ""
    first_seen_ms: int = 0
    heartbeat_ms: int = 0
    """Append time of the newest heartbeat; 0 before the first."""
    observed_ms: int = 0
    """When that heartbeat was sent."""
    interval_ms: int = 0
    started_ms: int = 0
    silent: bool = False
    watches: dict[str, Watch] = {}
    """By `group/kind`."""
    owners: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    inventoried: int = 0
    missing: dict[str, int] = {}
    """Inventoried objects that are not there, and since when (append time)."""
    held_since_ms: int = 0
    """More than a tenth of the inventory went at once; 0 where not held."""
    said: str = ""
    said_ms: int = 0


class TimersCell(Cell, frozen=True, kw_only=True, tag="timers"):
    """When to look again, by what to look at and why."""

    due_ms: dict[str, int] = {}


class TombsCell(Cell, frozen=True, kw_only=True, tag="tombs"):
    """Finding ids that were closed within an hour."""

    finding_ids: tuple[str, ...] = ()


class KindCell(Cell, frozen=True, kw_only=True, tag="kind"):
    """Ids of the objects of one kind that are there."""

    ids: tuple[str, ...] = ()


class LabelledCell(Cell, frozen=True, kw_only=True, tag="labelled"):
    """Ids of objects that name an owner by label and that no inventory names."""

    ids: tuple[str, ...] = ()


class OwnerView(msgspec.Struct, frozen=True, kw_only=True):
    """What a Kustomization or HelmRelease says of itself, as far as a judgement needs it."""

    generation: int = 0
    observed_generation: int = 0
    deleting: bool = False
    suspended: bool = False
    suspended_by: str = ""
    suspended_at_ms: int | None = None
    remote: bool = False
    """Its objects live in another cluster (`spec.kubeConfig`)."""
    prune: bool = True
    deletion_policy: str = ""
    phase: str = "idle"
    """idle, applying, or checking (applied; health checks run)."""
    started_ms: int = 0
    """When the reconcile that runs began, by its controller's clock, in whole seconds."""
    ready: bool | None = None
    reason: str = ""
    message: str = ""
    stalled: bool = False
    applied: str = ""
    attempted: str = ""
    attempted_digest: str = ""
    handled_at: str = ""
    requested_at: str = ""
    mark: str = ""
    """Moves with each reconcile that ended."""
    reconciled_ms: int = 0
    """When the last one ended, by the cluster's clock."""
    source: str = ""
    """Object id of the source whose artifact it follows."""
    detection: str = ""
    """HelmRelease: spec.driftDetection.mode."""
    ignore: bytes = b""
    """spec.ignore or spec.driftDetection.ignore, as JSON."""
    release_version: int = 0
    hold_until_ms: int = 0
    inventory: tuple[tuple[str, str], ...] | None = None
    """(object id, version); None where it says none."""


class Reconcile(msgspec.Struct, frozen=True, array_like=True):
    """One reconcile of an owner, by the resourceVersions of the owner's rows; `ended` is 0 while it runs."""

    started: int
    ended: int = 0
    mark: str = ""
    """The owner's mark when it began."""


class OwnerCell(Cell, frozen=True, kw_only=True, tag="owner"):
    """A Kustomization or HelmRelease. Row numbers are the cluster's."""

    ref: Ref
    view: OwnerView = OwnerView()
    exists: bool = False
    seen_row: int = 0
    started_row: int = 0
    """Where the reconcile that runs, or ran last, was first seen; 0 where none was."""
    version: int = -1
    """Its newest row's resourceVersion, where that is a number."""
    reconciles: tuple[Reconcile, ...] = ()
    """The last ones, oldest first."""
    read_as_of: int = -1
    """Up to which write the agent has read the owner after it,"""
    read_version: int = -1
    """and the owner's resourceVersion it found then."""
    settled_observed_ms: int = 0
    """When the last reconcile that was watched from its start had applied all, by the agent's clock; 0 where none."""
    settled_ms: int = 0
    """When the row of its end came."""
    fresh: tuple[str, ...] = ()
    """Objects of which that reconcile was the first proof: a gap in the sight, told later, takes it back."""
    settling_until_ms: int = 0
    """Until when rows of that reconcile may still come late."""
    pending_since_ms: int = 0
    """Since when it has something new to do that it has not begun."""
    behind_since_ms: int = 0
    behind_target: str = ""
    failing_since_ms: int = 0
    suspended_since_ms: int = 0
    objects: dict[str, str] = {}
    """Of each inventoried object: proven, ignored (proven but for ignored fields), drifted, unproven,
    settling, missing, exempt or unknown."""
    holds: dict[str, int] = {}
    """Until when a person holds off what is done to an object of it (ms since the epoch)."""
    known: bool = False
    """Whether it is known which objects it owns."""
    manifest_version: int = 0
    manifest_error: str = ""
    open: dict[str, bool] = {}
    """By key of its open findings: whether they are proven."""
    revision: int = 0
    said: str = ""


class SourceCell(Cell, frozen=True, kw_only=True, tag="source"):
    """A source: GitRepository, OCIRepository, HelmRepository, HelmChart, Bucket."""

    ref: Ref
    exists: bool = False
    generation: int = 0
    url: str = ""
    """Where it fetches from; of a HelmChart, the chart's name or path."""
    git_ref: str = ""
    artifact: str = ""
    artifact_ms: int = 0
    """When it fetched that, by the cluster's clock, though not after that was told; 0 where it does not say."""
    digest: str = ""
    ready: bool | None = None
    reason: str = ""
    message: str = ""
    stalled: bool = False
    suspended: bool = False
    suspended_by: str = ""
    suspended_at_ms: int | None = None
    hold_until_ms: int = 0
    failing_since_ms: int = 0
    suspended_since_ms: int = 0
    followers: tuple[str, ...] = ()


class ObjectCell(Cell, frozen=True, kw_only=True, tag="object"):
    """One object. `live` and `baseline` are masked JSON without status; `baseline` is empty where it equals `live`."""

    ref: Ref
    owner: str = ""
    """Id of the owner whose inventory names it."""
    labelled: str = ""
    """Id of the owner its labels name."""
    present: bool | None = None
    """None before it was ever seen."""
    seen_ms: int = 0
    """When the collector last saw it."""
    epoch: tuple[str, int] = ("", 0)
    """Source and epoch of the agent that did."""
    written_version: int = -1
    """The resourceVersion at which its content last changed, or at which it went; -1 where that is no number."""
    written_row: int = 0
    """The row at which its content last changed."""
    written_ms: int = 0
    written_observed_ms: int = 0
    writer: str = "first"
    """Who wrote that: `first` (at first sight: unknown), `flux`, or `other`."""
    proven: bool = False
    live: bytes = b""
    baseline: bytes = b""
    baseline_uid: str = ""
    desired: bytes = b""
    """HelmRelease: the object in the deployed manifest."""
    traits: tuple[str, ...] = ()
    hold_until_ms: int = 0
    gone_ms: int = 0
    released_ms: int = 0
    """When its owner's inventory named it no longer; 0 while one does, or if none ever did."""
    adopt_at_ms: int = 0
    """When what a reconcile left, though it is not as it was proven, is taken for its baseline; 0 for never."""


class FiringAlert(msgspec.Struct, frozen=True, kw_only=True):
    """One alert that fires, as it was told last. `labels` is a JSON object."""

    sender: str
    name: str
    severity: str
    message: str
    starts_ms: int
    observed_ms: int
    told_ms: int
    """Append time of the row that told it last."""
    labels: bytes


class AlertsCell(Cell, frozen=True, kw_only=True, tag="alerts"):
    """The alerts that fire for one object, by fingerprint."""

    ref: Ref
    firing: dict[str, FiringAlert] = {}
    ended: str = ""
    """Why the last one does not any more."""


class AlertingCell(Cell, frozen=True, kw_only=True, tag="alerting"):
    """By fingerprint: the object for which an alert fires, and when one that does not any more was resolved."""

    firing: dict[str, str] = {}
    resolved: dict[str, int] = {}


class ScalerCell(Cell, frozen=True, kw_only=True, tag="scaler"):
    """The bounds of the autoscaler that targets an object."""

    name: str
    minimum: int
    maximum: int


class FindingCell(Cell, frozen=True, kw_only=True, tag="finding"):
    """The last finding about one object and kind of drift. `body` is the Finding as JSON."""

    finding_id: str
    open: bool
    body: bytes
    said: str
    """A digest of what matters in it: it is told again only when this changes."""
    owner: str = ""
    signature: str = ""
    """What drifted, whatever the values."""
    closed_because: str = ""


AnyCell = (
    PartitionCell
    | PolicyCell
    | RemoteCell
    | ClusterCell
    | TimersCell
    | TombsCell
    | KindCell
    | LabelledCell
    | OwnerCell
    | SourceCell
    | ObjectCell
    | ScalerCell
    | AlertsCell
    | AlertingCell
    | FindingCell
)
