"""Which frames of a source were seen: its duplicates are dropped, its gaps are known, its stragglers are kept.

For each source and epoch: the number up to which every frame was seen, and the holes below it. Epochs are counters
that sources persist; the newest few stay open, since a source that was away sends what it spooled before.
"""

from typing import Final

import msgspec

MAX_HOLES: Final = 64
MAX_EPOCHS: Final = 4
MAX_SOURCES: Final = 4_096

Hole = tuple[int, int]


class Lane(msgspec.Struct, array_like=True):
    """One source's frames within one epoch. Holes are half-open, ascending, all below `next_sequence`."""

    epoch: int
    next_sequence: int = 0
    holes: list[Hole] = []

    def see(self, sequence: int) -> bool:
        """Note a frame; return whether it is the first of its number, so far as that is remembered."""
        if sequence >= self.next_sequence:
            if sequence > self.next_sequence:
                self.holes.append((self.next_sequence, sequence))
                del self.holes[:-MAX_HOLES]
            self.next_sequence = sequence + 1
            return True
        for at, (first, end) in enumerate(self.holes):
            if first <= sequence < end:
                self.holes[at : at + 1] = [
                    part for part in ((first, sequence), (sequence + 1, end)) if part[0] < part[1]
                ]
                del self.holes[:-MAX_HOLES]
                return True
        return False

    @property
    def missing(self) -> int:
        """Frames that were not seen and may yet come."""
        return sum(end - first for first, end in self.holes)


class Sequences:
    """The lanes of one partition, by source; the source heard last stands last."""

    def __init__(self) -> None:
        self.by_source: dict[str, list[Lane]] = {}
        self._touched: dict[str, None] = {}

    def see(self, source: str, epoch: int, sequence: int) -> bool:
        """Note a frame; return whether its rows count: not seen before, and of an epoch that is still open."""
        lanes = self.by_source.pop(source, [])
        self.by_source[source] = lanes
        self._touched[source] = None
        while len(self.by_source) > MAX_SOURCES:
            self._forget_oldest()
        lane = next((one for one in lanes if one.epoch == epoch), None)
        if lane is None:
            if len(lanes) >= MAX_EPOCHS and epoch < lanes[0].epoch:
                return False
            lane = Lane(epoch)
            lanes.append(lane)
            lanes.sort(key=lambda one: one.epoch)
            del lanes[:-MAX_EPOCHS]
        return sequence >= 0 and lane.see(sequence)

    @property
    def missing(self) -> int:
        """Frames of all lanes that were not seen and may yet come."""
        return sum(lane.missing for lanes in self.by_source.values() for lane in lanes)

    def touched(self) -> dict[str, list[Lane]]:
        """Return the lanes that changed since this was last asked, in the order in which they were heard."""
        changed = {source: lanes for source, lanes in self.by_source.items() if source in self._touched}
        self._touched.clear()
        return changed

    def restore(self, changed: dict[str, list[Lane]]) -> None:
        """Take in what `touched` told."""
        for source, lanes in changed.items():
            self.by_source.pop(source, None)
            self.by_source[source] = lanes
        while len(self.by_source) > MAX_SOURCES:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        oldest = next(iter(self.by_source))
        del self.by_source[oldest]
        self._touched.pop(oldest, None)
