"""What dashboards are declared with: views, panels and boards."""

from dataclasses import dataclass
from enum import StrEnum

from sinks.elasticsearch.indices import CURRENT_PATTERN, FACTS_PATTERN, STREAMS_PATTERN

Field = str


class View(StrEnum):
    """A data view, by the pattern of its indices."""

    FACTS = FACTS_PATTERN
    """All facts, as they were told: what happened, and when."""
    CURRENT = CURRENT_PATTERN
    """The newest fact of each subject: what is so now."""
    SIGNALS = STREAMS_PATTERN
    """Kubernetes Events and log lines."""


VIEW_NAMES = {
    View.FACTS: "Abdrift: facts",
    View.CURRENT: "Abdrift: now",
    View.SIGNALS: "Abdrift: Events and logs",
}


class Shape(StrEnum):
    """How a panel shows its numbers, in Kibana's words."""

    METRIC = "metric"
    PIE = "pie"
    BARS = "horizontal_bar"
    TABLE = "table"
    OVER_TIME = "histogram"


@dataclass(frozen=True, slots=True)
class Chart:
    """Documents counted by the values of fields."""

    name: str
    title: str
    view: View
    query: str
    shape: Shape
    by: tuple[Field, ...] = ()
    """Of a histogram: what its bars are split by; the other axis is time."""
    distinct: Field | None = None
    """Counted in place of the documents."""
    mean: Field | None = None
    """Averaged beside the count."""
    width: int = 16
    height: int = 10


@dataclass(frozen=True, slots=True)
class Listing:
    """Documents one below the other, the newest first."""

    name: str
    title: str
    view: View
    query: str
    columns: tuple[Field, ...]
    width: int = 48
    height: int = 16


@dataclass(frozen=True, slots=True)
class Note:
    """Text in Markdown."""

    name: str
    text: str
    width: int = 48
    height: int = 4


Panel = Chart | Listing | Note


@dataclass(frozen=True, slots=True)
class Board:
    """A dashboard. Panels fill rows of 48 columns from the left."""

    name: str
    title: str
    description: str
    since: str
    """From when on it shows facts at first, e.g. now-24h."""
    controls: tuple[tuple[Field, str], ...]
    """Fields to choose values of, with what they are called."""
    panels: tuple[Panel, ...]
