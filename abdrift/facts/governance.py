"""What people tell the governor: the policy in force, and approvals, holds, freezes and thaws."""

from enum import StrEnum
from typing import Literal

from pydantic import Field, model_validator

from abdrift import promql
from abdrift.facts.base import Fact, Signature, Timestamp
from abdrift.facts.commands import Verb
from abdrift.facts.drift import DriftKind


class Mode(StrEnum):
    """How far the governor may go."""

    OBSERVE = "observe"
    APPROVE = "approve"
    ACT = "act"


class Requirement(Fact):
    """A Kubernetes label selector requirement."""

    key: str
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _values_fit(self) -> "Requirement":
        needs_values = self.operator in ("In", "NotIn")
        if needs_values != bool(self.values):
            raise ValueError(f"{self.operator} takes {'at least one value' if needs_values else 'no values'}")
        return self


class LabelSelector(Fact):
    """Kubernetes' label selector. Empty matches everything."""

    match_labels: dict[str, str] = Field(default_factory=dict)
    match_expressions: tuple[Requirement, ...] = ()

    def matches(self, labels: dict[str, str]) -> bool:
        """Return whether the labels satisfy every requirement."""
        return all(labels.get(k) == v for k, v in self.match_labels.items()) and all(
            _satisfies(r, labels) for r in self.match_expressions
        )


def _satisfies(requirement: Requirement, labels: dict[str, str]) -> bool:
    value = labels.get(requirement.key)
    match requirement.operator:
        case "In":
            return value in requirement.values
        case "NotIn":
            return value not in requirement.values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None


class Rule(Fact):
    """Which clusters and objects may be acted on, and how. The first rule that matches decides."""

    name: str
    clusters: LabelSelector = Field(default_factory=LabelSelector, description="By the inventory's labels.")
    namespaces: tuple[str, ...] = Field(default=(), description="Of the finding's object; empty matches all.")
    owner_kinds: tuple[str, ...] = Field(default=(), description="Kustomization, HelmRelease; empty matches all.")
    kinds: tuple[DriftKind, ...] = Field(
        default=(), description="Of findings; empty matches all, but failing and alert are acted on only where named."
    )
    mode: Mode = Mode.OBSERVE
    verbs: tuple[Verb, ...] = Field(default=(Verb.RECONCILE,), description="What may be commanded under this rule.")
    grace_seconds: float = Field(default=60, ge=0, le=86_400 * 30)


class Budget(Fact):
    """How many commands a scope may have."""

    in_flight: int = Field(ge=0)
    per_hour: int = Field(ge=0)


class Budgets(Fact):
    """Caps by scope, all kept by one allocator; each must allow a command."""

    cluster: Budget = Budget(in_flight=1, per_hour=12)
    site: Budget = Budget(in_flight=5, per_hour=120)
    fleet: Budget = Budget(in_flight=20, per_hour=600)
    source_host: Budget = Budget(in_flight=20, per_hour=600)


class Backoff(Fact):
    """How long to wait before the same owner is commanded again."""

    initial_seconds: float = Field(default=60, ge=0)
    factor: float = Field(default=2, ge=1)
    max_seconds: float = Field(default=3600, ge=0)
    max_attempts: int = Field(default=5, ge=1, description="After these the governor waits for a person.")


class Breaker(Fact):
    """What stops everything until a person thaws."""

    surge_percent: float = Field(default=20, gt=0, le=100, description="Clusters with a new finding, of those known.")
    surge_min_clusters: int = Field(default=5, ge=1, description="Below this many clusters no surge is seen.")
    surge_window_seconds: float = Field(default=300, gt=0)
    failed_outcomes: int = Field(default=5, ge=1, description="Failures within the window that open it.")
    failed_window_seconds: float = Field(default=900, gt=0)


class Fight(Fact):
    """When two managers undo each other."""

    rounds: int = Field(default=2, ge=1)
    window_seconds: float = Field(default=3600, gt=0)


class Limits(Fact):
    """When evidence is too old and a command too late."""

    max_lag_seconds: float = Field(default=30, gt=0)
    max_evidence_age_seconds: float = Field(default=120, gt=0)
    command_ttl_seconds: float = Field(default=300, gt=0)


class DriftAllowance(Fact):
    """How long something may be off course before it is called so."""

    behind_after_seconds: float = Field(default=300, ge=0)
    failing_after_seconds: float = Field(default=0, ge=0)
    suspended_after_seconds: float = Field(default=3600, ge=0)
    deleted_after_seconds: float = Field(default=0, ge=0)


class IgnoreRule(Fact):
    """What is not drift. All that are given must match; at least one must be given."""

    name: str
    paths: tuple[str, ...] = Field(default=(), description="JSON pointers; a pointer covers its subtree.")
    managers: tuple[str, ...] = Field(default=(), description="Field managers whose writes are quiet.")
    kinds: tuple[str, ...] = Field(default=(), description="Kubernetes kinds, e.g. Deployment.")
    namespaces: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _says_something(self) -> "IgnoreRule":
        if not (self.paths or self.managers or self.kinds or self.namespaces or self.names):
            raise ValueError("an ignore rule needs at least one of paths, managers, kinds, namespaces, names")
        if bad := [p for p in self.paths if p and not p.startswith("/")]:
            raise ValueError(f"not a JSON pointer: {bad[0]!r}; pointers begin with '/'")
        return self


class LevelSubject(StrEnum):
    """Whose health a level is about."""

    WORKLOAD = "workload"
    NODE = "node"
    CLUSTER = "cluster"


class LevelLabels(Fact):
    """Which labels of a series name its subject. Of a workload, the first of its labels that is there does."""

    namespace: str = "namespace"
    deployment: str = "deployment"
    statefulset: str = "statefulset"
    daemonset: str = "daemonset"
    job: str = "job_name"
    pod: str = Field(default="pod", description="Its workload is told from the generated name.")
    node: str = "node"


class LevelRule(Fact):
    """A level that no series may pass for long. Each series is judged alone, at its newest sample."""

    name: str = Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", description="Of health's reason, in CamelCase.")
    selector: str = Field(description="PromQL's instant vector selector, e.g. up{job=~'api|web'}.")
    function: str = Field(default="value", description="value, rate(5m), increase(5m) or quantile(0.9, 5m).")
    comparison: Literal[">", ">=", "<", "<="] = ">"
    threshold: float = Field(allow_inf_nan=False)
    for_seconds: float = Field(default=0, ge=0, le=86_400, description="How long it must hold without a break.")
    severity: Literal["degraded", "failing"] = "degraded"
    subject: LevelSubject = LevelSubject.WORKLOAD
    labels: LevelLabels = LevelLabels()

    @model_validator(mode="after")
    def _reads(self) -> "LevelRule":
        promql.parse_selector(self.selector)
        promql.parse_function(self.function)
        return self


class LogErrors(Fact):
    """When a workload's log lines of severity error and fatal speak against it: unusually many, and a share of all."""

    enabled: bool = True
    share_percent: float = Field(default=5, ge=0, le=100, description="Of all its lines within five minutes.")
    severity: Literal["degraded", "failing"] = "degraded"


class HealthPolicy(Fact):
    """What speaks against a workload's, node's or cluster's health beside what Kubernetes says."""

    rules: tuple[LevelRule, ...] = Field(default=(), max_length=64)
    log_errors: LogErrors = LogErrors()

    @model_validator(mode="after")
    def _names_differ(self) -> "HealthPolicy":
        names = [rule.name for rule in self.rules]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"{twice[0]!r} is the name of several rules; health could not tell them apart")
        if taken := sorted({LOG_ERRORS, SERIES_REFUSED} & set(names)):
            raise ValueError(f"{taken[0]!r} is the name of a rule of Abdrift's own")
        return self


LOG_ERRORS = "log-errors"
SERIES_REFUSED = "series-refused"


class AlertLabels(Fact):
    """Which labels of an alert name its object, in its namespace: a kind with a name, else the first that is there."""

    namespace: str = "namespace"
    kind: str = Field(default="kind", description="Together with `name`.")
    name: str = "name"
    kustomization: str = "kustomization"
    helmrelease: str = "helmrelease"
    deployment: str = "deployment"
    statefulset: str = "statefulset"
    daemonset: str = "daemonset"
    cronjob: str = "cronjob"
    job: str = "job_name"
    pod: str = Field(default="pod", description="Its workload is told from the generated name, if that is known.")


class AlertMapping(Fact):
    """Which alerts become findings, and about what. The first mapping that matches an alert decides."""

    name: str
    senders: tuple[Literal["alertmanager", "flux"], ...] = Field(default=("alertmanager",), min_length=1)
    alerts: LabelSelector = Field(default_factory=LabelSelector, description="By the alert's labels.")
    labels: AlertLabels = AlertLabels()


class Alerts(Fact):
    """What alerts of others mean here. Without a mapping none of them becomes a finding."""

    mappings: tuple[AlertMapping, ...] = Field(default=(), max_length=64)
    stale_after_seconds: float = Field(
        default=21_600, ge=1, description="An alert not told again for so long is over; above the repeat_interval."
    )


class IncidentThresholds(Fact):
    """From when on symptoms that share a cause are one incident, and how long it lasts."""

    enabled: bool = True
    window_seconds: float = Field(default=900, ge=1, le=86_400, description="Symptoms count that began within it.")
    clusters: int = Field(default=2, ge=2, description="That share a revision, a chart's version or a source.")
    site_clusters: int = Field(default=3, ge=2, description="Of one site that are silent or have nodes not ready.")
    site_percent: float = Field(default=20, ge=0, le=100, description="And at least this share of the site's.")
    fleet_percent: float = Field(
        default=50, gt=0, le=100, description="Silent clusters of all; then the sites are not the cause."
    )
    pool_nodes: int = Field(default=3, ge=2, description="Nodes of one pool of a cluster that are not ready.")
    quiet_seconds: float = Field(default=60, ge=0, le=86_400, description="Without a symptom, before it closes.")


class Policy(Fact):
    """The declared policy. Subject: `name`. Everything has a safe default: an empty policy observes."""

    name: str = "default"
    revision: int = Field(default=1, ge=1)
    rules: tuple[Rule, ...] = ()
    budgets: Budgets = Budgets()
    backoff: Backoff = Backoff()
    breaker: Breaker = Breaker()
    fight: Fight = Fight()
    limits: Limits = Limits()
    allowance: DriftAllowance = DriftAllowance()
    ignore: tuple[IgnoreRule, ...] = ()
    alerts: Alerts = Alerts()
    health: HealthPolicy = HealthPolicy()
    incidents: IncidentThresholds = IncidentThresholds()
    applied_by: str | None = None
    applied_at: Timestamp | None = None
    signature: Signature | None = None


class ApprovalAction(StrEnum):
    """What a person can tell the governor."""

    APPROVE = "approve"
    HOLD = "hold"
    RELEASE = "release"
    FREEZE = "freeze"
    THAW = "thaw"


class Approval(Fact):
    """A person's word. Subject: `subject_id`; a later word about the same subject replaces the earlier."""

    approval_id: str
    action: ApprovalAction
    subject_id: str = Field(description="A finding's or command's id, cluster/<name>, or fleet.")
    cluster: str | None = None
    verb: Verb | None = Field(default=None, description="For approve: which verb is approved.")
    by: str = Field(description="Who said it.")
    reason: str
    issued_at: Timestamp
    until: Timestamp | None = Field(default=None, description="When it ends by itself; holds must have one.")
    signature: Signature | None = None

    @model_validator(mode="after")
    def _hold_ends(self) -> "Approval":
        if self.action is ApprovalAction.HOLD and self.until is None:
            raise ValueError("a hold needs an expiry (until): a forgotten one would protect drift for ever")
        return self
