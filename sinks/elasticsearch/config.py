"""What a user sets: where Elasticsearch is, what goes there, and for how long it stays."""

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Self

from elasticsearch import AsyncElasticsearch
from pydantic import Field, FilePath, field_validator, model_validator

from abdrift.configuration import ConfigurationError, Settings
from abdrift.signals.logs import Severity
from sinks.elasticsearch.indices import NOUNS

_LEVELS = tuple(Severity)
"""From least to worst."""


class Server(Settings):
    """How Elasticsearch is reached. Without `api_key_file` and `username` nobody logs in."""

    urls: tuple[str, ...] = Field(min_length=1)
    api_key_file: FilePath | None = None
    username: str | None = None
    password_file: FilePath | None = None
    ca_file: FilePath | None = None
    client_certificate: FilePath | None = None
    client_key: FilePath | None = None
    request_seconds: float = Field(default=60, gt=0, description="For one answer, at most.")

    @field_validator("urls")
    @classmethod
    def _are_urls(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        for url in urls:
            if not url.startswith(("http://", "https://")):
                raise ValueError(f"{url!r} does not begin with http:// or https://")
            if "@" in url:
                raise ValueError("a URL carries no password; use username and password_file, or api_key_file")
        return urls

    @model_validator(mode="after")
    def _one_login(self) -> Self:
        if self.api_key_file and self.username:
            raise ValueError("api_key_file and username are two ways to log in; choose one")
        if bool(self.username) != bool(self.password_file):
            raise ValueError("username and password_file go together")
        if bool(self.client_certificate) != bool(self.client_key):
            raise ValueError("client_certificate and client_key go together")
        return self

    def client(self) -> AsyncElasticsearch:
        """Return a client that tries nothing a second time by itself.

        Raises:
            ConfigurationError: a file cannot be read.

        """
        arguments: dict[str, Any] = {"ca_certs": _text(self.ca_file), "client_cert": _text(self.client_certificate)}
        arguments |= {"client_key": _text(self.client_key)}
        if self.api_key_file:
            arguments["api_key"] = _secret(self.api_key_file)
        if self.username and self.password_file:
            arguments["basic_auth"] = (self.username, _secret(self.password_file))
        given = {name: value for name, value in arguments.items() if value is not None}
        return AsyncElasticsearch(
            list(self.urls), request_timeout=self.request_seconds, max_retries=0, retry_on_timeout=False, **given
        )


class Indices(Settings):
    """What Elasticsearch is told of the indices."""

    setup: bool = Field(default=True, description="Install templates and policies at start; else others do.")
    shards: int = Field(default=1, ge=1)
    replicas: int = Field(default=1, ge=0)


class Facts(Settings):
    """Which facts, by their topics' nouns, and for how long."""

    topics: tuple[str, ...] = NOUNS
    only_current: tuple[str, ...] = Field(default=(), description="Of these no history: only what is so now.")
    retention_days: int = Field(default=400, ge=31, description="By the fact's own time.")

    @field_validator("topics", "only_current")
    @classmethod
    def _are_topics(cls, topics: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := sorted(set(topics) - set(NOUNS)):
            raise ValueError(f"there is no topic {unknown[0]!r}; there are {', '.join(NOUNS)}")
        return topics


class Stream(Settings):
    """What both data streams have."""

    enabled: bool = True
    clusters: tuple[str, ...] = Field(default=("*",), min_length=1, description="Globs.")
    namespaces: tuple[str, ...] = Field(default=("*",), min_length=1, description="Globs, of Kubernetes namespaces.")
    data_stream_namespace: str = Field(default="default", pattern=r"^[a-z0-9_.]+$", max_length=100)
    retention_days: int = Field(default=14, ge=1)

    def has(self, cluster: str, namespace: str) -> bool:
        """Return whether a row of this cluster and namespace is wanted."""
        return _any(cluster, self.clusters) and _any(namespace, self.namespaces)


class Events(Stream):
    """Which Kubernetes Events."""

    types: tuple[str, ...] = ("Warning",)


class Logs(Stream):
    """Which log lines."""

    severity: Severity = Field(default=Severity.ERROR, description="This bad or worse.")

    @property
    def severities(self) -> tuple[str, ...]:
        """The severities that are wanted."""
        return tuple(level.value for level in _LEVELS[_LEVELS.index(self.severity) :])


class Bulk(Settings):
    """How much is sent at once, and how failures are waited out."""

    documents: int = Field(default=2_000, ge=1, le=5_000)
    size_bytes: int = Field(default=5_242_880, ge=65_536, le=52_428_800)
    backoff_initial_seconds: float = Field(default=0.5, gt=0)
    backoff_max_seconds: float = Field(default=30, gt=0)


class ElasticsearchConfig(Settings):
    """The whole file."""

    group: str = Field(default="abdrift-elasticsearch", min_length=1, description="What consumer groups begin with.")
    elasticsearch: Server
    indices: Indices = Indices()
    facts: Facts = Facts()
    events: Events = Events()
    logs: Logs = Logs()
    bulk: Bulk = Bulk()


def _any(name: str, globs: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, glob) for glob in globs)


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _secret(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from error
