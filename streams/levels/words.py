"""What is said: one subject under one rule, in words; and many of them as a frame's columns."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from abdrift.facts.governance import LOG_ERRORS, SERIES_REFUSED, LevelRule, LevelSubject
from abdrift.signals import levels
from abdrift.signals.levels import LevelRow, State
from streams.levels.members import LOOKBACK_MS
from streams.levels.rules import Subject
from streams.rates.windows import WINDOW_MINUTES

METRICS: Final = "metrics"
LOGS: Final = "logs"
_MAX_SERIES_CHARACTERS: Final = 300
_LOOKBACK_MINUTES: Final = LOOKBACK_MS // 60_000


class Word(NamedTuple):
    """One subject under one rule. Words of a moment are said in the order of their fields."""

    cluster: str
    subject: Subject
    rule: str
    state: State
    severity: str
    source: str
    message: str
    last_ms: int


class Worst(NamedTuple):
    """The worst of a subject's series that fire."""

    value: float
    last_ms: int
    metric: str
    labels: str


def of_metrics(about: tuple[str, Subject], rule: LevelRule, state: State, firing: int, worst: Worst | None) -> Word:
    """Return the word about a metric's level: `firing` series passed it, if any."""
    last_ms, message = 0, ""
    if worst is not None:
        last_ms, others = worst.last_ms, f", and so it is of {firing - 1} more" if firing > 1 else ""
        message = (
            f"{_function(rule)} of {worst.metric}{worst.labels[:_MAX_SERIES_CHARACTERS]} is {worst.value:g}, "
            f"and may not be {rule.comparison} {rule.threshold:g}{others}"
        )
    elif state is State.UNKNOWN:
        message = (
            f"no sample for {_LOOKBACK_MINUTES} minutes; {_function(rule)} of {rule.selector} was too {_far(rule)}"
        )
    return Word(*about, rule.name, state, rule.severity, METRICS, message, last_ms)


def of_logs(about: tuple[str, Subject], severity: str, counts: tuple[int, int, float] | None, now_ms: int) -> Word:
    """Return the word about a workload's error lines: errors, all lines and usual errors a minute, where unusual."""
    if counts is None:
        return Word(*about, LOG_ERRORS, State.CLEAR, severity, LOGS, "", now_ms)
    errors, lines, usual = counts
    message = f"{errors} of {lines} lines in {WINDOW_MINUTES} minutes are errors; usual are {usual:.1f} a minute"
    return Word(*about, LOG_ERRORS, State.FIRING, severity, LOGS, message, now_ms)


def of_refusal(cluster: str, metric: str | None, now_ms: int) -> Word:
    """Return the word about a cluster that has too many series to judge; None where all are judged again."""
    about = (cluster, Subject(LevelSubject.CLUSTER.value))
    state = State.CLEAR if metric is None else State.FIRING
    message = "" if metric is None else f"there is no room to judge more series of {metric}"
    return Word(*about, SERIES_REFUSED, state, "degraded", METRICS, message, now_ms)


def columns(words: Sequence[Word], judged_ms: int) -> dict[str, list[Any]]:
    """Return words as columns of `LEVELS`."""
    return levels.columns_of(
        LevelRow(
            cluster=word.cluster,
            subject=word.subject.scope,
            namespace=word.subject.namespace,
            kind=word.subject.kind,
            name=word.subject.name,
            rule=word.rule,
            state=word.state.value,
            severity=word.severity,
            source=word.source,
            message=word.message,
            last_ms=word.last_ms,
            judged_ms=judged_ms,
        )
        for word in words
    )


def _function(rule: LevelRule) -> str:
    return "the value" if rule.function.strip() == "value" else rule.function


def _far(rule: LevelRule) -> str:
    return "high" if rule.comparison.startswith(">") else "low"
