"""What users set of the sink, and how the file looks."""

from pathlib import Path

from pydantic import Field, field_validator, model_validator

from abdrift.configuration import Settings, doubled

RESERVED_LABELS = frozenset(
    {"alertname", "severity", "cause_kind", "cause", "revision", "site", "cluster", "node_pool"}
)

EXAMPLE = """\
# abdrift sink alertmanager --config alertmanager.yaml --kafka kafka:9092
alertmanagers:                    # each is told of every incident: the members of one high-availability cluster
  - url: https://alertmanager-0.example:9093
    # ca_file: /etc/abdrift/alertmanager-ca.crt
    # bearer_token_file: /etc/abdrift/alertmanager-token
  # - url: https://alertmanager-1.example:9093

resend_seconds: 60                # an alert that is not told again for four times as long is over
timeout_seconds: 10

labels: {}                        # set on every alert, e.g. {team: platform}
# page_url: https://abdrift.example/#incident={incident_id}      # where people read more
# runbook_url: https://runbooks.example/abdrift/{cause_kind}
"""


class Target(Settings):
    """One Alertmanager."""

    url: str = Field(pattern=r"^https?://[^\s]+$", description="Without /api/v2.")
    bearer_token_file: Path | None = None
    ca_file: Path | None = None


class AlertmanagerConfig(Settings):
    """The sink."""

    alertmanagers: tuple[Target, ...] = Field(min_length=1, max_length=16)
    resend_seconds: float = Field(default=60, ge=1, le=3_600)
    timeout_seconds: float = Field(default=10, ge=0.1, le=300)
    labels: dict[str, str] = Field(default_factory=dict)
    page_url: str | None = Field(default=None, pattern=r"^https?://[^\s]+$")
    runbook_url: str | None = Field(default=None, pattern=r"^https?://[^\s]+$")

    @field_validator("labels")
    @classmethod
    def _are_free(cls, labels: dict[str, str]) -> dict[str, str]:
        if taken := sorted(RESERVED_LABELS & labels.keys()):
            raise ValueError(f"{taken[0]!r} is set by the incident itself")
        return labels

    @field_validator("page_url", "runbook_url")
    @classmethod
    def _has_known_places(cls, template: str | None) -> str | None:
        try:
            if template:
                template.format(incident_id="", cause_kind="", cause="")
        except (KeyError, IndexError, ValueError) as error:
            raise ValueError(f"may hold {{incident_id}}, {{cause_kind}} and {{cause}}, not {error}") from error
        return template

    @model_validator(mode="after")
    def _urls_differ(self) -> "AlertmanagerConfig":
        if twice := doubled(one.url for one in self.alertmanagers):
            raise ValueError(f"{twice} is named twice")
        return self
