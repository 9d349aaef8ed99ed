"""Dead letters: what could not be read, kept whole, with the reason."""

import base64

from pydantic import Field

from abdrift.facts.base import Fact, Timestamp


class DeadLetter(Fact):
    """One record (or part of one) that was refused. Subject: the source topic, or the receiver that it came by."""

    topic: str = Field(description="The source topic; of what was received, the receiver's source, e.g. logs/hub-0.")
    partition: int | None = Field(default=None, description="Absent for what came by no topic.")
    offset: int | None = Field(default=None, description="Absent for what came by no topic.")
    row: int | None = Field(default=None, description="The row within the frame; absent for the whole record.")
    reason: str = Field(description="A stable kebab-case word, e.g. bad-frame, unknown-version, bad-row, bad-event.")
    message: str
    refused_by: str = Field(description="The collector, step or sink that could not read it.")
    refused_at: Timestamp
    key_base64: str | None = None
    value_base64: str | None = Field(
        default=None, description="The original bytes; of a log event, with what looks secret hidden."
    )
    headers: dict[str, str] = Field(default_factory=dict, description="Header values in base64.")


def as_kept(value: bytes | None, most_bytes: int) -> str | None:
    """Return bytes as a letter keeps them: the first `most_bytes` of them, in base64."""
    return None if value is None else base64.b64encode(value[:most_bytes]).decode()
