"""Values that Kubernetes reads as equal though they are spelled differently."""

from __future__ import annotations

import base64
import binascii
import re
from datetime import datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_CACHED_SPELLINGS: Final = 16_384
_MAX_SPELLING_CHARS: Final = 64
_QUANTITY: Final = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:([eE][+-]?\d{1,3})|([KMGTPE]i|[numkMGTPE]))?")
_DECIMAL_EXPONENTS: Final = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY_EXPONENTS: Final = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_DURATION: Final = re.compile(r"([+-]?)((?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+)")
_DURATION_PART: Final = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_NANOSECONDS: Final = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3_600 * 10**9,
}


@lru_cache(maxsize=_CACHED_SPELLINGS)
def _parse_quantity(text: str) -> Decimal | None:
    match = _QUANTITY.fullmatch(text)
    if match is None or len(text) > _MAX_SPELLING_CHARS:
        return None
    number, exponent, suffix = match.groups()
    try:
        value = Decimal(number + (exponent or ""))
    except InvalidOperation:
        return None
    if suffix in _BINARY_EXPONENTS:
        return value * 2 ** _BINARY_EXPONENTS[suffix]
    return value.scaleb(_DECIMAL_EXPONENTS.get(suffix, 0)).normalize()


def quantity(value: Any) -> Decimal | None:
    """A Kubernetes quantity (`500m`, `1Gi`, `1e3`, a JSON number), or None where it is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return _parse_quantity(str(value))
    return _parse_quantity(value.strip()) if isinstance(value, str) else None


@lru_cache(maxsize=_CACHED_SPELLINGS)
def _parse_duration(text: str) -> Decimal | None:
    if text.lstrip("+-") == "0":
        return Decimal(0)
    match = _DURATION.fullmatch(text)
    if match is None or len(text) > _MAX_SPELLING_CHARS:
        return None
    sign, parts = match.groups()
    total = sum((Decimal(n) * _NANOSECONDS[unit] for n, unit in _DURATION_PART.findall(parts)), Decimal(0))
    return -total if sign == "-" else total


def duration(value: Any) -> Decimal | None:
    """A Go duration (`60s`, `1m0s`) in nanoseconds, or None where it is none."""
    return _parse_duration(value) if isinstance(value, str) else None


def time(value: Any) -> datetime | None:
    """An RFC 3339 time, or None where it is none."""
    try:
        return datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None


def decoded(value: Any) -> bytes | None:
    """Base64 as Go's decoder reads it, which skips line ends, or None where it is none."""
    if value is None:
        return b""
    try:
        return base64.b64decode(value.replace("\n", "").replace("\r", ""), validate=True)
    except (AttributeError, binascii.Error, ValueError):
        return None


PARSERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "quantity": quantity,
    "duration": duration,
    "time": time,
    "base64": decoded,
}


def equal(form: str | None, one: Any, other: Any) -> bool:
    """Whether two scalars are the same value; `form` names a parser where the field's type is known to have one.

    A boolean never equals a number, and a number never equals its text: Kubernetes refuses or keeps them apart.
    """
    if one == other:
        return isinstance(one, bool) == isinstance(other, bool)
    if form is None:
        return False
    parsed = PARSERS[form](one)
    return parsed is not None and parsed == PARSERS[form](other)
