"""Dead letters: what could not be read, kept whole, with the reason."""

from pydantic import Field

from abdrift.facts.base import Fact, Timestamp


class DeadLetter(Fact):
    """One record (or part of one) that was refused. Subject: the source topic."""

    topic: str
    partition: int
    offset: int
    row: int | None = Field(default=None, description="The row within the frame; absent for the whole record.")
    reason: str = Field(description="A stable kebab-case word, e.g. bad-frame, unknown-version, bad-row, bad-event.")
    message: str
    refused_by: str = Field(description="The step or sink that could not read it.")
    refused_at: Timestamp
    key_base64: str | None = None
    value_base64: str | None = Field(default=None, description="The original bytes.")
    headers: dict[str, str] = Field(default_factory=dict, description="Header values in base64.")
