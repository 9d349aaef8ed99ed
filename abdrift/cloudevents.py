"""CloudEvents 1.0 in structured JSON mode: the envelope of every fact.

The context attributes follow the CloudEvents 1.0.2 specification; `cluster` is our one extension attribute, since
consumers filter by it before they parse `data`.
"""

from typing import Any, Final, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field

CONTENT_TYPE = b"application/cloudevents+json; charset=UTF-8"
"""The Kafka record header `content-type` of a structured-mode CloudEvent."""
HEADERS: Final = (("content-type", CONTENT_TYPE),)
"""The headers of a record that is one."""


class CloudEvent(BaseModel):
    """One fact in its envelope. `data` has the shape that the type's JSON Schema gives."""

    model_config = ConfigDict(frozen=True, extra="allow")

    specversion: Literal["1.0"] = "1.0"
    id: str = Field(min_length=1, description="A hash of subject, kind and cause: a replay carries the same id.")
    source: str = Field(
        min_length=1,
        description="The step or sink that concluded this, e.g. /abdrift/streams/drift.",
        json_schema_extra={"format": "uri-reference"},
    )
    type: str = Field(min_length=1, description="The fact's type, e.g. dev.abdrift.fleet.drift.v1.")
    subject: str = Field(min_length=1, description="What the fact is about; the record's key.")
    time: str = Field(
        description="RFC 3339, when the cause was appended to its topic.", json_schema_extra={"format": "date-time"}
    )
    datacontenttype: str = "application/json"
    dataschema: str | None = Field(
        default=None,
        description="The $id of the JSON Schema that data follows.",
        json_schema_extra={"format": "uri"},
    )
    cluster: str | None = Field(default=None, description="The cluster's fleet name; absent for fleet-wide facts.")
    data: dict[str, Any]

    def encode(self) -> bytes:
        """Return the record's value: structured JSON, keys in a fixed order."""
        return orjson.dumps(self.model_dump(mode="json", exclude_none=True))

    @classmethod
    def decode(cls, value: bytes) -> "CloudEvent":
        """Return the event in a record's value.

        Raises:
            pydantic.ValidationError: the bytes are no CloudEvent.

        """
        return cls.model_validate_json(value)
