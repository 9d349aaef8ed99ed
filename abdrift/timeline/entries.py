"""What a line of time is made of, and the words that its entries share."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from abdrift.clock import parse_rfc3339_ms, to_datetime
from abdrift.facts.base import rfc3339

_COMMIT: Final = re.compile(r"\b(?:sha1:|sha256:)?([0-9a-f]{7})[0-9a-f]{33,57}\b")


class Kind(StrEnum):
    """What an entry is about."""

    GIT = "git"
    DRIFT = "drift"
    EVIDENCE = "evidence"
    """What is known, or no longer known, of a GitOps object's objects."""
    HEALTH = "health"
    INCIDENT = "incident"
    GOVERNOR = "governor"
    """Why nothing is commanded: refused, put off, waiting, the breaker."""
    PERSON = "person"
    COMMAND = "command"
    OUTCOME = "outcome"


class Tone(StrEnum):
    """Whether an entry is good news."""

    GOOD = "good"
    NEWS = "news"
    WARNING = "warning"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened. Times are milliseconds since the epoch."""

    at_ms: int
    """When it happened, by whoever saw it happen."""
    append_ms: int
    """When Kafka took the fact that tells of it."""
    kind: Kind
    what: str
    """found, changed, closed, moved, applied, refused, corrected, ...: a stable word for scripts."""
    tone: Tone
    text: str
    """One line."""
    details: tuple[str, ...] = ()
    """More lines, for those who want to know."""
    finding_ids: tuple[str, ...] = ()
    command_id: str | None = None
    incident_id: str | None = None
    fields: tuple[Mapping[str, Any], ...] = ()
    """Of drift: each field that differs, as `abdrift.facts.drift.FieldChange`."""

    def facts(self) -> dict[str, Any]:
        """Return it as JSON values, times as RFC 3339, without what is empty."""
        told: dict[str, Any] = {
            "at": rfc3339(to_datetime(self.at_ms)),
            "appended_at": rfc3339(to_datetime(self.append_ms)),
            "kind": self.kind.value,
            "what": self.what,
            "tone": self.tone.value,
            "text": self.text,
            "details": list(self.details),
            "finding_ids": list(self.finding_ids),
            "command_id": self.command_id,
            "incident_id": self.incident_id,
            "fields": [dict(each) for each in self.fields],
        }
        return {name: value for name, value in told.items() if value not in (None, [])}


def in_order(entries: Iterable[Entry]) -> list[Entry]:
    """Return entries by when things happened; what happened at once, by when Kafka took it."""
    return sorted(entries, key=lambda entry: (entry.at_ms, entry.append_ms))


def short(text: str) -> str:
    """Return a text with every commit's hash in it cut to seven digits."""
    return _COMMIT.sub(r"\1", text)


def one_line(text: object) -> str:
    """Return a text without line breaks, its hashes cut."""
    return short(" ".join(str(text).split()))


def commit_words(commit: Mapping[str, Any] | None) -> str:
    """Return a commit's message and author as one says them; nothing where neither is known."""
    if not commit:
        return ""
    said = f"“{one_line(commit['message'])}”" if commit.get("message") else ""
    by = f"by {commit['author']}" if commit.get("author") else ""
    return " ".join(part for part in (said, by) if part)


def reason_words(reasons: Iterable[Mapping[str, Any]]) -> str:
    """Return reasons as one sentence."""
    return "; ".join(one_line(each["message"]) for each in reasons)


def took(milliseconds: float) -> str:
    """Return how long something took, in the unit that reads best."""
    seconds = milliseconds / 1000
    for limit, size, unit in ((100, 1, "s"), (6_000, 60, "min"), (172_800, 3_600, "h")):
        if seconds < limit:
            return (
                f"{seconds / size:.1f} {unit}"
                if seconds < limit / 10 and unit == "s"
                else f"{seconds / size:.0f} {unit}"
            )
    return f"{seconds / 86_400:.0f} d"


def time_ms(data: Mapping[str, Any], *names: str) -> int | None:
    """Return the first of the times that is known, in milliseconds since the epoch."""
    return next((ms for name in names if (ms := parse_rfc3339_ms(data.get(name))) is not None), None)
