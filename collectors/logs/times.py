"""When a line was written, from every form that senders give a time in. Pure."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from abdrift.clock import to_datetime, to_ms

_MAX_TEXT: Final = 64
_NUMBER: Final = re.compile(r"\d{1,20}(?:\.\d{1,20})?")
_SYSLOG: Final = re.compile(r"([A-Z][a-z]{2})\s{1,2}(\d{1,2}) (\d\d:\d\d:\d\d(?:\.\d{1,9})?)")
_COMMON_LOG: Final = "%d/%b/%Y:%H:%M:%S %z"
_SPACED_OFFSET: Final = re.compile(r" (UTC|GMT|[+-]\d\d:?\d\d)$")
# A number is read in the unit in which it lies between 1973 and 5138.
_UNITS: Final = ((10**8, 1_000.0), (10**11, 1.0), (10**14, 1e-3), (10**17, 1e-6))
_BEYOND: Final = 10**20
_AHEAD: Final = timedelta(days=2)
_YEARS_BACK: Final = 9  # the longest stretch without a 29 February, and one more


def parse_ms(value: Any, near_ms: int) -> int | None:
    """Return milliseconds since the epoch; None where the value is no time.

    Read are ISO 8601 and RFC 3339 (UTC where no offset is given), seconds, milli-, micro- and nanoseconds since the
    epoch as numbers or digits, syslog's `Nov  3 13:42:01` (UTC; of the latest year that does not bring it more than two
    days past `near_ms`) and `03/Nov/2026:13:42:01 +0000`.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _of_number(value)
    if not isinstance(value, str) or len(value) > _MAX_TEXT:
        return None
    text = value.strip()
    if _NUMBER.fullmatch(text):
        return _of_number(float(text) if "." in text else int(text))
    try:
        if match := _SYSLOG.fullmatch(text):
            return _of_syslog(match, near_ms)
        if text[2:3] == "/":
            return to_ms(datetime.strptime(text, _COMMON_LOG))  # noqa: DTZ007  it ends with %z
        moment = datetime.fromisoformat(_SPACED_OFFSET.sub(_joined, text))
        return to_ms(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        return None


def _of_number(value: float) -> int | None:
    if not _UNITS[0][0] <= value < _BEYOND:  # NaN lies nowhere
        return None
    factor = next(factor for least, factor in reversed(_UNITS) if value >= least)
    if isinstance(value, int):  # nanoseconds don't fit a float's digits
        return value * int(factor) if factor >= 1 else value // round(1 / factor)
    return round(value * factor)


def _of_syslog(match: re.Match[str], near_ms: int) -> int:
    latest = to_datetime(near_ms) + _AHEAD

    def within(year: int) -> datetime | None:
        try:
            clock = datetime.fromisoformat(f"2000-01-01T{match[3]}").time()
            day = datetime.strptime(f"{year} {match[1]} {match[2]}", "%Y %b %d").date()  # noqa: DTZ007  combined below
        except ValueError:  # 29 February of another year
            return None
        return datetime.combine(day, clock, UTC)

    for year in range(latest.year, latest.year - _YEARS_BACK, -1):
        if (moment := within(year)) and moment <= latest:
            return to_ms(moment)
    raise ValueError("no such day")


def _joined(match: re.Match[str]) -> str:
    return "+00:00" if match[1] in {"UTC", "GMT"} else match[1]
