"""What all facts share: time, references and evidence."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema


def rfc3339(moment: datetime) -> str:
    """Return RFC 3339 in UTC with milliseconds, ending in Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _milliseconds(moment: datetime) -> datetime:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


Timestamp = Annotated[
    AwareDatetime,
    AfterValidator(_milliseconds),
    PlainSerializer(rfc3339, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""An instant with millisecond precision, RFC 3339 in UTC on the wire."""


class Fact(BaseModel):
    """A model of the public contract: frozen, and tolerant of fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class ClusterRef(Fact):
    """A cluster, by its fleet name and by its own identity."""

    name: str = Field(description="Unique in the fleet; decides the partition.")
    uid: str | None = Field(default=None, description="metadata.uid of the namespace kube-system; absent until seen.")


class ObjectRef(Fact):
    """A Kubernetes object, in Kubernetes' own terms."""

    group: str = Field(default="", description="API group; empty for the core group.")
    version: str = "v1"
    kind: str
    namespace: str | None = Field(default=None, description="Absent for cluster-scoped objects.")
    name: str
    uid: str | None = None


class Gap(Fact):
    """A stretch of time in which a source may have missed something."""

    since: Timestamp
    until: Timestamp | None = Field(default=None, description="Absent while the gap lasts.")
    reason: str = Field(description="e.g. watch-expired, agent-restarted, api-unreachable, forbidden.")


class SourceEvidence(Fact):
    """What one source contributed to a verdict."""

    source: str = Field(description="e.g. kubernetes/edge-0042 or git/https://git.example/fleet.git")
    what: str | None = Field(default=None, description="The part of it, e.g. apps/Deployment.")
    as_of: Timestamp | None = Field(default=None, description="The newest moment this source vouches for.")
    complete: bool = Field(description="False while not synced, unreadable or inside a gap.")
    gap: Gap | None = Field(default=None, description="The most recent known gap, also after it has closed.")


class Evidence(Fact):
    """What a verdict rests on: how old and how complete."""

    as_of: Timestamp | None = Field(
        default=None, description="The oldest of its sources' as_of; absent with no source."
    )
    complete: bool = Field(description="True where every source is complete.")
    sources: tuple[SourceEvidence, ...] = ()


class Signature(Fact):
    """An Ed25519 signature over the fact's type and the canonical JSON of the data without this member."""

    key_id: str = Field(description="The first 16 hex digits of the SHA-256 of the raw public key.")
    algorithm: Literal["Ed25519"] = "Ed25519"
    value: str = Field(description="Base64.")
