"""Values that Kubernetes reads as equal though they are spelled differently."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import ROUND_UP, Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, Final

_CACHED_SPELLINGS: Final = 16_384
_MAX_SPELLING_CHARS: Final = 64
_QUANTITY: Final = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:([eE][+-]?\d{1,3})|([KMGTPE]i|[numkMGTPE]))?")
_DECIMAL_EXPONENTS: Final = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY_EXPONENTS: Final = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_KIBI: Final = 1_024
_NANO: Final = Decimal("1e-9")
_MAX_INT64_DIGITS: Final = 18
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
        return value * (1 << _BINARY_EXPONENTS[suffix])
    return value.scaleb(_DECIMAL_EXPONENTS.get(suffix, 0)).normalize()


def quantity(value: Any) -> Decimal | None:
    """Read a Kubernetes quantity (`500m`, `1Gi`, `1e3`, a JSON number); None where it is none."""
    text = _spelling(value)
    return None if text is None else _parse_quantity(text)


def stored_quantity(value: Any) -> str | None:
    """Spell a quantity as an API server writes it; None where it is none.

    `1000m` becomes `1` and `1024Mi` becomes `1Gi`, but a quantity keeps its family: `1073741824` does not become
    `1Gi`, nor `1e3` `1k`. What looks canonical already is kept as it is, `+1` among it.
    """
    text = _spelling(value)
    return None if text is None else _stored_quantity(text)


def _spelling(value: Any) -> str | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return value.strip() if isinstance(value, str) else None


@lru_cache(maxsize=_CACHED_SPELLINGS)
def _stored_quantity(text: str) -> str | None:
    value = _parse_quantity(text)
    if value is None or not value:
        return None if value is None else "0"
    number, exponent, suffix = _match(text)
    if _looks_canonical(number, exponent, suffix):
        return text
    if suffix in _BINARY_EXPONENTS and abs(value) >= _KIBI and value == value.to_integral_value():
        return _binary(int(value))
    return _decimal(value, exponential=exponent is not None)


def _match(text: str) -> tuple[str, str | None, str | None]:
    match = _QUANTITY.fullmatch(text)
    assert match is not None, "only what has been parsed is matched again"
    return match.group(1), match.group(2), match.group(3)


def _looks_canonical(number: str, exponent: str | None, suffix: str | None) -> bool:
    """Whether an API server keeps a spelling without working it out, as ParseQuantity of apimachinery does."""
    whole, _, fraction = number.lstrip("+-").partition(".")
    digits = (whole.lstrip("0") or "0") + fraction
    if suffix in _BINARY_EXPONENTS:
        room = 15 - len(digits) - _BINARY_EXPONENTS[suffix] * 3 // 10 - 1
        return not fraction and room >= 0 and int(digits) % 8 != 0
    scale = int(exponent[1:]) if exponent else _DECIMAL_EXPONENTS.get(suffix or "", 0)
    scale -= len(fraction)
    fits = len(digits) <= _MAX_INT64_DIGITS and scale >= _DECIMAL_EXPONENTS["n"]
    return fits and scale % 3 == 0 and not digits.endswith("000") and digits[0] != "0"


def _binary(value: int) -> str:
    power = 0
    while value % _KIBI == 0 and power < len(_BINARY_EXPONENTS):
        value, power = value // _KIBI, power + 1
    return f"{value}{list(_BINARY_EXPONENTS)[power - 1] if power else ''}"


def _decimal(value: Decimal, *, exponential: bool) -> str:
    sign, digits, power = value.quantize(_NANO, rounding=ROUND_UP).normalize().as_tuple()
    assert isinstance(power, int), "a parsed quantity is finite"
    mantissa = int("".join(map(str, digits))) * (-1 if sign else 1) * int(10 ** (power % 3))
    power -= power % 3
    if exponential:
        return f"{mantissa}e{power}" if power else str(mantissa)
    suffix = next((name for name, exponent in _DECIMAL_EXPONENTS.items() if exponent == power), "")
    return f"{mantissa}{suffix}"


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
    """Read a Go duration (`60s`, `1m0s`) in nanoseconds; None where it is none."""
    return _parse_duration(value) if isinstance(value, str) else None


def time(value: Any) -> datetime | None:
    """Read an RFC 3339 time; None where it is none."""
    try:
        return datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None


def decoded(value: Any) -> bytes | None:
    """Decode base64 as Go does, which skips line ends; None where it is none."""
    if value is None:
        return b""
    try:
        return base64.b64decode(value.replace("\n", "").replace("\r", ""), validate=True)
    except (AttributeError, binascii.Error, ValueError):
        return None


Readings = Mapping[str, Callable[[Any], Any]]
"""How each form of value is read before it is compared."""

AS_STORED: Final[Readings] = {
    "quantity": stored_quantity,
    "duration": duration,
    "time": time,
    "base64": decoded,
}
"""Values are equal where an API server writes the same, which is what the engines compare."""

BY_VALUE: Final[Readings] = {**AS_STORED, "quantity": quantity}
"""Values are equal where they mean the same: `1Gi` and `1073741824` too."""


def equal(form: str | None, one: Any, other: Any, readings: Readings = AS_STORED) -> bool:
    """Whether two scalars are the same value; `form` names a reading where the field's type is known to have one.

    A boolean never equals a number, and a number never equals its text: Kubernetes refuses or keeps them apart.
    """
    if one == other:
        return isinstance(one, bool) == isinstance(other, bool)
    if form is None:
        return False
    read = readings[form](one)
    return read is not None and read == readings[form](other)
