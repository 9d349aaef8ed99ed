"""What a manifest says once Go's types have read it, as Flux and Argo CD have them do before they compare or apply.

An empty value of a published type says nothing where Go leaves it out, and says the zero value where Go writes it
down (`name` of a volume mount, `targetPort` of a port, a null in a map of strings).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from streams.drift.compare.defaults import NOTHING, default_of, vanishes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from streams.drift.compare.schema import Type

UNSAID: Final = object()
"""A manifest says nothing there."""


@dataclass(frozen=True, slots=True)
class Reader:
    """How an engine reads manifests.

    `unknown_fields` tells whether a field that a published type does not have is read or dropped; `fills` whether a
    required field that is absent is written down with its zero value, as by a round trip through Go's type.
    """

    unknown_fields: bool = True
    fills: bool = False

    def fields(self, t: Type, desired: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        """Return what a manifest says, field by field."""
        for key, value in desired.items():
            if value and (not t.known or key in t.fields or t.values):
                yield key, value
            elif (meant := self.meant(t, key, desired)) is not UNSAID:
                yield key, meant
        if self.fills:
            for key in t.zeros:
                if key not in desired:
                    yield key, _zero_or_default(t, key, desired)

    def meant(self, t: Type, key: str, desired: Mapping[str, Any]) -> Any:
        """Return what a manifest says of one field, or `UNSAID`."""
        value = desired.get(key)
        if not t.known:
            return UNSAID if value is None else value
        if t.values:
            return UNSAID if key not in desired else zero(t.values) if value is None else value
        if key not in t.fields:
            return value if value is not None and self.unknown_fields else UNSAID
        if key in t.zeros and not value and (key in desired or self.fills):
            return _zero_or_default(t, key, desired)
        if value is None:
            return UNSAID
        if value or (isinstance(value, dict) and t.child(key).fields):
            return value
        return UNSAID if vanishes(t, key, value) else value


def _zero_or_default(t: Type, key: str, desired: Mapping[str, Any]) -> Any:
    if desired.get(key) == {}:
        return {}
    if isinstance(t.zeros[key], dict):
        return t.zeros[key]
    default = default_of(t, key, desired)
    return t.zeros[key] if default is NOTHING else default


def zero(t: Type) -> Any:
    """Return what Go reads a null of a type as, in a map or a list."""
    if t.fields:
        return {}
    if t.form == "quantity":
        return "0"
    return None if t.items or t.values or not t.known else ""
