"""The policy's rules as numbers, by which many series are judged at a time, and whom a series is about."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from abdrift import promql
from abdrift.facts.governance import HealthPolicy, LevelLabels, LevelRule, LevelSubject
from abdrift.promql import FunctionName
from streams.levels.functions import Window, width_ms
from streams.levels.rings import Bools, Floats, Kept
from streams.rates.names import workload_of
from streams.rates.packing import Ints

_FUNCTIONS: Final = tuple(FunctionName)
_COMPARISONS: Final = {">": (1, False), ">=": (1, True), "<": (-1, False), "<=": (-1, True)}
"""By which sign a value is greater where it is worse, and whether the threshold itself is too much."""
_OWNERS: Final = (
    ("Deployment", "deployment"),
    ("StatefulSet", "statefulset"),
    ("DaemonSet", "daemonset"),
    ("Job", "job"),
    ("Pod", "pod"),
)


class Subject(NamedTuple):
    """Whom a word is about. Of a node `namespace` is empty, of a cluster all."""

    scope: str
    namespace: str = ""
    kind: str = ""
    name: str = ""


class Rules:
    """The rules in force, by their place in the policy."""

    def __init__(self, policy: HealthPolicy) -> None:
        self.policy = policy
        self.selectors = [promql.parse_selector(rule.selector) for rule in policy.rules]
        self.functions = [promql.parse_function(rule.function) for rule in policy.rules]
        self.by_metric: dict[str, list[int]] = {}
        for number, selector in enumerate(self.selectors):
            self.by_metric.setdefault(selector.metric, []).append(number)
        self.windows_ms: Ints = np.array([one.window_ms for one in self.functions], dtype=np.int64)
        self.for_ms: Ints = np.array([int(rule.for_seconds * 1000) for rule in policy.rules], dtype=np.int64)
        self._function = np.array([_FUNCTIONS.index(one.name) for one in self.functions], dtype=np.int64)
        self._quantile = np.array([one.quantile for one in self.functions], dtype=np.float64)
        self._threshold = np.array([rule.threshold for rule in policy.rules], dtype=np.float64)
        self._sign = np.array([_COMPARISONS[rule.comparison][0] for rule in policy.rules], dtype=np.float64)
        self._inclusive = np.array([_COMPARISONS[rule.comparison][1] for rule in policy.rules], dtype=bool)

    def __len__(self) -> int:
        return len(self.policy.rules)

    def __getitem__(self, number: int) -> LevelRule:
        return self.policy.rules[number]

    def is_windowed(self, rule: int) -> bool:
        """Whether a rule needs more than the newest sample."""
        return self.functions[rule].name is not FunctionName.VALUE

    def width_ms(self, rule: int) -> int:
        """Return how wide the cells of a rule's series are."""
        return width_ms(self.functions[rule].window_ms)

    def matching(self, metric: str, labels: Sequence[Mapping[str, str]]) -> list[tuple[int, ...]]:
        """Return for each series of a metric which rules select it."""
        found: list[list[int]] = [[] for _ in labels]
        for rule in self.by_metric.get(metric, ()):
            matched = [True] * len(labels)
            for matcher in self.selectors[rule].matchers:
                values = [one.get(matcher.label, "") for one in labels]
                matched = [a and b for a, b in zip(matched, matcher.matches(values), strict=True)]
            for series in np.flatnonzero(matched).tolist():
                found[series].append(rule)
        return list(map(tuple, found))

    def values(self, rules: Ints, kept: Kept) -> Floats:
        """Return what each series' rule makes of its samples; NaN where it makes nothing.

        Args:
            rules: Each series' rule.
            kept: Its samples.

        """
        found = np.full(len(rules), np.nan)
        of_function = self._function[rules]
        for number, name in enumerate(_FUNCTIONS):
            rows = np.flatnonzero(of_function == number)
            if len(rows):
                found[rows] = self._values_of(name, rules[rows], Kept(kept.times_ms[rows], kept.bits[rows]))
        return found

    def are_exceeded(self, rules: Ints, values: Floats) -> Bools:
        """Return which values pass their rule's threshold; NaN passes none."""
        sign, threshold = self._sign[rules], self._threshold[rules]
        # A staleness marker is a NaN that signals.
        with np.errstate(invalid="ignore"):
            exceeded: Bools = (values * sign > threshold * sign) | (self._inclusive[rules] & (values == threshold))
        return exceeded

    def worse(self, rules: Ints, values: Floats) -> Floats:
        """Return numbers that are the greater the worse values are under their rules."""
        worse: Floats = values * self._sign[rules]
        return worse

    def _values_of(self, name: FunctionName, rules: Ints, kept: Kept) -> Floats:
        if name is FunctionName.VALUE:
            # One sample is kept of what needs no more.
            newest: Floats = kept.values[:, 0]
            return newest
        window = Window(kept, self.windows_ms[rules])
        match name:
            case FunctionName.RATE:
                return window.rates()
            case FunctionName.INCREASE:
                return window.increases()
            case _:
                return window.quantiles(self._quantile[rules])


def subject_of(rule: LevelRule, labels: Mapping[str, str]) -> Subject | None:
    """Return whom a series is about under a rule; None where its labels don't say."""
    names: LevelLabels = rule.labels
    match rule.subject:
        case LevelSubject.CLUSTER:
            return Subject(rule.subject.value)
        case LevelSubject.NODE:
            node = labels.get(names.node, "")
            return Subject(rule.subject.value, "", "Node", node) if node else None
    namespace = labels.get(names.namespace, "")
    for kind, field in _OWNERS:
        name = labels.get(getattr(names, field), "")
        if name and namespace:
            return Subject(rule.subject.value, namespace, kind, workload_of(kind, name))
    return None
