"""What is kept of facts: the little that views show. Times are milliseconds since the epoch, None until known."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from abdrift.observed import named

STATUSES: Final = ("healthy", "degraded", "failing", "unknown")
ENDLESS: Final = frozenset({"accepted"})
"""Outcomes after which another one comes."""


@dataclass(slots=True)
class Cluster:
    """One cluster."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    is_inventoried: bool = False
    """Whether an inventory fact tells of it."""
    declared: bool = False
    kubernetes_version: str | None = None
    git_sources: tuple[tuple[str, str], ...] = ()
    """URL and ref of each remote that it follows."""
    told_status: str = "unknown"
    """The word of its health fact, which a newer version may have chosen; `unknown` until there is one."""
    since_ms: int | None = None
    """When its status began; None while no health fact tells of it."""
    reasons: tuple[str, ...] = ()
    told_silent: bool = False
    """Whether its health fact says that heartbeats stay away, or that there never was one."""
    last_seen_ms: int | None = None
    """The newest heartbeat that a fact tells of."""
    as_of_ms: int | None = None
    """The oldest of what its health rests on."""
    is_complete: bool = False
    open: dict[str, str] = field(default_factory=dict)
    """Kind of each open finding, by its id."""
    owners: dict[str, "Owner"] = field(default_factory=dict)
    """By verdict id."""

    @property
    def status(self) -> str:
        """One of `STATUSES`; `unknown` for a word that this version does not know."""
        return self.told_status if self.told_status in STATUSES else "unknown"

    @property
    def is_silent(self) -> bool:
        """Whether its agent's heartbeats stay away, or there never was one."""
        return self.told_silent if self.since_ms is not None else self.last_seen_ms is None

    @property
    def is_known(self) -> bool:
        """Whether an inventory or health fact tells of it, rather than only a finding or a verdict."""
        return self.is_inventoried or self.since_ms is not None

    @property
    def is_told(self) -> bool:
        """Whether any fact tells of it."""
        return self.is_known or bool(self.open or self.owners)

    @property
    def is_drifted(self) -> bool:
        """Whether anything is off course. An alert alone is no drift."""
        return any(kind != "alert" for kind in self.open.values())

    def place(self, label: str) -> str:
        """Return the site, region or environment; empty where it has none."""
        return self.labels.get(label, "")


@dataclass(frozen=True, slots=True)
class Owner:
    """A Kustomization or HelmRelease, and what is known of its objects."""

    name: str
    """Kind namespace/name."""
    verdict: str
    reasons: tuple[str, ...]
    applied: str | None
    artifact: str | None
    ready: bool | None
    is_suspended: bool


@dataclass(frozen=True, slots=True)
class Ref:
    """A Kubernetes object."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        """Return it as people write it: Kind namespace/name."""
        return named({"kind": self.kind, "namespace": self.namespace, "name": self.name})


@dataclass(frozen=True, slots=True)
class Finding:
    """One drift, in short."""

    finding_id: str
    revision: int
    cluster: str
    kind: str
    is_open: bool
    about: Ref
    owned_by: Ref | None
    message: str
    opened_ms: int
    closed_ms: int | None
    closed_because: str | None
    is_proven: bool
    desired: str | None
    """The revision it should be at, for behind and failing."""

    @property
    def object(self) -> str:
        """The object: Kind namespace/name."""
        return str(self.about)

    @property
    def owner(self) -> str | None:
        """The Kustomization or HelmRelease that owns it, likewise."""
        return str(self.owned_by) if self.owned_by else None


@dataclass(frozen=True, slots=True)
class Ended:
    """The newest outcome of a command."""

    result: str
    at_ms: int
    reasons: tuple[str, ...] = ()

    @property
    def is_final(self) -> bool:
        """Whether no other one comes."""
        return self.result not in ENDLESS


@dataclass(frozen=True, slots=True)
class Command:
    """A command of late."""

    command_id: str
    cluster: str
    verb: str
    target: str
    finding_ids: tuple[str, ...]
    reason: str
    issued_ms: int
    expires_ms: int

    def is_in_flight(self, ended: Ended | None, now_ms: int) -> bool:
        """Whether it may still be carried out, given its newest outcome."""
        return now_ms < self.expires_ms if ended is None else not ended.is_final


@dataclass(frozen=True, slots=True)
class Breaker:
    """Whether the governor may act."""

    is_open: bool
    frozen_by: str | None
    codes: tuple[str, ...]
    reasons: tuple[str, ...]
    """The sentences that go with the codes."""
    since_ms: int
