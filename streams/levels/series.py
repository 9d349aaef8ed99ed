"""Which members each series has: its labels are parsed when it is first seen, and never again.

Series that no rule selects are remembered too, so that they are not parsed again; these, and only these, are
forgotten when they grow many.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from abdrift.signals import samples
from streams.levels.groups import Group
from streams.levels.members import Members
from streams.levels.rules import Rules, Subject, subject_of

MAX_PER_CLUSTER: Final = 20_000
"""Members of one cluster."""
MAX_LABELS_CHARACTERS: Final = 2_048
MAX_REMEMBERED: Final = 1 << 16
_WINDOWED: Final = 1
"""The lowest bit of a member's number tells its table; the others are its slot."""

Family = tuple[int, ...]
"""A series' members, or a reason of `REASONS` for which it has none."""
NOBODY: Final[Family] = (-4,)
FULL: Final[Family] = (-1,)
UNATTRIBUTED: Final[Family] = (-2,)
UNREADABLE: Final[Family] = (-3,)
REASONS: Final[Mapping[Family, str]] = {
    NOBODY: "no-rule",
    FULL: "series-full",
    UNATTRIBUTED: "no-subject",
    UNREADABLE: "bad-labels",
}
"""Why a series has no members."""


_Key = tuple[int, str, str]
"""A series: its cluster's number, metric and labels."""


class Joined(msgspec.Struct, frozen=True, array_like=True):
    """A series that became a member: its number, and what it is told by."""

    member: int
    rule: str
    cluster: int
    metric: str
    labels: str


class Series:
    """The members of every series, by cluster's number, metric and labels."""

    def __init__(self, rules: Rules, tables: Sequence[Members]) -> None:
        self.rules = rules
        self.tables = tables
        self.max_per_cluster = MAX_PER_CLUSTER
        self.joined: list[Joined] = []
        """Since this was last emptied."""
        self._families: dict[int, dict[str, dict[str, Family]]] = {}
        self._kept: dict[_Key, Family] = {}
        """Series that have members, and are to be held against the rules when they are next seen."""
        self._members: dict[int, Joined] = {}
        self._counts: dict[int, int] = {}
        self._remembered: list[_Key] = []
        """Series that have no members, for another reason than want of room."""
        self._turned_away: list[_Key] = []
        """Series that there was no room for."""

    def __len__(self) -> int:
        return len(self._members)

    def __getitem__(self, member: int) -> Joined:
        return self._members[member]

    def everything(self) -> list[Joined]:
        """Return all members, by their numbers."""
        return [self._members[member] for member in sorted(self._members)]

    def families(self, cluster: int, metric: str, labels: Sequence[str]) -> list[Family]:
        """Return the members of a metric's series, or a reason of `REASONS` where one has none."""
        known = self._of(cluster, metric)
        found = list(map(known.get, labels))
        new = [text for text, family in zip(labels, found, strict=True) if family is None]
        if new:
            if len(self._remembered) + len(self._turned_away) + len(new) > MAX_REMEMBERED:
                self._forget(self._remembered, self._turned_away)
                known = self._of(cluster, metric)
            self._learn(cluster, metric, new)
        return [known[text] if family is None else family for text, family in zip(labels, found, strict=True)]

    def restore(self, joined: Iterable[Joined]) -> None:
        """Take in what `joined` or `everything` told."""
        numbers = {rule.name: number for number, rule in enumerate(self.rules.policy.rules)}
        for one in joined:
            rule = numbers[one.rule]
            subject = subject_of(self.rules[rule], samples.labels_of(one.labels))
            assert subject is not None, "what joined has a subject"
            self._put(one, rule, subject)
            self._keep(one)

    def remove(self, members: Iterable[int]) -> None:
        """Forget members that their tables are about to let go. There is room then for others."""
        self._forget(self._turned_away)
        for member in members:
            gone = self._members.pop(member)
            self._counts[gone.cluster] -= 1
            key = (gone.cluster, gone.metric, gone.labels)
            family = tuple(one for one in self._kept.pop(key, self._drop(key)) if one != member)
            if family:
                self._kept[key] = family
        self._counts = {cluster: count for cluster, count in self._counts.items() if count}

    def declare(self, rules: Rules) -> None:
        """Put other rules in force; members of rules that are gone were removed before."""
        self.rules = rules
        self._remembered.clear()
        self._turned_away.clear()
        self._families.clear()
        self._kept.clear()
        for joined in self.everything():
            self._keep(joined)

    def _learn(self, cluster: int, metric: str, texts: Sequence[str]) -> None:
        parsed = {text: _parsed(text) for text in texts}
        readable = {text: labels for text, labels in parsed.items() if labels is not None}
        matching = self.rules.matching(metric, list(readable.values()))
        for (text, labels), rules in zip(readable.items(), matching, strict=True):
            self._join((cluster, metric, text), labels, rules)
        for text in parsed.keys() - readable.keys():
            self._remember((cluster, metric, text), UNREADABLE)

    def _join(self, key: _Key, labels: Mapping[str, str], rules: tuple[int, ...]) -> None:
        cluster, metric, text = key
        family = self._kept.pop(key, ())
        have = {self._members[member].rule for member in family}
        missing = [rule for rule in rules if self.rules[rule].name not in have]
        subjects = {rule: subject for rule in missing if (subject := subject_of(self.rules[rule], labels)) is not None}
        is_room = self._is_room(cluster, list(subjects))
        for rule, subject in subjects.items() if is_room else ():
            table = int(self.rules.is_windowed(rule))
            joined = Joined(self.tables[table].next_slot() << 1 | table, self.rules[rule].name, cluster, metric, text)
            self.joined.append(joined)
            self._put(joined, rule, subject)
            family = (*family, joined.member)
        if family:
            self._families[cluster][metric][text] = family
        else:
            self._remember(key, FULL if subjects else UNATTRIBUTED if rules else NOBODY)

    def _is_room(self, cluster: int, rules: Sequence[int]) -> bool:
        windowed = sum(map(self.rules.is_windowed, rules))
        room = [table.capacity - len(table) for table in self.tables]
        has_tables = len(rules) - windowed <= room[0] and windowed <= room[_WINDOWED]
        return has_tables and self._counts.get(cluster, 0) + len(rules) <= self.max_per_cluster

    def _put(self, joined: Joined, rule: int, subject: Subject) -> None:
        table = self.tables[joined.member & _WINDOWED]
        group = table.groups.join(Group(joined.cluster, joined.rule, subject))
        table.put(joined.member >> 1, rule, self.rules.width_ms(rule), group)
        self._members[joined.member] = joined
        self._counts[joined.cluster] = self._counts.get(joined.cluster, 0) + 1

    def _keep(self, joined: Joined) -> None:
        key = (joined.cluster, joined.metric, joined.labels)
        self._kept[key] = (*self._kept.get(key, ()), joined.member)

    def _remember(self, key: _Key, why: Family) -> None:
        cluster, metric, text = key
        self._families[cluster][metric][text] = why
        (self._turned_away if why == FULL else self._remembered).append(key)

    def _forget(self, *remembered: list[_Key]) -> None:
        for keys in remembered:
            for key in keys:
                self._drop(key)
            keys.clear()

    def _of(self, cluster: int, metric: str) -> dict[str, Family]:
        """Return a metric's families by labels, to be written to. It goes once it is empty."""
        return self._families.setdefault(cluster, {}).setdefault(metric, {})

    def _drop(self, key: _Key) -> Family:
        """Forget a series' family and return it."""
        cluster, metric, text = key
        of_cluster = self._families.get(cluster, {})
        of_metric = of_cluster.get(metric, {})
        family = of_metric.pop(text, ())
        if not of_metric:
            of_cluster.pop(metric, None)
        if not of_cluster:
            self._families.pop(cluster, None)
        return family


def _parsed(text: str) -> dict[str, str] | None:
    if len(text) > MAX_LABELS_CHARACTERS:
        return None
    try:
        labels = samples.labels_of(text)
    except ValueError:
        return None
    return labels if all(isinstance(value, str) for value in labels.values()) else None
