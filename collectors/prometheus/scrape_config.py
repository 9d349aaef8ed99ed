"""What a user sets for scraping, in the words of Prometheus's own configuration.

Source: https://prometheus.io/docs/prometheus/latest/configuration/configuration/#scrape_config. What is not here is
refused, so that nobody believes in a setting that does nothing.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BeforeValidator, Field, SecretStr, model_validator

from abdrift.configuration import Settings, doubled
from collectors.prometheus.cardinality import SeriesLimits
from collectors.prometheus.relabelling import Rule

_UNITS_SECONDS: Final = {"y": 31_536_000, "w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1, "ms": 0.001}
_DURATION: Final = re.compile(r"(?:\d+(?:ms|[ywdhms]))+")
_PART: Final = re.compile(r"(\d+)(ms|[ywdhms])")
_SIZE: Final = re.compile(r"(\d+)\s*([KMGT]i?)?B?", re.IGNORECASE)


def seconds(value: Any) -> Any:
    """Read a duration as Prometheus writes it (`1m30s`); a number is one of seconds."""
    if not isinstance(value, str):
        return value
    if not _DURATION.fullmatch(value):
        raise ValueError(f"{value!r} is no duration, as 15s or 1m30s")
    return sum(int(number) * _UNITS_SECONDS[unit] for number, unit in _PART.findall(value))


def size_bytes(value: Any) -> Any:
    """Read a size as Prometheus writes it (`10MB`, in steps of 1,024); a number is one of bytes."""
    if not isinstance(value, str):
        return value
    match = _SIZE.fullmatch(value)
    if not match:
        raise ValueError(f"{value!r} is no size, as 512KB or 10MB")
    return int(match[1]) << (10 * (" KMGT".index(match[2][0].upper()) if match[2] else 0))


Seconds = Annotated[float, BeforeValidator(seconds), Field(gt=0)]
Size = Annotated[int, BeforeValidator(size_bytes), Field(ge=0)]


class BasicAuth(Settings):
    """A user name, and a password or its file."""

    username: str
    password: SecretStr | None = None
    password_file: Path | None = None


class Authorization(Settings):
    """An Authorization header."""

    type: str = "Bearer"
    credentials: SecretStr | None = None
    credentials_file: Path | None = None


class TlsConfig(Settings):
    """How a target proves who it is, and we to it. Files are PEM."""

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    server_name: str | None = None
    insecure_skip_verify: bool = False


class StaticTargets(Settings):
    """Targets by address."""

    targets: tuple[str, ...]
    labels: dict[str, str] = Field(default_factory=dict)


class FileTargets(Settings):
    """Files of targets, in YAML or JSON; the last part of a path may be a glob."""

    files: tuple[str, ...] = Field(min_length=1)
    refresh_interval: Seconds = 30


class Namespaces(Settings):
    """Which namespaces are looked at; none named: all."""

    names: tuple[str, ...] = ()


class KubernetesTargets(Settings):
    """Pods or endpoints of one cluster."""

    role: Literal["pod", "endpoints"]
    kubeconfig_file: Path | None = Field(default=None, description="Absent: the Pod's ServiceAccount.")
    namespaces: Namespaces = Namespaces()
    label_selector: str = Field(default="", description="Of the Pods or Endpoints, as kubectl's -l.")
    refresh_interval: Seconds = 30


class ScrapeJob(Settings):
    """One `scrape_config`."""

    job_name: str = Field(min_length=1)
    scrape_interval: Seconds | None = None
    scrape_timeout: Seconds | None = None
    metrics_path: str = "/metrics"
    scheme: Literal["http", "https"] = "http"
    params: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    honor_labels: bool = False
    honor_timestamps: bool = True
    sample_limit: int = Field(default=0, ge=0, description="0: none.")
    body_size_limit: Size = Field(default=16 << 20, description="Unpacked; 0: the default.")
    label_limit: int = Field(default=0, ge=0)
    label_name_length_limit: int = Field(default=0, ge=0)
    label_value_length_limit: int = Field(default=0, ge=0)
    basic_auth: BasicAuth | None = None
    authorization: Authorization | None = None
    tls_config: TlsConfig = TlsConfig()
    static_configs: tuple[StaticTargets, ...] = ()
    file_sd_configs: tuple[FileTargets, ...] = ()
    kubernetes_sd_configs: tuple[KubernetesTargets, ...] = ()
    relabel_configs: tuple[Rule, ...] = ()
    metric_relabel_configs: tuple[Rule, ...] = ()

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.basic_auth and self.authorization:
            raise ValueError("give either basic_auth or authorization")
        return self


class GlobalSettings(Settings):
    """What holds where a job says nothing else."""

    scrape_interval: Seconds = 60
    scrape_timeout: Seconds = 10
    external_labels: dict[str, str] = Field(default_factory=dict)


class ScrapeConfig(Settings):
    """What is scraped, and of which cluster it is."""

    cluster: str | None = Field(default=None, description="All that is scraped is of this cluster.")
    cluster_label: str = Field(default="cluster", description="Else the label of each series that names its cluster.")
    max_targets: int = Field(default=2_000, ge=1)
    series: SeriesLimits = Field(default=SeriesLimits(), description="For each job.")
    global_: GlobalSettings = Field(default=GlobalSettings(), alias="global")
    scrape_configs: tuple[ScrapeJob, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if twice := doubled(job.job_name for job in self.scrape_configs):
            raise ValueError(f"job {twice!r} is configured twice")
        for job in self.scrape_configs:
            if self.timeout_seconds(job) > self.interval_seconds(job):
                raise ValueError(f"job {job.job_name!r}: scrape_timeout is greater than scrape_interval")
        return self

    def interval_seconds(self, job: ScrapeJob) -> float:
        """Return how often a job's targets are scraped."""
        return job.scrape_interval or self.global_.scrape_interval

    def timeout_seconds(self, job: ScrapeJob) -> float:
        """Return how long a scrape may take; a job that sets none never waits longer than its interval."""
        return job.scrape_timeout or min(self.global_.scrape_timeout, self.interval_seconds(job))


Discovered = Mapping[str, str]
"""The labels of a target as it was discovered, `__address__` among them."""
