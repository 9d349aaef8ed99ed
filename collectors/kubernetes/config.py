"""What a user sets for one cluster's agent."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

KUSTOMIZE_LABEL = "kustomize.toolkit.fluxcd.io/name"
HELM_LABEL = "helm.toolkit.fluxcd.io/name"

FLUX_KINDS: tuple[tuple[str, str], ...] = (
    ("source.toolkit.fluxcd.io", "GitRepository"),
    ("source.toolkit.fluxcd.io", "OCIRepository"),
    ("source.toolkit.fluxcd.io", "HelmRepository"),
    ("source.toolkit.fluxcd.io", "HelmChart"),
    ("source.toolkit.fluxcd.io", "Bucket"),
    ("source.toolkit.fluxcd.io", "ExternalArtifact"),
    ("kustomize.toolkit.fluxcd.io", "Kustomization"),
    ("helm.toolkit.fluxcd.io", "HelmRelease"),
)
HEALTH_KINDS: tuple[tuple[str, str], ...] = (
    ("", "Namespace"),
    ("", "Node"),
    ("apps", "Deployment"),
    ("apps", "StatefulSet"),
    ("apps", "DaemonSet"),
    ("batch", "Job"),
    ("batch", "CronJob"),
    ("autoscaling", "HorizontalPodAutoscaler"),
)


class KubernetesConfig(BaseModel):
    """One cluster, how to reach it, and what to watch there."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cluster: str = Field(min_length=1, max_length=253, description="Its name, unique in the fleet.")
    labels: dict[str, str] = Field(default_factory=dict, description="site, region, environment, customer, wave, …")
    kubeconfig: Path | None = Field(default=None, description="Absent: the Pod's ServiceAccount.")
    context: str | None = Field(default=None, description="Absent: the kubeconfig's current context.")
    kinds: tuple[tuple[str, str], ...] = Field(
        default=FLUX_KINDS + HEALTH_KINDS, description="(group, kind) watched whole, whatever its labels."
    )
    inventoried: bool = Field(default=True, description="Watch each kind that an inventory names, by Flux's labels.")
    events: bool = Field(default=True, description="Watch Kubernetes Events.")
    secrets: bool = Field(default=False, description="Watch Secrets that an inventory names; values are masked.")
    helm_storage: bool = Field(
        default=True, description="Read releases' manifests where the ServiceAccount may; says so where not."
    )
    page_size: int = Field(default=250, ge=1, le=5_000)
    heartbeat_seconds: float = Field(default=5, gt=0, le=300)
    request_timeout_seconds: float = Field(default=15, gt=0)
    connect_timeout_seconds: float = Field(default=5, gt=0)
    watch_seconds: int = Field(default=540, ge=5, description="A watch is asked to end after about this time.")
    idle_seconds: float = Field(
        default=90, gt=0, description="A watch without a word, not even a bookmark, is opened anew after this."
    )
    lost_after_seconds: float = Field(default=30, gt=0, description="A kind out of sight this long is said to be lost.")
    retry_initial_seconds: float = Field(default=0.2, gt=0)
    retry_max_seconds: float = Field(default=10, gt=0)
    refused_retry_seconds: float = Field(default=60, gt=0, description="How long after a 403 or 404 to ask again.")
    recheck_seconds: float = Field(
        default=30, gt=0, description="How often objects that the watches don't show are fetched one by one."
    )
    recheck_concurrency: int = Field(default=4, ge=1, le=64)
    event_horizon_seconds: float = Field(default=300, ge=0, description="Older Events found by a list are left out.")
    max_objects: int = Field(default=200_000, ge=1, description="Objects remembered; each takes about 400 bytes.")
    state_dir: Path | None = Field(default=None, description="Where the epoch is kept between starts.")

    @property
    def source(self) -> str:
        """The agent's name in lanes, metrics and evidence."""
        return f"kubernetes/{self.cluster}"
