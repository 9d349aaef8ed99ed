"""What things are called in Elasticsearch, and when an index is over: names alone decide, nothing is asked."""

import itertools
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from abdrift.topics import FLEET_INCIDENTS, TOPICS, Format, Topic

_FLEET: Final = "abdrift.fleet."

FACT_TOPICS: Final[dict[str, Topic]] = {
    topic.name.removeprefix(_FLEET).removesuffix(".v1"): topic
    for topic in TOPICS
    if topic.name.startswith(_FLEET) and topic.format is Format.CLOUDEVENT
}
"""The public topics by their nouns."""
NOUNS: Final = tuple(FACT_TOPICS)
INCIDENTS: Final = FLEET_INCIDENTS.name.removeprefix(_FLEET).removesuffix(".v1")

FACTS_PATTERN: Final = "abdrift-facts-*"
CURRENT_PATTERN: Final = "abdrift-current-*"
STREAMS_PATTERN: Final = "logs-abdrift.*-*"

EVENTS_DATASET: Final = "abdrift.events"
LOGS_DATASET: Final = "abdrift.logs"

_FACTS_INDEX: Final = re.compile(r"abdrift-facts-[a-z-]+-(\d{4})\.(\d{2})")


def facts_index(noun: str, time: datetime) -> str:
    """Return the index of a fact of that time: a month's, so that a replay finds the document that it wrote."""
    return f"abdrift-facts-{noun}-{time.astimezone(UTC):%Y.%m}"


def current_index(noun: str) -> str:
    """Return the index of the newest fact of each key of a compacted topic."""
    return f"abdrift-current-{noun}"


def data_stream(dataset: str, namespace: str) -> str:
    """Return the name of a data stream of logs."""
    return f"logs-{dataset}-{namespace}"


def is_past(time: datetime, now: datetime, retention_days: int) -> bool:
    """Tell whether a fact's index is to be dropped, or is already: all of its month lies too far back."""
    return _end_of_month(time.year, time.month) <= now - timedelta(days=retention_days)


def over(names: Iterable[str], now: datetime, retention_days: int) -> list[str]:
    """Return those of the names that are indices of facts to be dropped, in order."""
    found = ((name, _FACTS_INDEX.fullmatch(name)) for name in names)
    return sorted(
        name
        for name, month in found
        if month and is_past(datetime(int(month[1]), int(month[2]), 1, tzinfo=UTC), now, retention_days)
    )


def over_in_stream(created_ms: Mapping[str, int], now_ms: int, retention_days: int) -> list[str]:
    """Return the backing indices to be dropped: the next one was begun too long ago. The newest stays."""
    by_age = sorted(created_ms.items(), key=lambda one: (one[1], one[0]))
    limit_ms = now_ms - retention_days * 86_400_000
    return [name for (name, _), (_, ended_ms) in itertools.pairwise(by_age) if ended_ms <= limit_ms]


def _end_of_month(year: int, month: int) -> datetime:
    return datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
