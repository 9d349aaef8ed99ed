"""Time as a value that is passed in, so that what depends on it can be tested and replayed."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

ClockMs = Callable[[], int]
"""Returns the time in whole milliseconds since the Unix epoch."""


def wall_clock_ms() -> int:
    """Return this machine's time in milliseconds since the Unix epoch."""
    return time.time_ns() // 1_000_000


def to_datetime(time_ms: int) -> datetime:
    """Return an aware UTC datetime for milliseconds since the Unix epoch."""
    return datetime.fromtimestamp(time_ms / 1000, tz=UTC)


def to_ms(moment: datetime) -> int:
    """Return milliseconds since the Unix epoch for an aware datetime."""
    return round(moment.timestamp() * 1000)


def parse_rfc3339_ms(text: object) -> int | None:
    """Return milliseconds since the Unix epoch for an RFC 3339 time; None for anything else that JSON may hold."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return to_ms(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
