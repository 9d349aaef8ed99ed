"""One partition's state, and the three ways it changes: frames are taken in, a beat ends, rules are declared.

As in `streams.rates`, taking in only puts things by; what they come to is settled when a beat of append time is over,
so that the bounds of batches show nowhere. All are functions of the state and what they are given, so the changelog
keeps just that.
"""

from collections.abc import Callable, Iterable
from typing import Final

import msgspec
import numpy as np

from abdrift.facts.governance import HealthPolicy, LevelSubject
from streams.levels import lines, words
from streams.levels.functions import CELLS
from streams.levels.lines import Lines
from streams.levels.logs import Logs
from streams.levels.members import FORGOTTEN_MS, Members
from streams.levels.rings import Samples
from streams.levels.rules import Rules, Subject
from streams.levels.series import Series
from streams.levels.words import Word, Worst
from streams.rates import keys
from streams.rates.counting import BEAT_MS
from streams.rates.packing import Ints
from streams.rates.sequences import Sequences
from streams.rates.vocabulary import MAX_CLUSTERS, Vocabulary

MAX_MEMBERS: Final = 1 << 16
"""Of each table: a partition's samples take at most 34 MB."""
REFUSAL_MS: Final = 600_000
"""A cluster of which nothing was refused for so long is no offender any more."""
CLUSTER_FORGOTTEN_MS: Final = 24 * 3_600_000
_SWEPT: Final = 1 << 12
"""Members that are looked at each beat for such as are to be forgotten."""
_NONE: Final[Ints] = np.zeros(0, dtype=np.int64)


class Taken(msgspec.Struct):
    """What frames of one beat come to."""

    samples: list[Samples] = []
    """`rows` are members' numbers."""
    lines: list[Lines] = []
    sampled: Ints = _NONE
    """By cluster's number: samples, those that concern no rule too."""
    logged: Ints = _NONE
    """The same of lines."""
    refused: dict[str, int] = {}
    offenders: dict[int, str] = {}
    """A metric of which samples were refused for want of room, by cluster's number: the least by name."""


class State:
    """What is known of one partition."""

    def __init__(self, belongs: Callable[[str], bool], max_members: int = MAX_MEMBERS) -> None:
        self.vocabulary = Vocabulary(belongs)
        self.sequences = Sequences()
        self.rules = Rules(HealthPolicy())
        self.tables = (Members(1, max_members), Members(CELLS, max_members))
        """Of rules that need the newest sample, and of those that need a window."""
        self.series = Series(self.rules, self.tables)
        self.logs = Logs()
        self.beat = 0
        """Append time, in beats, of what waits to be settled, or was settled last."""
        self.minute = 0
        """Append time, in minutes, up to which it is settled."""
        self.settled = 0
        self.began = 0
        """The first beat that was settled: the epoch of what is said."""
        self.said = 0
        """Frames said so far: the sequence of the next."""
        self.counters: dict[str, int] = {}
        """Rows that do not count, by reason."""
        self.offenders: dict[int, tuple[str, int]] = {}
        """By cluster's number: the metric that was told, and when one was last refused."""
        self.waiting: list[Taken] = []
        self.sampled: Ints = np.zeros(MAX_CLUSTERS, dtype=np.int64)
        """By cluster: samples so far."""
        self.logged: Ints = np.zeros(MAX_CLUSTERS, dtype=np.int64)
        """By cluster: lines so far."""
        self.heard_ms: Ints = np.zeros(MAX_CLUSTERS, dtype=np.int64)

    def is_due(self, beat: int) -> bool:
        """Whether a record of this beat ends the present one: something waits, or a new minute begins."""
        return (bool(self.waiting) and beat > self.beat) or beat * BEAT_MS // keys.MINUTE_MS > self.minute

    def take(self, taken: Taken, beat: int) -> None:
        """Take in what frames of one beat come to; whatever waits is of the same beat."""
        self.beat = max(beat, self.beat)
        for reason, count in taken.refused.items():
            self.count(reason, count)
        for total, part in ((self.sampled, taken.sampled), (self.logged, taken.logged)):
            total[: len(part)] += part
            self.heard_ms[np.flatnonzero(part)] = self.beat * BEAT_MS
        if len(taken.sampled) or len(taken.logged):
            self.waiting.append(taken)

    def count(self, reason: str, count: int) -> None:
        """Count what is passed over."""
        if count:
            self.counters[reason] = self.counters.get(reason, 0) + count

    def settle(self, beat: int) -> list[Word]:
        """End the beats before this one. Return what is to be said."""
        waiting, self.waiting = self.waiting, []
        now_ms = beat * BEAT_MS
        # What waits is judged as it was then, however long nothing came since.
        at_ms = self.beat * BEAT_MS if waiting else now_ms
        said = [word for table in range(len(self.tables)) for word in self._settle_samples(table, waiting, at_ms)]
        said += self._settle_lines(waiting, at_ms)
        said += self._settle_offenders(waiting, at_ms)
        said += self._sweep(now_ms)
        if now_ms // keys.MINUTE_MS > self.minute:
            self._forget(now_ms)
        self.minute, self.beat = now_ms // keys.MINUTE_MS, beat
        self.began = self.began or beat
        self.settled += 1
        # Where a gap has both fire and be forgotten what waited, the last word counts.
        return sorted({(word.cluster, word.subject, word.rule): word for word in said}.values())

    def declare(self, policy: HealthPolicy, beat: int) -> list[Word]:
        """Put other rules in force at a beat; what is said under rules that are gone is taken back."""
        before, rules = self.rules, Rules(policy)
        numbers = {rule.name: number for number, rule in enumerate(policy.rules)}
        kept = {
            old: numbers[rule.name]
            for old, rule in enumerate(before.policy.rules)
            if rule.name in numbers and policy.rules[numbers[rule.name]] == rule
        }
        said: list[Word] = []
        for table in self.tables:
            slots = table.slots()
            gone = slots[~np.isin(table.rule[slots], list(kept))]
            said += self._withdraw(table, gone)
            self._remove(table, gone)
            table.renumber(kept)
        self.rules = rules
        self.series.declare(rules)
        self.beat = max(self.beat, beat)
        self.began = self.began or beat
        return sorted(said)

    def _settle_samples(self, number: int, waiting: Iterable[Taken], now_ms: int) -> list[Word]:
        table = self.tables[number]
        parts = [one for taken in waiting for one in taken.samples]
        columns = [np.concatenate([_NONE, *(getattr(one, name) for one in parts)]) for name in Samples.__slots__]
        ours = columns[0] & 1 == number
        samples = Samples(columns[0][ours] >> 1, columns[1][ours], columns[2][ours])
        return self._words(table, table.judge(self.rules, samples, now_ms))

    def _words(self, table: Members, changed: Ints) -> list[Word]:
        """Return what there is to say about groups that changed."""
        worst = self._worst(table, changed)
        said = []
        for number in changed.tolist():
            group, state = table.groups[number], table.groups.state(number)
            rule = next(one for one in self.rules.policy.rules if one.name == group.rule)
            about = (self.vocabulary.clusters[group.cluster], group.subject)
            said.append(words.of_metrics(about, rule, state, table.groups.firing(number), worst.get(number)))
        return said

    def _worst(self, table: Members, groups: Ints) -> dict[int, Worst]:
        slots = table.firing(groups)
        if not len(slots):
            return {}
        values = table.values(self.rules, slots)
        worse = self.rules.worse(table.rule[slots], values)
        order = np.lexsort((slots, -worse, table.group[slots]))
        firsts = order[np.unique(table.group[slots][order], return_index=True)[1]]
        found = {}
        for at in firsts.tolist():
            slot = int(slots[at])
            told = self.series[slot << 1 | self.tables.index(table)]
            newest_ms = int(table.ring.newest_ms[slot])
            found[int(table.group[slot])] = Worst(float(values[at]), newest_ms, told.metric, told.labels)
        return found

    def _settle_lines(self, waiting: Iterable[Taken], now_ms: int) -> list[Word]:
        taken = lines.added([one for taken in waiting for one in taken.lines])
        policy = self.rules.policy.log_errors
        slots = self.logs.settle(taken, now_ms // keys.MINUTE_MS, policy)
        self.count("workloads-full", self.logs.full)
        self.logs.full = 0
        unusual = self.logs.errors.unusual[slots].tolist()
        counts = zip(*(column.tolist() for column in self.logs.told(slots)), strict=True)
        return [
            words.of_logs(self._about(slot), policy.severity, told if is_so else None, now_ms)
            for slot, is_so, told in zip(slots.tolist(), unusual, counts, strict=True)
        ]

    def _about(self, slot: int) -> tuple[str, Subject]:
        key = self.logs.workloads.key_of(np.array([slot]))
        place = keys.place_of(key)
        cluster = self.vocabulary.clusters[int(keys.cluster_of_place(place)[0])]
        kind, name = self.vocabulary.split(int(keys.label_of(key)[0]))
        if not name:
            return cluster, Subject(LevelSubject.CLUSTER.value)
        if kind == "Node":
            return cluster, Subject(LevelSubject.NODE.value, "", kind, name)
        namespace = self.vocabulary.namespaces[int(keys.namespace_of_place(place)[0])]
        return cluster, Subject(LevelSubject.WORKLOAD.value, namespace, kind, name)

    def _settle_offenders(self, waiting: Iterable[Taken], now_ms: int) -> list[Word]:
        said = []
        offending: dict[int, str] = {}
        for taken in waiting:
            for cluster, metric in taken.offenders.items():
                offending[cluster] = min(metric, offending.get(cluster, metric))
        for cluster, metric in sorted(offending.items()):
            told = self.offenders.get(cluster)
            if told is None:
                said.append(words.of_refusal(self.vocabulary.clusters[cluster], metric, now_ms))
            self.offenders[cluster] = (told[0] if told else metric, now_ms)
        for cluster in [one for one, (_, last_ms) in self.offenders.items() if last_ms < now_ms - REFUSAL_MS]:
            del self.offenders[cluster]
            said.append(words.of_refusal(self.vocabulary.clusters[cluster], None, now_ms))
        return said

    def _sweep(self, now_ms: int) -> list[Word]:
        """Let go of series and workloads that nothing was heard of for long, among some of them each beat."""
        said: list[Word] = []
        for table in self.tables:
            first = self.settled * _SWEPT % table.capacity
            among = np.arange(first, min(first + _SWEPT, table.used))
            gone = table.forgotten(among, now_ms)
            said += self._withdraw(table, gone)
            self._remove(table, gone)
        self.logs.sweep(self.settled, now_ms // keys.MINUTE_MS)
        return said

    def _withdraw(self, table: Members, slots: Ints) -> list[Word]:
        return self._words(table, table.quieten(slots)) if len(slots) else []

    def _remove(self, table: Members, slots: Ints) -> None:
        if not len(slots):
            return
        members = slots << 1 | self.tables.index(table)
        for taken in self.waiting:
            # Their slots may be others' when this is settled.
            taken.samples = [one.chosen(~np.isin(one.rows, members)) for one in taken.samples]
        self.series.remove(members.tolist())
        table.remove(slots)

    def _forget(self, now_ms: int) -> None:
        """Let go of clusters that went away, and of words that nothing needs where they grow many."""
        gone = np.flatnonzero((self.heard_ms > 0) & (self.heard_ms < now_ms - CLUSTER_FORGOTTEN_MS))
        if len(gone):
            self.logs.remove(self.logs.of_clusters(gone))
            for column in self.of_clusters():
                column[gone] = 0
            self.vocabulary.clusters.release(gone.tolist())
            self.count("clusters-forgotten", len(gone))
        vocabulary, known = self.vocabulary, self.logs.workloads.keys
        known = known[known >= 0]
        if len(vocabulary.namespaces) > vocabulary.namespaces.capacity * 7 // 8:
            vocabulary.keep_only(vocabulary.namespaces, keys.namespace_of_place(keys.place_of(known)))
        if len(vocabulary.workloads) > vocabulary.workloads.capacity * 7 // 8:
            vocabulary.keep_only(vocabulary.workloads, keys.label_of(known))

    def of_clusters(self) -> tuple[Ints, ...]:
        """Return the arrays that stand by cluster."""
        return self.sampled, self.logged, self.heard_ms

    @property
    def size_bytes(self) -> int:
        """About what the state takes in the changelog."""
        samples = sum(table.used * (32 + 12 * table.ring.cells) for table in self.tables)
        known = len(self.vocabulary.workloads) + len(self.vocabulary.namespaces) + len(self.vocabulary.clusters)
        return samples + 300 * len(self.series) + 32 * self.logs.workloads.used + 40 * known


assert FORGOTTEN_MS < CLUSTER_FORGOTTEN_MS, "a cluster is forgotten after its series"
