"""What a site sets for its sink. None of it can be widened by a command."""

from pydantic import BaseModel, ConfigDict, Field

from abdrift.facts.commands import Verb

FLUX_VERBS = (Verb.RECONCILE, Verb.RECONCILE_WITH_SOURCE, Verb.FORCE, Verb.RESET, Verb.SUSPEND, Verb.RESUME)


class GitOpsConfig(BaseModel):
    """One cluster's sink."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cluster: str = Field(min_length=1, description="The cluster's name in the fleet.")
    verbs: tuple[Verb, ...] = Field(default=FLUX_VERBS, description="What this site lets be done at all.")
    hourly_cap: int = Field(default=60, ge=0, description="Commands carried out in any 60 minutes, at most.")
    in_flight_cap: int = Field(default=4, ge=1, description="Commands carried out at the same time, at most.")
    max_ttl_seconds: float = Field(default=86_400, gt=0, description="A command that lives longer is refused.")
    max_clock_skew_seconds: float = Field(default=30, ge=0, description="How far ahead issued_at may be.")
    handled_timeout_seconds: float = Field(default=120, gt=0, description="From the patch to Ready.")
    corrected_timeout_seconds: float = Field(default=30, gt=0, description="From Ready to the findings' closing.")
    resolved_timeout_seconds: float = Field(
        default=600, gt=0, description="From then to the alerts' resolving; less where the governor waits less."
    )
    poll_seconds: float = Field(default=0.1, gt=0, description="Between looks at the object that is followed.")
    veto_namespace: str = "abdrift-system"
    veto_config_map: str = Field(
        default="abdrift-local", description="A ConfigMap by which the site freezes (data.freeze: reason)."
    )
