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
        self._members: dict[int, Joined] = {}
        self._counts: dict[int, int] = {}
        self._remembered: list[tuple[int, str, str]] = []
        """Series that have no members."""

    def __getitem__(self, member: int) -> Joined:
        return self._members[member]

    def everything(self) -> list[Joined]:
        """Return all members, by their numbers."""
        return [self._members[member] for member in sorted(self._members)]

    def families(self, cluster: int, metric: str, labels: Sequence[str]) -> list[Family]:
        """Return the members of a metric's series, or a reason of `REASONS` where one has none."""
        known = self._families.setdefault(cluster, {}).setdefault(metric, {})
        found = list(map(known.get, labels))
        new = [text for text, family in zip(labels, found, strict=True) if family is None]
        if new:
            if len(self._remembered) + len(new) > MAX_REMEMBERED:
                self.forget_remembered()
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

    def remove(self, members: Iterable[int]) -> None:
        """Forget members that their tables have let go."""
        self.forget_remembered()
        for member in members:
            gone = self._members.pop(member)
            of_metric = self._families[gone.cluster][gone.metric]
            family = tuple(one for one in of_metric[gone.labels] if one != member)
            if family:
                of_metric[gone.labels] = family
            else:
                del of_metric[gone.labels]
            self._counts[gone.cluster] -= 1
        self._tidy()

    def declare(self, rules: Rules) -> None:
        """Put other rules in force; members of rules that are gone were removed before."""
        self.rules = rules
        self.forget_remembered()
        # A series of which some rule is kept may be selected by a new one.
        self._families.clear()
        for member, joined in sorted(self._members.items()):
            of_metric = self._families.setdefault(joined.cluster, {}).setdefault(joined.metric, {})
            of_metric[joined.labels] = (*of_metric.get(joined.labels, ()), member)
        self._complete()

    def forget_remembered(self) -> None:
        """Forget which series have no members: there may be room, or a rule, for them now."""
        for cluster, metric, labels in self._remembered:
            del self._families[cluster][metric][labels]
        self._remembered.clear()

    def _complete(self) -> None:
        """Have known series join the rules that have come to select them."""
        for cluster, of_cluster in list(self._families.items()):
            for metric, of_metric in list(of_cluster.items()):
                known = dict(of_metric)
                self._learn(cluster, metric, list(known), known)

    def _learn(
        self, cluster: int, metric: str, texts: Sequence[str], known: Mapping[str, Family] | None = None
    ) -> None:
        parsed = {text: labels for text in texts if (labels := _parsed(text)) is not None}
        matching = self.rules.matching(metric, list(parsed.values()))
        for text, rules in zip(parsed, matching, strict=True):
            self._join(cluster, metric, text, (parsed[text], rules, (known or {}).get(text, ())))
        for text in texts:
            if text not in parsed:
                self._remember(cluster, metric, text, UNREADABLE)

    def _join(
        self, cluster: int, metric: str, text: str, told: tuple[Mapping[str, str], tuple[int, ...], Family]
    ) -> None:
        labels, rules, known = told
        have = {self._members[member].rule for member in known}
        missing = [rule for rule in rules if self.rules[rule].name not in have]
        subjects = {rule: subject for rule in missing if (subject := subject_of(self.rules[rule], labels)) is not None}
        if subjects and not self._is_room(cluster, list(subjects)):
            if not known:
                self._remember(cluster, metric, text, FULL)
            return
        for rule, subject in subjects.items():
            table = int(self.rules.is_windowed(rule))
            member = self.tables[table].next_slot() << 1 | table
            joined = Joined(member, self.rules[rule].name, cluster, metric, text)
            self.joined.append(joined)
            self._put(joined, rule, subject)
        if not known and not subjects:
            self._remember(cluster, metric, text, UNATTRIBUTED if missing else NOBODY)

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
        of_metric = self._families.setdefault(joined.cluster, {}).setdefault(joined.metric, {})
        of_metric[joined.labels] = (*of_metric.get(joined.labels, ()), joined.member)
        self._counts[joined.cluster] = self._counts.get(joined.cluster, 0) + 1

    def _remember(self, cluster: int, metric: str, text: str, why: Family) -> None:
        self._families.setdefault(cluster, {}).setdefault(metric, {})[text] = why
        self._remembered.append((cluster, metric, text))

    def _tidy(self) -> None:
        """Drop what has become empty."""
        for cluster in [cluster for cluster, of_cluster in self._families.items() if not any(of_cluster.values())]:
            del self._families[cluster]
        self._counts = {cluster: count for cluster, count in self._counts.items() if count}


def _parsed(text: str) -> dict[str, str] | None:
    if len(text) > MAX_LABELS_CHARACTERS:
        return None
    try:
        labels = samples.labels_of(text)
    except ValueError:
        return None
    return labels if all(isinstance(value, str) for value in labels.values()) else None
