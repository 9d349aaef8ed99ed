"""Ignore rules: which differences an operator has declared to be none."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from streams.drift.compare import managed_fields, selectors
from streams.drift.compare.changes import Change, UnjudgeableError, unescape

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_PATHS: Final = ("paths", "path", "jsonPointers")
_MANAGERS: Final = ("managers", "managedFieldsManagers")
_MAX_RULES: Final = 1_000


@dataclass(frozen=True, slots=True)
class Rule:
    """What is ignored, and of which objects.

    `paths` are JSON pointers, each with all that is under it; the empty pointer is the whole object. `managers` are
    field managers whose fields are ignored wherever they are. No target means every object.
    """

    paths: tuple[str, ...] = ()
    managers: tuple[str, ...] = ()
    target: selectors.Target | None = None


def parse(raw: Any) -> tuple[Rule, ...]:
    """Ignore rules from JSON: a JSON pointer, a rule, or a list of either.

    A rule is Flux's `{"paths": [...], "target": {...}}`, Argo CD's `{"jsonPointers": [...], "managedFieldsManagers":
    [...], "kind": ..., "name": ...}`, or a mixture. Raises UnjudgeableError for anything else, a `jqPathExpressions`
    among it.
    """
    items = raw if isinstance(raw, list | tuple) else [] if raw is None else [raw]
    if len(items) > _MAX_RULES:
        raise UnjudgeableError(f"{len(items)} ignore rules are more than {_MAX_RULES}")
    return tuple(_rule(item) for item in items)


def _rule(raw: Any) -> Rule:
    if isinstance(raw, Rule):
        return raw
    if isinstance(raw, str):
        return Rule(paths=(_pointer(raw),))
    if not isinstance(raw, dict):
        raise UnjudgeableError(f"an ignore rule is a JSON pointer or an object, not {type(raw).__name__}")
    known = {*_PATHS, *_MANAGERS, "target", *selectors.KEYS}
    if unknown := raw.keys() - known:
        raise UnjudgeableError(f"an ignore rule has no {', '.join(sorted(unknown))}; write JSON pointers as paths")
    paths = tuple(_pointer(path) for key in _PATHS for path in _strings(raw.get(key)))
    managers = tuple(manager for key in _MANAGERS for manager in _strings(raw.get(key)))
    if not paths and not managers:
        raise UnjudgeableError("an ignore rule names neither paths nor managers")
    if not isinstance(raw.get("target") or {}, dict):
        raise UnjudgeableError("an ignore rule's target is an object: kind, name, namespace, labelSelector")
    inline = {key: raw[key] for key in selectors.KEYS & raw.keys()}
    wanted = {**inline, **(raw.get("target") or {})}
    return Rule(paths, managers, selectors.parse_target(wanted) if wanted else None)


def _strings(raw: Any) -> Sequence[str]:
    items = raw if isinstance(raw, list) else [] if raw is None else [raw]
    if not all(isinstance(item, str) for item in items):
        raise UnjudgeableError("an ignore rule's paths and managers are strings")
    return items


def _pointer(raw: str) -> str:
    if raw and not raw.startswith("/"):
        raise UnjudgeableError(f"{raw!r} is no JSON pointer; write /spec/replicas, and ~1 for a slash in a key")
    if "~" in raw.replace("~0", "").replace("~1", ""):
        raise UnjudgeableError(f"{raw!r} is no JSON pointer: ~ is written ~0, and / within a key ~1")
    return raw


@dataclass(frozen=True, slots=True)
class Ignored:
    """What the rules ignore of one object."""

    paths: tuple[str, ...]
    managers: frozenset[str]

    @property
    def everything(self) -> bool:
        """Whether the object as a whole is ignored."""
        return "" in self.paths

    def of(self, changes: Iterable[Change], live: Mapping[str, Any]) -> Iterator[Change]:
        """Return the changes that remain."""
        entries = managed_fields.entries_of(live) if self.managers else ()
        for change in changes:
            if self._by_manager(change, entries, live):
                continue
            remaining = self._by_path(change)
            if remaining is not None:
                yield remaining

    def _by_manager(self, change: Change, entries: Sequence[managed_fields.Entry], live: Mapping[str, Any]) -> bool:
        return any(e.manager in self.managers for e in managed_fields.owners(entries, live, change.path))

    def _by_path(self, change: Change) -> Change | None:
        for path in self.paths:
            if change.path == path or change.path.startswith(path + "/"):
                return None
            if path.startswith(change.path + "/"):
                below = path.removeprefix(change.path)
                change = replace(change, old=_without(change.old, below), new=_without(change.new, below))
                if change.old == change.new or not (change.old or change.new):
                    return None
        return change


def ignored(rules: Iterable[Rule], desired: Mapping[str, Any]) -> Ignored:
    """Return what the rules that are for this object ignore; as Flux does, targets are matched on desired."""
    meant = [rule for rule in rules if rule.target is None or rule.target.matches(desired)]
    return Ignored(
        paths=tuple(path for rule in meant for path in rule.paths),
        managers=frozenset(manager for rule in meant for manager in rule.managers),
    )


def _without(value: Any, pointer: str) -> Any:
    """Return a copy of a value without what a pointer names in it."""
    *parents, last = (unescape(segment) for segment in pointer.split("/")[1:])
    stripped = deepcopy(value)
    node = stripped
    for parent in parents:
        node = _get(node, parent)
    if isinstance(node, dict):
        node.pop(last, None)
    elif isinstance(node, list) and _get(node, last) is not None:
        del node[int(last)]
    return stripped


def _get(node: Any, key: str) -> Any:
    if isinstance(node, dict):
        return node.get(key)
    if isinstance(node, list) and key.isdigit() and int(key) < len(node):
        return node[int(key)]
    return None
