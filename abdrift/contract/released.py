"""The released contract: what readers rely on, as files that the current contract is held against."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import orjson

from abdrift.contract.compatibility import breaks, topic_breaks
from abdrift.contract.generate import schema
from abdrift.topics import FACT_TYPES, TOPICS

_TOPICS: Final = "topics.json"


class BreakingError(Exception):
    """The current contract would break who reads by the released one; each line says where."""


def problems(folder: Path) -> list[str]:
    """Return what of the current contract breaks readers of the one in a folder; that is empty where nothing does."""
    found = [str(each) for each in topic_breaks(_read(folder / _TOPICS), _promises())]
    for path in sorted(folder.glob("schemas/*.json")):
        fact = FACT_TYPES.get(path.stem)
        if fact is None:
            found.append(f"{path.stem}: the fact type was taken away")
        else:
            found += [f"{path.stem}: {each}" for each in breaks(_read(path), schema(fact))]
    return found


def release(folder: Path) -> list[Path]:
    """Take the current contract as released. Returns what changed.

    Raises:
        BreakingError: it would break who reads by the one that is released.

    """
    if (folder / _TOPICS).exists() and (found := problems(folder)):
        raise BreakingError("\n".join(["a new version is needed beside the old one:", *found]))
    documents: dict[str, Any] = {f"schemas/{name}.json": schema(fact) for name, fact in FACT_TYPES.items()}
    changed = []
    for name, document in (documents | {_TOPICS: _promises()}).items():
        target, content = folder / name, orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
        if not target.exists() or target.read_bytes() != content:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            changed.append(target)
    return changed


def _promises() -> dict[str, dict[str, Any]]:
    """Return what is promised of each public topic."""
    return {
        topic.name: {
            "key": topic.key,
            "placed_by": topic.placed_by,
            "compacted": topic.compacted,
            "retention_ms": topic.retention_ms,
            "facts": [fact.name for fact in topic.facts],
        }
        for topic in TOPICS
        if topic.public
    }


def _read(path: Path) -> Mapping[str, Any]:
    read: Mapping[str, Any] = orjson.loads(path.read_bytes())
    return read
