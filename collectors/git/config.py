"""What a user sets for the Git collector."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class GitConfig(BaseModel):
    """How remotes are asked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    interval_seconds: float = Field(default=30, gt=0, description="How often each remote is asked.")
    report_seconds: float = Field(default=60, gt=0, description="Heads that did not move are told this often.")
    timeout_seconds: float = Field(default=20, gt=0, description="For one git command.")
    concurrency: int = Field(default=8, ge=1, le=256, description="Remotes asked at the same time.")
    max_remotes: int = Field(default=10_000, ge=1, description="More are refused, and counted.")
    credential_helper: str | None = Field(default=None, description="git's credential.helper, e.g. store --file=…")
    ssh_command: str = Field(
        default="ssh -o BatchMode=yes -o ConnectTimeout=10", description="git's core.sshCommand; it must never prompt."
    )
    state_dir: Path | None = Field(default=None, description="Where the epoch is kept between starts.")

    @property
    def source(self) -> str:
        """The collector's name in lanes, metrics and evidence."""
        return "git"
