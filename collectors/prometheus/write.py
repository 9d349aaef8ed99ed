"""What both protocols of remote write are read by: most series at once by numpy, the others one at a time."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import ClassVar, Final, Generic, TypeVar

import numpy as np

from collectors.blocks import Numbers
from collectors.prometheus.catalogue import UNKNOWN, Catalogue, ClusterOf
from collectors.prometheus.labels import Labels, SeriesRefusedError
from collectors.prometheus.protobuf import MalformedError
from collectors.prometheus.samples import Columns, Content, Decoded, Loose, Places, joined, take

N = TypeVar("N")

_FEWER: Final = "send fewer at a time"


class Reading(ABC, Generic[N]):
    """One request while it is read; `N` is how a series is named in it."""

    version: ClassVar[str]
    """The protocol's."""

    def __init__(self, raw: bytes, client: str, catalogue: Catalogue, cluster_of: ClusterOf, max_samples: int) -> None:
        """Take a request to be read.

        Args:
            raw: The message, decompressed.
            client: Who sent it.
            catalogue: Where series are known; new ones are added.
            cluster_of: Which cluster a series is of.
            max_samples: A request with more series or samples is refused.

        """
        self._raw = raw
        self._key = client, self.version
        self._catalogue = catalogue
        self._cluster_of = cluster_of
        self._max_samples = max_samples

    @abstractmethod
    def decoded(self) -> Decoded:
        """Return the samples.

        Raises:
            MalformedError: it is no message of this protocol, or has too many series or samples.

        """

    @abstractmethod
    def _parts(self, start: int, stop: int, content: Content) -> N:
        """Return what names the series between these bounds; note in `content` where its other parts lie.

        Raises:
            SeriesRefusedError: the series is not taken.

        """

    @abstractmethod
    def _number(self, named: N) -> int:
        """Return the number of a series.

        Raises:
            SeriesRefusedError: it is not taken.

        """

    def _bounds(self, starts: list[int], stops: list[int]) -> tuple[Places, Places]:
        """Return the bounds of all series, unless there are too many."""
        if len(starts) > self._max_samples:
            raise MalformedError(f"{len(starts)} series in a request; at most {self._max_samples}: {_FEWER}")
        return np.array(starts, dtype=np.int64), np.array(stops, dtype=np.int64)

    def _known(self, names: bytes, bounds: Iterable[tuple[int, int]]) -> Numbers:
        """Return the numbers of the series whose names lie within these bounds of `names`; `UNKNOWN` for new ones."""
        get = self._catalogue.known(self._key).get
        return np.array([get(names[start:stop], UNKNOWN) for start, stop in bounds], dtype=np.int32)

    def _known_or_new(self, named: bytes, labels: Callable[[], Labels]) -> int:
        number = self._catalogue.known(self._key).get(named, UNKNOWN)
        return self._catalogue.add(self._key, named, labels, self._cluster_of) if number == UNKNOWN else number

    def _read(self, columns: Columns, numbers: Numbers, starts: Places, stops: Places) -> Decoded:
        """Return the samples that `columns` finds, and behind them those of the series that are read one at a time."""
        decoded = columns.decoded(numbers, columns.starts - starts)
        loose = Loose()
        for at in np.flatnonzero(~columns.laid_out).tolist():
            self._look(int(starts[at]), int(stops[at]), decoded, loose)
        return joined(decoded, loose)

    def _look(self, start: int, stop: int, decoded: Decoded, loose: Loose) -> None:
        """Read a series field by field."""
        content = Content()
        try:
            named = self._parts(start, stop, content)
            if len(loose.series) + len(content) > self._max_samples:
                raise MalformedError(f"more than {self._max_samples} samples in a request: {_FEWER}")
            number = self._number(named)
        except SeriesRefusedError as error:
            decoded.refusals.add(error.reason, str(error), len(content))
        else:
            take(self._raw, content, number, decoded, loose)
