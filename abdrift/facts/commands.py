"""Commands, the decisions behind them, and what came of them."""

from enum import StrEnum

from pydantic import Field

from abdrift.facts.base import ClusterRef, Fact, ObjectRef, Signature, Timestamp


class Verb(StrEnum):
    """What a sink can be asked to do; fixed. `refresh` and `sync` are Argo CD's."""

    RECONCILE = "reconcile"
    RECONCILE_WITH_SOURCE = "reconcile-with-source"
    FORCE = "force"
    RESET = "reset"
    SUSPEND = "suspend"
    RESUME = "resume"
    REFRESH = "refresh"
    SYNC = "sync"


RESOLVE_ALERT = "resolve-alert"
"""The effect by which an alert is to be resolved: seen later than a corrected field, when its sender says so."""


class ExpectedEffect(Fact):
    """One thing that carrying out a command will change."""

    finding_id: str | None = None
    object: ObjectRef
    paths: tuple[str, ...] = Field(default=(), description="JSON pointers; empty for the whole object.")
    effect: str = Field(description="e.g. restore-fields, recreate-object, apply-revision.")


class Command(Fact):
    """A signed order to one cluster. Subject: `command_id`, which is also the value written to requestedAt."""

    command_id: str
    verb: Verb
    cluster: ClusterRef
    target: ObjectRef = Field(description="The Kustomization or HelmRelease.")
    finding_ids: tuple[str, ...]
    expected_revision: str | None = Field(
        default=None, description="The revision that must be applied and fetched when it is carried out."
    )
    expected_effects: tuple[ExpectedEffect, ...] = ()
    reason: str
    policy: str = Field(description="name@revision of the policy that allowed it.")
    approval_id: str | None = None
    attempt: int = Field(default=1, ge=1)
    issued_at: Timestamp
    expires_at: Timestamp
    fencing: int = Field(
        ge=0, description="Counts up with each command; a sink refuses what is not above the highest it has accepted."
    )
    signature: Signature | None = None


class DecisionResult(StrEnum):
    """What the governor made of a finding."""

    COMMANDED = "commanded"
    AWAITING_APPROVAL = "awaiting-approval"
    DEFERRED = "deferred"
    REFUSED = "refused"
    OBSERVED = "observed"


class DecisionReason(Fact):
    """One reason for a decision."""

    code: str = Field(description="A stable kebab-case word, e.g. held, budget-cluster, stale-evidence, breaker-open.")
    message: str


class Decision(Fact):
    """What the governor decided about a set of findings of one owner. Subject: `decision_id`."""

    decision_id: str
    cluster: ClusterRef | None = Field(
        default=None, description="Absent where a policy or a word about the whole fleet was refused."
    )
    owner: ObjectRef | None = None
    finding_ids: tuple[str, ...]
    result: DecisionResult
    verb: Verb | None = None
    reasons: tuple[DecisionReason, ...]
    command_id: str | None = None
    policy: str | None = None
    decided_at: Timestamp
    retry_at: Timestamp | None = Field(default=None, description="When it will be looked at again, if that is known.")


class BreakerState(Fact):
    """Whether the governor may act at all. Subject: `governor`."""

    revision: int = Field(ge=1)
    open: bool = Field(description="True while nothing is commanded.")
    frozen_by: str | None = Field(default=None, description="Who froze the fleet, if a person did.")
    reasons: tuple[DecisionReason, ...] = ()
    since: Timestamp
    commands_in_flight: int = 0


class OutcomeResult(StrEnum):
    """`accepted` is written before anything is done; one of the others ends the command."""

    ACCEPTED = "accepted"
    CORRECTED = "corrected"
    HANDLED_NOT_CORRECTED = "handled-not-corrected"
    FAILED = "failed"
    REJECTED = "rejected"
    EXPIRED = "expired"


class Outcome(Fact):
    """What came of a command. Subject: `command_id`."""

    command_id: str
    revision: int = Field(ge=1)
    cluster: ClusterRef
    verb: Verb | None = None
    target: ObjectRef | None = None
    finding_ids: tuple[str, ...] = ()
    result: OutcomeResult
    reasons: tuple[DecisionReason, ...] = ()
    fencing: int | None = None
    command_partition: int | None = Field(default=None, description="Where the command was read.")
    command_offset: int | None = None
    issued_at: Timestamp | None = None
    received_at: Timestamp | None = None
    patched_at: Timestamp | None = Field(default=None, description="When the API server had taken the patch.")
    handled_at: Timestamp | None = Field(default=None, description="When the controller said it had handled it.")
    ready_at: Timestamp | None = Field(default=None, description="When it was Ready at this generation and revision.")
    corrected_at: Timestamp | None = Field(default=None, description="When every finding's paths were back.")
    finished_at: Timestamp | None = None
    applied_revision: str | None = None
    carried_out_by: str | None = Field(default=None, description="The sink's identity.")
