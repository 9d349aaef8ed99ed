"""Sets of field paths: what an object has, what changed between two, and FieldsV1 as it is written.

A path is a tuple of FieldsV1 segments, `("f:spec", "f:replicas")`. The rules follow structured-merge-diff as seen in
`managedFields` of a real API server.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from abdrift.simulation import structure
from abdrift.simulation.kinds import Kind
from abdrift.simulation.objects import Object

Path = tuple[str, ...]
Names = tuple[str, ...]

_UNTRACKED = frozenset({"apiVersion", "kind"})
_UNTRACKED_METADATA = frozenset(
    {
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "generateName",
        "generation",
        "managedFields",
        "name",
        "namespace",
        "resourceVersion",
        "selfLink",
        "uid",
    }
)
# Go structs held by value, and lists without omitempty, exist before they are filled: no "." marks their coming.
_ALWAYS_THERE = frozenset(
    {"containers", "loadBalancer", "metadata", "resources", "spec", "status", "strategy", "template", "updateStrategy"}
)
_ALWAYS_THERE_CUSTOM = frozenset({"metadata", "status"})


def tracked(obj: Object) -> Object:
    """Give the object without what managedFields never tracks."""
    kept = {key: value for key, value in obj.items() if key not in _UNTRACKED}
    metadata = {key: value for key, value in obj.get("metadata", {}).items() if key not in _UNTRACKED_METADATA}
    kept["metadata"] = metadata
    return kept


@dataclass(slots=True)
class Difference:
    """Paths that came, changed and went between two objects."""

    added: set[Path] = field(default_factory=set)
    modified: set[Path] = field(default_factory=set)
    removed: set[Path] = field(default_factory=set)

    @property
    def touched(self) -> set[Path]:
        """What the writer of the newer object takes over."""
        return self.added | self.modified


def applied_set(kind: Kind, config: Object) -> frozenset[Path]:
    """Give the paths an applied configuration claims."""
    found: set[Path] = set()
    _collect(kind, (), (), tracked(config), found, dots="items")
    found.discard(("f:metadata",))
    return frozenset(found)


def difference(kind: Kind, old: Object, new: Object) -> Difference:
    """Tell what a write changed."""
    found = Difference()
    _compare(kind, ((), ()), tracked(old), tracked(new), found)
    found.added.discard(("f:metadata",))
    return found


def _has_dot(kind: Kind, names: Names, dots: str) -> bool:
    if dots == "items" or not names:
        return False
    if dots == "all":
        return True
    return names[-1] not in (_ALWAYS_THERE_CUSTOM if kind.custom else _ALWAYS_THERE)


def _collect(kind: Kind, path: Path, names: Names, value: Any, found: set[Path], *, dots: str) -> None:
    """Add every path under a value; `dots` says which containers count themselves: items, new or all."""
    if isinstance(value, dict) and value and not structure.is_atomic_map(kind, names):
        if _has_dot(kind, names, dots):
            found.add(path)
        for key, child in value.items():
            _collect(kind, (*path, "f:" + key), (*names, key), child, found, dots=dots)
        return
    if isinstance(value, list) and value:
        segments = item_segments(kind, names, value)
        if segments is not None:
            if _has_dot(kind, names, dots):
                found.add(path)
            for segment, item in segments.items():
                found.add((*path, segment))
                if isinstance(item, dict):
                    for key, child in item.items():
                        _collect(kind, (*path, segment, "f:" + key), (*names, key), child, found, dots=dots)
            return
    if path:
        found.add(path)


def item_segments(kind: Kind, names: Names, items: list[Any]) -> dict[str, Any] | None:
    """Members by their FieldsV1 segment, None where the list is atomic."""
    if structure.is_set(names):
        return {structure.value_segment(item): item for item in items}
    keys = structure.list_keys(kind, names)
    if keys is None or not all(isinstance(item, dict) for item in items):
        return None
    return {structure.item_segment(keys, item): item for item in items}


def _compare(kind: Kind, at: tuple[Path, Names], old: Any, new: Any, found: Difference) -> None:
    path, names = at
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict) and not structure.is_atomic_map(kind, names):
        pairs = {"f:" + key: (key, old.get(key, _ABSENT), new.get(key, _ABSENT)) for key in {**old, **new}}
        for segment, (key, before, after) in pairs.items():
            _compare_child(kind, ((*path, segment), (*names, key)), before, after, found)
        return
    if isinstance(old, list) and isinstance(new, list):
        before_items, after_items = item_segments(kind, names, old), item_segments(kind, names, new)
        if before_items is not None and after_items is not None:
            for segment in {**before_items, **after_items}:
                before, after = before_items.get(segment, _ABSENT), after_items.get(segment, _ABSENT)
                _compare_child(kind, ((*path, segment), names), before, after, found, item=True)
            return
    found.modified.add(path)


_ABSENT: Any = object()


def _compare_child(
    kind: Kind, at: tuple[Path, Names], before: Any, after: Any, found: Difference, *, item: bool = False
) -> None:
    path, names = at
    if before is not _ABSENT and after is not _ABSENT:
        _compare(kind, at, before, after, found)
        return
    target, value, dots = (found.added, after, "new") if before is _ABSENT else (found.removed, before, "all")
    if item:
        target.add(path)
        if isinstance(value, dict):
            for key, child in value.items():
                _collect(kind, (*path, "f:" + key), (*names, key), child, target, dots=dots)
        return
    _collect(kind, path, names, value, target, dots=dots)


@functools.lru_cache(maxsize=4_096)
def encode(paths: frozenset[Path]) -> Object:
    """FieldsV1 of a set of paths; `.` marks a member that has members. Shared between callers: not to be changed."""
    root: Object = {}
    members = sorted(paths)
    for path in members:
        node = root
        for segment in path:
            node = node.setdefault(segment, {})
    for path in members:
        node = root
        for segment in path:
            node = node[segment]
        if node:
            node["."] = {}
    return _sorted(root)


def _sorted(node: Object) -> Object:
    return {key: _sorted(node[key]) for key in sorted(node)}


def decode(fields: Mapping[str, Any]) -> frozenset[Path]:
    """Give the set of paths that FieldsV1 spells."""
    found: set[Path] = set()
    _decode((), fields, found)
    return frozenset(found)


def _decode(path: Path, node: Mapping[str, Any], found: set[Path]) -> None:
    for segment, child in node.items():
        if segment == ".":
            found.add(path)
        elif child:
            _decode((*path, segment), child, found)
        else:
            found.add((*path, segment))
