"""Who owns which field, as `metadata.managedFields` says.

A field set is kept as the API server sends it (`fieldsV1`): a tree of `f:<field>`, `k:{<keys>}`, `v:<value>` and
`i:<index>`, where a node that is there is owned, its parents named. Manager names are what clients call themselves.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import orjson

from streams.drift.compare.changes import escape, unescape

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    Tree = Mapping[str, Any]

_EMPTY: Final[Tree] = {}
_MAX_DEPTH: Final = 128


def element(keys: Mapping[str, Any]) -> str:
    """Return a list item's node in a field set, from its key fields."""
    return "k:" + orjson.dumps(keys, option=orjson.OPT_SORT_KEYS).decode()


def keys_of(name: str) -> Mapping[str, Any]:
    """Return the key fields that a list item's node names, empty where it is malformed."""
    try:
        keys = orjson.loads(name.removeprefix("k:"))
    except orjson.JSONDecodeError:
        return {}
    return keys if isinstance(keys, dict) else {}


def member(value: Any) -> str:
    """Return a set member's node in a field set."""
    return "v:" + orjson.dumps(value).decode()


def _nodes(tree: Tree) -> Iterator[tuple[str, Tree]]:
    for name, node in tree.items():
        if name != ".":
            yield name, node if isinstance(node, dict) else _EMPTY


@dataclass(frozen=True, slots=True)
class FieldSet:
    """The fields that one manager owns."""

    tree: Tree = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.tree)

    def at(self, live: Any, pointer: str) -> FieldSet | None:
        """Return what is owned at and under a JSON pointer into `live`; None where the pointer itself is not owned."""
        tree, value = self.tree, live
        for segment in pointer.split("/")[1:]:
            key = unescape(segment)
            name = _name_in(tree, value, key)
            if name is None:
                return None
            tree, value = tree[name] or _EMPTY, _step(value, key)
        return FieldSet(tree)

    def paths(self, live: Any) -> frozenset[str]:
        """Return the owned leaves that are in `live`, as JSON pointers; what is owned but not in `live` has none."""
        return frozenset(_leaves(self.tree, live, "", 0))

    def difference(self, other: FieldSet) -> FieldSet:
        """Return what this set owns and the other does not."""
        return FieldSet(_difference(self.tree, other.tree))

    def union(self, other: FieldSet) -> FieldSet:
        """Return what either set owns."""
        return FieldSet(_union(self.tree, other.tree))

    def leaves(self) -> Iterator[tuple[str, ...]]:
        """Return the owned leaves as node names, for what is no longer in any object."""
        return _names(self.tree, ())


def _difference(one: Tree, other: Tree) -> Tree:
    left = {}
    for name, node in _nodes(one):
        if name not in other:
            left[name] = node
        elif remaining := _difference(node, other[name] or _EMPTY):
            left[name] = remaining
    return left


def _union(one: Tree, other: Tree) -> Tree:
    merged = dict(one)
    for name, node in other.items():
        merged[name] = _union(merged[name], node) if merged.get(name) and node else merged.get(name) or node
    return merged


def _names(tree: Tree, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for name, node in _nodes(tree):
        if any(key != "." for key in node):
            yield from _names(node, (*path, name))
        else:
            yield (*path, name)


def _leaves(tree: Tree, value: Any, pointer: str, depth: int) -> Iterator[str]:
    if depth > _MAX_DEPTH:
        raise ValueError(f"managedFields are nested deeper than {_MAX_DEPTH}")
    for name, node in _nodes(tree):
        key = _key_of(name, value)
        if key is None:
            continue
        below = f"{pointer}/{escape(key)}"
        if any(child != "." for child in node):
            yield from _leaves(node, _step(value, key), below, depth + 1)
        else:
            yield below


def _step(value: Any, key: str) -> Any:
    if isinstance(value, dict):
        return value.get(key)
    if isinstance(value, list) and key.isdigit() and int(key) < len(value):
        return value[int(key)]
    return None


def _key_of(name: str, value: Any) -> str | None:
    """Return the key or index that a node names in `value`, None where it names nothing there."""
    kind, _, rest = name.partition(":")
    if kind == "f":
        return rest if isinstance(value, dict) and rest in value else None
    if not isinstance(value, list):
        return None
    if kind == "i":
        return rest if rest.isdigit() and int(rest) < len(value) else None
    try:
        wanted = orjson.loads(rest)
    except orjson.JSONDecodeError:
        return None
    matches = (_has_keys if kind == "k" else _is_member)(value, wanted)
    return None if matches is None else str(matches)


def _has_keys(items: Sequence[Any], keys: Any) -> int | None:
    for index, item in enumerate(items):
        if isinstance(item, dict) and all(item.get(k, v) == v for k, v in keys.items()):
            return index
    return None


def _is_member(items: Sequence[Any], wanted: Any) -> int | None:
    return items.index(wanted) if wanted in items else None


def _name_in(tree: Tree, value: Any, key: str) -> str | None:
    """Return the node that owns `key` of `value`."""
    if not isinstance(value, list):
        name = f"f:{key}"
        return name if name in tree else None
    for name, _ in _nodes(tree):
        if _key_of(name, value) == key:
            return name
    return None


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of `metadata.managedFields`; `time` is RFC 3339 as sent, absent for some subresources."""

    manager: str
    operation: str
    subresource: str
    time: str | None
    api_version: str
    fields: FieldSet


def entries_of(live: Mapping[str, Any]) -> tuple[Entry, ...]:
    """Return the entries of an object's `managedFields`, in its order; malformed ones are left out."""
    metadata = live.get("metadata")
    raw = metadata.get("managedFields") if isinstance(metadata, dict) else None
    if not isinstance(raw, list):
        return ()
    return tuple(_entry(e) for e in raw if isinstance(e, dict) and isinstance(e.get("fieldsV1"), dict))


def _entry(raw: Mapping[str, Any]) -> Entry:
    return Entry(
        manager=str(raw.get("manager", "")),
        operation=str(raw.get("operation", "")),
        subresource=str(raw.get("subresource", "")),
        time=raw.get("time"),
        api_version=str(raw.get("apiVersion", "")),
        fields=FieldSet(raw["fieldsV1"]),
    )


def owners(entries: Iterable[Entry], live: Mapping[str, Any], pointer: str) -> tuple[Entry, ...]:
    """Who owns the field at a JSON pointer into `live`, or a part of it, the latest first.

    Of a field within an atomic part (a list without keys, a custom resource's list), that is who owns the part.
    """
    found = [entry for entry in entries if _owns(entry.fields, live, pointer)]
    return tuple(sorted(found, key=lambda entry: entry.time or "", reverse=True))


def _owns(fields: FieldSet, live: Mapping[str, Any], pointer: str) -> bool:
    while pointer:
        at = fields.at(live, pointer)
        if at is not None:
            return True
        parent = pointer.rpartition("/")[0]
        above = fields.at(live, parent)
        if above is not None:
            return bool(parent) and not above.tree  # a leaf above owns the whole of what is below it
        pointer = parent
    return False
