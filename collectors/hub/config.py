"""What a user sets for a hub. All of it holds for each cluster by itself."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from collectors.framing import FramerSettings
from collectors.kubernetes.config import KubernetesConfig


class HubConfig(BaseModel):
    """How a hub treats each of its clusters."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    secrets: bool = Field(default=False, description="Watch Secrets that an inventory names; values are masked.")
    heartbeat_seconds: float = Field(default=10, gt=0, le=300)
    lost_after_seconds: float = Field(default=30, gt=0, description="Out of reach this long, a cluster is said so.")
    request_timeout_seconds: float = Field(default=15, gt=0)
    max_objects: int = Field(default=20_000, ge=1, description="Objects remembered; each takes about 400 bytes.")
    requests_per_second: float = Field(default=20, gt=0)
    requests_burst: int = Field(default=120, ge=1, description="A first look takes two for each kind.")
    requests_at_once: int = Field(default=8, ge=1, description="Watches left out.")
    bytes_per_second: float = Field(default=1024 * 1024, gt=0, description="What may be read, lists and watches alike.")
    bytes_burst: int = Field(default=4 * 1024 * 1024, ge=1)
    max_answer_bytes: int = Field(default=32 * 1024 * 1024, ge=1_000)
    buffer_rows: int = Field(default=5_000, ge=1, description="Rows that wait for Kafka; then the cluster waits.")
    buffer_bytes: int = Field(default=4 * 1024 * 1024, ge=1_000)
    restart_initial_seconds: float = Field(default=1, gt=0)
    restart_max_seconds: float = Field(default=60, gt=0)
    stagger_seconds: float = Field(default=0.02, ge=0, description="Between the first requests of two clusters.")
    state_dir: Path | None = Field(default=None, description="Where epochs are kept between starts.")

    def of_cluster(self, name: str) -> KubernetesConfig:
        """Return the configuration of one cluster's agent."""
        return KubernetesConfig(
            cluster=name,
            secrets=self.secrets,
            page_size=100,
            heartbeat_seconds=self.heartbeat_seconds,
            lost_after_seconds=self.lost_after_seconds,
            request_timeout_seconds=self.request_timeout_seconds,
            max_objects=self.max_objects,
            state_dir=self.state_dir,
        )

    def framing(self, partitions: int) -> FramerSettings:
        """Return how one cluster's rows become frames."""
        return FramerSettings(partitions=partitions, buffer_rows=self.buffer_rows, buffer_bytes=self.buffer_bytes)
