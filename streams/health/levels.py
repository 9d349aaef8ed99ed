"""What metrics and logs say against workloads, nodes and clusters, as `streams.levels` tells of it."""

from typing import Final

from abdrift.facts.governance import LevelSubject
from abdrift.signals.levels import LevelRow, State
from streams.health.cells import Level, Levels, Reason, UnplacedLevels, resource_id
from streams.health.placing import Shelf
from streams.health.work import Work

SHELF: Final[Shelf[Level]] = Shelf(Levels, UnplacedLevels, "levels", "unplaced-levels")
TOLD: Final = "told-levels"
"""Key of the cell that says which frames of words were taken."""
_MAX_MESSAGE_CHARACTERS: Final = 500


def take(work: Work, row: LevelRow) -> str | None:
    """Take a word; return the key of the workload, node or cluster that is to be judged for it.

    One that takes back what was said of a cluster that was forgotten meanwhile brings nothing back.
    """
    word = None if row.state == State.CLEAR else _level(row)
    about = f"{row.kind}/{row.name}/{row.rule}"
    if row.subject != LevelSubject.CLUSTER:
        return SHELF.take(work, (row.cluster, row.namespace), about, word)
    key = resource_id("cluster", row.cluster)
    if word is None and work.resource(key) is None:
        return None
    SHELF.put(work, key, about, word)
    return key


def reasons(work: Work, key: str) -> tuple[Reason, ...]:
    """Return what levels say against a workload, node or cluster, the worst of each rule."""
    found: dict[tuple[str, str], Level] = {}
    for _, level in sorted(SHELF.of(work, key).items()):
        # Pods of several names may be one workload's.
        found.setdefault((level.code, level.status), level)
    return tuple(
        Reason(level.code, level.message, level.status, work.now_ms, level.source, level.as_of_ms)
        for level in found.values()
    )


def forget(work: Work, key: str, where: tuple[str, str]) -> None:
    """Let go of a workload or node that is no longer there; what is said of it counts again should it come back."""
    words = SHELF.of(work, key)
    SHELF.drop(work, key)
    for about, word in words.items():
        SHELF.take(work, where, about, word)


def _level(row: LevelRow) -> Level:
    status = "unknown" if row.state == State.UNKNOWN else row.severity
    code = "".join(part.capitalize() for part in row.rule.split("-"))
    return Level(code, row.message[:_MAX_MESSAGE_CHARACTERS], status, row.source, row.last_ms)
