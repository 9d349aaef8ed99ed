"""Letters about what could not be read or written, as facts for `abdrift.dead-letters.v1`."""

import hashlib
from dataclasses import dataclass
from typing import Final

from abdrift.clock import to_datetime
from abdrift.cloudevents import CloudEvent
from abdrift.facts.base import rfc3339
from abdrift.facts.dead_letter import DeadLetter, as_kept
from abdrift.topics import DEAD_LETTER

MAX_KEPT_BYTES: Final = 512 * 1024
"""Of what is refused. In base64 it fits a record as brokers take it by default."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One thing that was refused."""

    topic: str
    """Where it came from: a topic, or a receiver, e.g. `logs/receiver-0`."""
    reason: str
    """A stable kebab-case word; it is counted, so it comes from a fixed set."""
    message: str
    value: bytes = b""
    key: bytes | None = None
    partition: int | None = None
    offset: int | None = None
    row: int | None = None
    """Within a frame."""

    def event(self, refused_by: str, now_ms: int) -> CloudEvent:
        """Return the letter in its envelope; `refused_by` names the collector or sink, e.g. `collectors.logs`."""
        at = to_datetime(now_ms)
        cut = len(self.value) - MAX_KEPT_BYTES
        data = DeadLetter(
            topic=self.topic,
            partition=self.partition,
            offset=self.offset,
            row=self.row,
            reason=self.reason,
            message=self.message + (f" (its last {cut} bytes are not kept)" if cut > 0 else ""),
            refused_by=refused_by,
            refused_at=at,
            key_base64=as_kept(self.key, MAX_KEPT_BYTES),
            value_base64=as_kept(self.value, MAX_KEPT_BYTES),
        )
        return DEAD_LETTER.event(
            self.topic,
            data,
            event_id=self._identity(refused_by, rfc3339(at)),
            source=f"/abdrift/{refused_by.replace('.', '/')}",
            at=at,
        )

    def _identity(self, refused_by: str, at: str) -> str:
        """Return its id: of a record, the same whenever it is read again; else of this moment and these bytes."""
        place = at if self.offset is None else f"{self.partition}\n{self.offset}"
        if self.row is not None:
            place += f"\n{self.row}"
        text = f"{DEAD_LETTER.name}/{refused_by}\n{self.topic}\n{place}\n{self.reason}\n"
        return hashlib.sha256(text.encode() + self.value).hexdigest()[:32]
