"""Who owns which field: `metadata.managedFields` kept as the real API server keeps it.

Pure functions over objects; nothing passed in is changed. The cases are those of the traces of a real API server:
a foreign update takes fields out of an Apply entry, a removal only shrinks it, a scale has no time.
"""

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from abdrift.simulation import field_sets, structure
from abdrift.simulation.field_sets import Names, Path
from abdrift.simulation.kinds import Kind
from abdrift.simulation.objects import Object, clone


@dataclass(frozen=True, slots=True)
class Author:
    """Who writes, as far as managedFields tell."""

    manager: str
    operation: str = "Update"
    subresource: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of managedFields."""

    author: Author
    api_version: str
    time: str | None
    paths: frozenset[Path]


class ConflictError(Exception):
    """An apply without force met fields of other managers: `(manager, path)` pairs."""

    def __init__(self, conflicts: list[tuple[str, Path]]) -> None:
        super().__init__(f"{len(conflicts)} fields belong to other managers")
        self.conflicts = conflicts


def read(obj: Object) -> list[Entry]:
    """Give the entries of an object."""
    return [
        Entry(
            Author(each["manager"], each["operation"], each.get("subresource", "")),
            each["apiVersion"],
            each.get("time"),
            field_sets.decode(each["fieldsV1"]),
        )
        for each in obj["metadata"].get("managedFields") or ()
    ]


def write(obj: Object, entries: Iterable[Entry]) -> Object:
    """Give the object with these entries, in the API server's order: Apply first, then by time, then by name."""
    kept = sorted(
        (each for each in entries if each.paths),
        key=lambda e: (e.author.operation, e.time or "", e.author.manager, e.author.subresource),
    )
    metadata = {key: value for key, value in obj["metadata"].items() if key != "managedFields"}
    if kept:
        metadata["managedFields"] = [_written(each) for each in kept]
    return {**obj, "metadata": metadata}


def _written(entry: Entry) -> Object:
    written: Object = {
        "manager": entry.author.manager,
        "operation": entry.author.operation,
        "apiVersion": entry.api_version,
        "fieldsType": "FieldsV1",
        "fieldsV1": field_sets.encode(entry.paths),
    }
    if entry.time is not None:
        written["time"] = entry.time
    if entry.author.subresource:
        written["subresource"] = entry.author.subresource
    return written


def record_update(kind: Kind, live: Object | None, new: Object, author: Author, time: str) -> Object:
    """Give `new` with managedFields after an update: what changed goes to `author`, what went leaves every entry."""
    before = live if live is not None else {"metadata": {}}
    change = field_sets.difference(kind, before, new)
    touched = frozenset(change.touched)
    entries: list[Entry] = []
    mine: Entry | None = None
    for entry in read(before):
        if entry.author == author:
            mine = entry
        else:
            entries.append(Entry(entry.author, entry.api_version, entry.time, entry.paths - touched - change.removed))
    own = (mine.paths - change.removed if mine else frozenset()) | touched
    renewed = None if author.subresource == "scale" else time
    entry_time = renewed if touched or mine is None else mine.time
    return write(new, [*entries, Entry(author, kind.api_version, entry_time, own)])


def apply(kind: Kind, live: Object | None, config: Object, author: Author, *, force: bool) -> Object:
    """Server-side apply: `config` merged into `live`, what `author` no longer claims taken out.

    Without managedFields in the result: `record_apply` adds them once defaults are in. Raises ConflictError.
    """
    if live is None:
        return clone(config)
    claimed = field_sets.applied_set(kind, config)
    entries = read(live)
    mine = next((each.paths for each in entries if each.author == author), frozenset())
    others = frozenset().union(*(each.paths for each in entries if each.author != author))
    merged: Object = _merge(kind, (), live, _config_body(config))
    if not force:
        changed = field_sets.difference(kind, live, merged).touched
        conflicts = [(e.author.manager, p) for e in entries if e.author != author for p in sorted(e.paths & changed)]
        if conflicts:
            raise ConflictError(conflicts)
    kept = {path[:length] for path in claimed | others for length in range(1, len(path) + 1)}
    # Shortest first: a list's member goes as a whole, before the key that names it is gone.
    for path in sorted(mine - claimed - kept, key=lambda path: (len(path), path)):
        _remove(kind, merged, path)
    return merged


def record_apply(kind: Kind, live: Object | None, new: Object, config: Object, author: Author, time: str) -> Object:
    """Give `new`, the outcome of `apply`, with managedFields; the very `live` when nothing changed at all."""
    before = live if live is not None else {"metadata": {}}
    change = field_sets.difference(kind, before, new)
    claimed = field_sets.applied_set(kind, config)
    entries = read(before)
    mine = next((each for each in entries if each.author == author), None)
    if live is not None and mine is not None and mine.paths == claimed and not (change.touched or change.removed):
        return live
    gone = frozenset(change.removed | change.touched)
    others = [Entry(e.author, e.api_version, e.time, e.paths - gone) for e in entries if e.author != author]
    return write(new, [*others, Entry(author, kind.api_version, time, claimed)])


def _config_body(config: Object) -> Object:
    metadata = {
        k: v for k, v in config["metadata"].items() if k in ("labels", "annotations", "finalizers", "ownerReferences")
    }
    return {**config, "metadata": metadata}


def _merge(kind: Kind, names: Names, live: Any, config: Any) -> Any:
    if isinstance(live, dict) and isinstance(config, dict) and not structure.is_atomic_map(kind, names):
        merged = dict(live)
        for key, value in config.items():
            merged[key] = _merge(kind, (*names, key), live[key], value) if key in live else clone(value)
        return merged
    if isinstance(live, list) and isinstance(config, list) and config:
        ours, theirs = field_sets.item_segments(kind, names, live), field_sets.item_segments(kind, names, config)
        if ours is not None and theirs is not None:
            kept = {
                seg: _merge(kind, names, item, theirs[seg]) if seg in theirs else item for seg, item in ours.items()
            }
            return [*kept.values(), *(clone(item) for seg, item in theirs.items() if seg not in ours)]
    return clone(config)


def _remove(kind: Kind, obj: Object, path: Path) -> None:
    """Take out the value at a path, and the containers it leaves empty. Copies what it changes on the way."""
    trail: list[tuple[Any, Any]] = []
    node: Any = obj
    names: Names = ()
    for segment in path:
        found = _step(kind, names, node, segment)
        if found is None:
            return
        trail.append((node, found))
        if segment.startswith("f:"):
            names = (*names, segment[2:])
        child = copy.copy(node[found])
        node[found] = child
        node = child
    holder, where = trail.pop()
    del holder[where]
    while trail and not holder and len(trail) > 1:
        holder, where = trail.pop()
        del holder[where]


def _step(kind: Kind, names: Names, node: Any, segment: str) -> Any:
    """Give the key or index that a segment means in a node, None if it is not there."""
    if segment.startswith("f:"):
        key = segment[2:]
        return key if isinstance(node, dict) and key in node else None
    if not isinstance(node, list):
        return None
    segments = field_sets.item_segments(kind, names, node)
    return list(segments).index(segment) if segments and segment in segments else None


def adopt(
    live: Object, prefixes: Iterable[str], exact: Iterable[str], author: Author, fallback: Mapping[str, str]
) -> Object:
    """Hand the Update entries of these managers to `author`, as Flux does before it applies.

    `fallback` gives `apiVersion` and `time` for an entry that is made anew. The very `live` when there are none.
    """
    names, starts = frozenset(exact), tuple(prefixes)
    entries = read(live)

    def handed_over(entry: Entry) -> bool:
        found = entry.author
        return (
            found.operation == "Update"
            and not found.subresource
            and (found.manager in names or found.manager.startswith(starts))
        )

    given = [each for each in entries if handed_over(each)]
    if not given:
        return live
    mine = next((each for each in entries if each.author == author), None)
    paths = frozenset().union(*(each.paths for each in given), mine.paths if mine else ())
    version, time = (mine.api_version, mine.time) if mine else (fallback["apiVersion"], fallback["time"])
    kept = [each for each in entries if each is not mine and not handed_over(each)]
    return write(live, [*kept, Entry(author, version, time, paths)])
