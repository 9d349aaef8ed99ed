"""Whether a changed contract still serves who reads by the released one, and reads what was written under it. Pure.

Records outlive a release by a year, and readers are released when their teams please. So both must hold: a reader of
the released schema reads new records, and a reader of the new schema reads old ones. Readers pass over fields, values
of enumerations and fact types that they do not know; nothing else may change but words.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

Schema = Mapping[str, Any]

_WORDS: Final = frozenset({"title", "description", "examples", "$schema", "$defs"})
"""What says nothing about a record."""
_BRANCHES: Final = frozenset({"$ref", "properties", "required", "enum", "items", "additionalProperties", "anyOf"})
_REFERENCE: Final = "#/$defs/"


@dataclass(frozen=True, slots=True)
class Break:
    """One thing that would break a reader."""

    where: str
    """A path of field names, `[]` for an array's items and `{}` for a map's values."""
    what: str

    def __str__(self) -> str:
        """Return it in a line."""
        return f"{self.where or 'the record'}: {self.what}"


def breaks(released: Schema, current: Schema) -> list[Break]:
    """Return what a reader of one fact type's JSON Schema would break at, if `current` came in place of `released`."""
    return list(_Comparison(released.get("$defs", {}), current.get("$defs", {})).compare("", released, current))


def topic_breaks(released: Mapping[str, Schema], current: Mapping[str, Schema]) -> list[Break]:
    """Return what readers of topics would break at. Both are by topic name, as `promises` returns them."""
    found = [Break(name, "the topic was taken away") for name in released.keys() - current.keys()]
    for name in sorted(released.keys() & current.keys()):
        before, now = released[name], current[name]
        found += [
            Break(name, f"{word} was {before[word]!r} and is {now[word]!r}")
            for word in ("key", "placed_by", "compacted")
            if before[word] != now[word]
        ]
        if _ends_sooner(before["retention_ms"], now["retention_ms"]):
            found.append(Break(name, f"retention_ms was {before['retention_ms']} and is {now['retention_ms']}"))
        gone = sorted(set(before["facts"]) - set(now["facts"]))
        found += [Break(name, f"the fact type {fact} was taken away") for fact in gone]
    return found


def _ends_sooner(before_ms: int | None, now_ms: int | None) -> bool:
    return now_ms is not None and (before_ms is None or now_ms < before_ms)


class _Comparison:
    """Walks two schemas side by side. A pair of definitions that leads back to itself is walked once."""

    def __init__(self, released: Mapping[str, Schema], current: Mapping[str, Schema]) -> None:
        self._released = released
        self._current = current
        self._walking: set[tuple[str, str]] = set()

    def compare(self, where: str, released: Schema, current: Schema) -> Iterator[Break]:
        names = (str(released.get("$ref", "")), str(current.get("$ref", "")))
        if names in self._walking:
            return
        if any(names):
            self._walking.add(names)
        before, now = _resolved(released, self._released), _resolved(current, self._current)
        yield from _keywords(where, before, now)
        yield from _values(where, before, now)
        yield from self._fields(where, before, now)
        for keyword, mark in (("items", "[]"), ("additionalProperties", "{}")):
            if isinstance(before.get(keyword), Mapping) and isinstance(now.get(keyword), Mapping):
                yield from self.compare(where + mark, before[keyword], now[keyword])
            elif before.get(keyword) != now.get(keyword):
                yield Break(where, f"{keyword} was {before.get(keyword)!r} and is {now.get(keyword)!r}")
        yield from self._options(where, before.get("anyOf", ()), now.get("anyOf", ()))
        self._walking.discard(names)

    def _fields(self, where: str, before: Schema, now: Schema) -> Iterator[Break]:
        old, new = before.get("properties", {}), now.get("properties", {})
        was, be = set(before.get("required", ())), set(now.get("required", ()))
        for name in old:
            at = f"{where}.{name}" if where else name
            if name not in new:
                yield Break(at, "the field was taken away")
                continue
            if name in was - be:
                yield Break(at, "it was always there, and may be absent")
            if name in be - was:
                yield Break(at, "it could be absent, as it is from records that are kept, and is required")
            yield from self.compare(at, old[name], new[name])
        for name in be - old.keys():
            yield Break(f"{where}.{name}" if where else name, "a new field is required, and kept records lack it")

    def _options(self, where: str, before: Sequence[Schema], now: Sequence[Schema]) -> Iterator[Break]:
        if len(before) != len(now):
            yield Break(where, f"there were {len(before)} shapes that it may have, and are {len(now)}")
            return
        for old, new in zip(before, now, strict=True):
            yield from self.compare(where, old, new)


def _resolved(schema: Schema, definitions: Mapping[str, Schema]) -> Schema:
    if "$ref" not in schema:
        return schema
    return {**definitions[str(schema["$ref"]).removeprefix(_REFERENCE)], **schema}


def _keywords(where: str, before: Schema, now: Schema) -> Iterator[Break]:
    """Type, format, bounds, pattern, default, constants and identity: any difference breaks one side or the other."""
    for keyword in sorted((before.keys() | now.keys()) - _WORDS - _BRANCHES):
        if before.get(keyword) != now.get(keyword):
            yield Break(where, f"{keyword} was {before.get(keyword)!r} and is {now.get(keyword)!r}")


def _values(where: str, before: Schema, now: Schema) -> Iterator[Break]:
    old, new = before.get("enum"), now.get("enum")
    if (old is None) != (new is None):
        yield Break(where, "it was an enumeration, and is none" if new is None else "it has become an enumeration")
    elif old is not None and new is not None and (gone := [value for value in old if value not in new]):
        yield Break(where, f"values were taken away: {', '.join(map(str, gone))}")
