"""Which series there are: each is looked at once, when it is new, and known by the bytes that name it from then on.

A series that is known is known for a window, and carried over into the next one when it is seen again. So what has
ended is forgotten, memory is bounded, and a series that was let in stays in while others press.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from abdrift.signals.samples import labels_text
from collectors.blocks import SeriesTable
from collectors.prometheus.cardinality import Cardinality, SeriesLimits
from collectors.prometheus.labels import METRIC_NAME, Labels, SeriesRefusedError, check
from collectors.prometheus.relabelling import Rules

UNKNOWN: Final = -1
"""The number of a series that was not seen yet."""
SUPPRESSED: Final = -2
"""The number of a series that the rules drop."""
TOO_LONG: Final = (1 << 32) - 1
"""The number of every symbol that is too long for a label."""

BY_SYMBOLS: Final = "2.0"
"""The way of naming series by symbols."""

_SERIES_BYTES, _SYMBOL_BYTES = 500, 200
"""About what each takes besides its text."""

Key = tuple[str, str]
"""Who names series, and in which way: a client and a protocol."""


class ClusterOf(Protocol):
    """Says which cluster a series is of, by the cluster that its label names, if any; raises `SeriesRefusedError`."""

    def __call__(self, named: str | None) -> str:
        """Return the cluster's name."""


@dataclass(slots=True)
class _Window:
    """What was seen since a moment."""

    begun_ms: int
    table: SeriesTable = field(default_factory=SeriesTable)
    numbers: dict[Key, dict[bytes, int]] = field(default_factory=dict)
    symbols: dict[bytes, int] = field(default_factory=dict)
    symbol_texts: list[bytes] = field(default_factory=list)
    size_bytes: int = 0


class Catalogue:
    """The series of all senders to one receiver."""

    def __init__(
        self,
        limits: SeriesLimits,
        rules: Rules,
        cluster_label: str | None = None,
        *,
        told: Callable[[str, str, str], None] = lambda *_: None,
    ) -> None:
        """`cluster_label` names the label that holds a series' cluster; `told` hears of each refusal's offender."""
        self._limits = limits
        self._rules = rules
        self._cluster_label = cluster_label
        self._window = _Window(0)
        self._before = _Window(0)
        self._cardinality = Cardinality(limits, told)

    @property
    def table(self) -> SeriesTable:
        """The series of the window, by number."""
        return self._window.table

    @property
    def limits(self) -> SeriesLimits:
        """What a series may be."""
        return self._limits

    def turn(self, now_ms: int) -> None:
        """Begin a new window where it is time to. Numbers from before are of the former table."""
        window = self._window
        if (
            window.size_bytes >= self._limits.memory_bytes
            or now_ms - window.begun_ms >= self._limits.window_seconds * 1_000
        ):
            self._before, self._window = window, _Window(now_ms)
            self._cardinality.begin()

    def known(self, key: Key) -> Mapping[bytes, int]:
        """Return the numbers of the series that are known, by the bytes that name them."""
        return self._window.numbers.setdefault(key, {})

    def symbol(self, text: bytes) -> int:
        """Return the number by which a text is known within the window; `TOO_LONG` where no label may have it."""
        window = self._window
        number = window.symbols.get(text)
        if number is None:
            if len(text) > max(self._limits.label_name_bytes, self._limits.label_value_bytes):
                return TOO_LONG
            number = window.symbols[text] = len(window.symbol_texts)
            window.symbol_texts.append(text)
            window.size_bytes += _SYMBOL_BYTES + len(text)
        return number

    def symbol_text(self, number: int) -> bytes:
        """Return the text of such a number."""
        return self._window.symbol_texts[number]

    def add(self, key: Key, named: bytes, labels: Callable[[], Labels], cluster_of: ClusterOf) -> int:
        """Return the number of a series that is not known in this window; `SUPPRESSED` where the rules drop it.

        Raises:
            SeriesRefusedError: it is not taken, and why.

        """
        numbers = self._window.numbers.setdefault(key, {})
        number = self._carried_over(key, named)
        if number is None:
            number = self._new(labels(), cluster_of)
        numbers[named] = number
        self._window.size_bytes += _SERIES_BYTES + 2 * len(named)
        return number

    def seen(self, key: Key, named: bytes) -> int:
        """Return the number of a series that was seen in this window or the one before; else `UNKNOWN`."""
        number = self._window.numbers.get(key, {}).get(named)
        if number is None:
            number = self._carried_over(key, named)
        return UNKNOWN if number is None else number

    def _carried_over(self, key: Key, named: bytes) -> int | None:
        # Symbols are numbered anew in each window, so what is named by their numbers is looked at again.
        before = None if key[1] == BY_SYMBOLS else self._before.numbers.get(key, {}).get(named)
        if before is None or before == SUPPRESSED:
            return before
        table = self._before.table
        series = table.one(before)
        self._cardinality.count(*series[:2])
        return self._window.table.add(*series)

    def _new(self, given: Labels, cluster_of: ClusterOf) -> int:
        check(given, self._limits)
        cluster = cluster_of(given.get(self._cluster_label) if self._cluster_label else None)
        kept = self._rules.applied(given)
        if kept is None:
            return SUPPRESSED
        metric = kept.pop(METRIC_NAME, "")
        if not metric:
            raise SeriesRefusedError("no-name", "the rules leave a series without a metric's name")
        text = labels_text(kept)
        self._cardinality.admit(self._window.table, cluster, metric)
        return self._window.table.add(cluster, metric, text)
