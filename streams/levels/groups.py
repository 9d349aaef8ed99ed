"""Subjects under rules, and how many of their series fire or fell silent: what words are about."""

from typing import Final, NamedTuple

import numpy as np

from abdrift.signals.levels import State
from streams.levels.rules import Subject
from streams.rates.labels import Labels
from streams.rates.packing import Ints
from streams.rates.windows import grown

NORMAL: Final = 0
PENDING: Final = 1
FIRING: Final = 2
SILENT: Final = 3
"""A series' phases: below its threshold; above it, not for long enough; above it; above it when last heard."""

_STATES: Final = (State.CLEAR, State.UNKNOWN, State.FIRING)
_COUNTED: Final = (FIRING, SILENT)
_LEAST: Final = 1 << 8


class Group(NamedTuple):
    """One subject of one cluster under one rule, which series of one member table speak of."""

    cluster: int
    """Its number."""
    rule: str
    subject: Subject


class Groups:
    """Numbers of groups, given while a group has series."""

    def __init__(self, capacity: int) -> None:
        self._labels = Labels(capacity)
        self._groups: list[Group | None] = []
        self._members: Ints = np.zeros(_LEAST, dtype=np.int64)
        self._counts: Ints = np.zeros((_LEAST, len(_COUNTED)), dtype=np.int64)
        """By group: series that fire, and that fell silent."""

    def __getitem__(self, number: int) -> Group:
        found = self._groups[number]
        assert found is not None, "a group is asked for while it has series"
        return found

    def join(self, group: Group) -> int:
        """Return the number of a group that has a series more. There is room: groups are no more than series."""
        number = self._labels.number("\0".join((str(group.cluster), group.rule, *group.subject)))
        if number >= len(self._groups):
            self._groups += [None] * (number + 1 - len(self._groups))
            self._members, self._counts = grown(self._members, number + 1), grown(self._counts, number + 1)
        self._groups[number] = group
        self._members[number] += 1
        return number

    def leave(self, groups: Ints) -> None:
        """Take series off their groups, all of them in phase `NORMAL` or `PENDING`."""
        np.subtract.at(self._members, groups, 1)
        for number in np.unique(groups).tolist():
            if not self._members[number]:
                self._groups[number] = None
                self._labels.release([number])

    def move(self, groups: Ints, before: Ints, after: Ints) -> Ints:
        """Note that series went from one phase to another; return the groups whose state that changes, ascending."""
        touched: Ints = np.unique(groups)
        states = self._states_of(touched)
        for column, phase in enumerate(_COUNTED):
            np.add.at(self._counts[:, column], groups, (after == phase).astype(np.int64) - (before == phase))
        changed: Ints = touched[self._states_of(touched) != states]
        return changed

    def state(self, number: int) -> State:
        """Return what is known of a group."""
        return _STATES[int(self._states_of(np.array([number]))[0])]

    def firing(self, number: int) -> int:
        """Return how many of a group's series fire."""
        return int(self._counts[number, 0])

    def _states_of(self, groups: Ints) -> Ints:
        firing, silent = self._counts[groups, 0] > 0, self._counts[groups, 1] > 0
        return np.where(firing, 2, np.where(silent, 1, 0))
