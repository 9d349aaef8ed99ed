"""Series out of what is known, each family within its bound. Pure."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate, islice, product
from typing import Any, Final, NamedTuple

import msgspec
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from abdrift.facts.commands import DecisionResult, OutcomeResult, Verb
from abdrift.facts.drift import DriftKind, Verdict
from abdrift.facts.health import HealthStatus
from abdrift.facts.incidents import CauseKind
from abdrift.fleetstate import Finding, facts
from sinks.prometheus import families
from sinks.prometheus.families import Family
from sinks.prometheus.places import MOST_VALUES, Places, text
from sinks.prometheus.view import BUCKETS_SECONDS, OTHER, View

CODES: Final = {status.value: float(code) for code, status in enumerate(HealthStatus)}
EVIDENCE_AGES_SECONDS: Final = (120, 300, 900, 3_600, 86_400)
FINDING_AGES_SECONDS: Final = (300, 3_600, 21_600, 86_400, 604_800)
_MOST_PLACES: Final = 50
"""Sites or environments of an incident, in the mean."""
_MOST_TEXT: Final = 200

Labels = tuple[str, ...]
Values = Mapping[Any, float]
"""By the values of the labels, a tuple of `str`: of any length, which a mapping's type cannot say."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How many series there may be in each family that grows with the fleet, its drift or its incidents."""

    clusters: int = 10_000
    """0: none of single clusters."""
    findings: int = 1_000
    incidents: int = 100


class Told(NamedTuple):
    """The series of a family, the most important first."""

    family: Family
    values: Values
    left_out: int = 0


def metrics(known: View, limits: Limits, now_ms: int) -> list[Metric]:
    """Return what is known as Prometheus's client library has it, with how much was left out of each family."""
    places = Places({name: one.labels for name, one in known.fleet.clusters.items() if one.is_inventoried})
    told = [
        *_clusters(known, places, now_ms),
        *_each_cluster(known, places, limits.clusters),
        *_drift(known, places, now_ms),
        *_each_finding(known, limits.findings),
        *_incidents(known, limits.incidents),
        *_acting(known, now_ms),
    ]
    told += [
        Told(families.SERIES, {(one.family.name,): len(one.values) for one in told}),
        Told(families.SERIES_LEFT_OUT, {(one.family.name,): one.left_out for one in told}),
        Told(families.LABELS_AS_OTHER, {(label,): count for label, count in places.as_other.items()}),
    ]
    return [*map(_metric, told), _corrected(known)]


def _clusters(known: View, places: Places, now_ms: int) -> Iterator[Told]:
    by_status: Counter[Labels] = Counter()
    silent: Counter[Labels] = Counter()
    incomplete: Counter[Labels] = Counter()
    fleet = known.clusters()
    for name, cluster in fleet.items():
        place = places[name]
        by_status[(_one_of(HealthStatus, cluster.told_status), *place)] += 1
        silent[place] += cluster.is_silent
        incomplete[place] += not cluster.is_complete
    # A status that no cluster of a place has is 0 and not absent: sums over it stay.
    by_status.update(_zeros((status, *place) for place in silent for status in CODES))
    yield Told(families.CLUSTERS, by_status)
    yield Told(families.CLUSTERS_SILENT, silent)
    yield Told(families.CLUSTERS_INCOMPLETE, incomplete)
    # What never vouched for anything is older than all.
    ages = [(now_ms - (cluster.as_of_ms or 0)) / 1000 for cluster in fleet.values()]
    yield Told(families.CLUSTERS_BY_EVIDENCE_AGE, {(age,): n for age, n in _older(ages, EVIDENCE_AGES_SECONDS)})
    told = [tuple(text(cluster.labels, label) for label in families.SITE_LOCATION.labels) for cluster in fleet.values()]
    located = {labels[0]: labels for labels in told if all(labels)}
    at = {labels: 1 for _, labels in sorted(located.items())}
    yield _at_most(families.SITE_LOCATION, at, MOST_VALUES["site"])


def _each_cluster(known: View, places: Places, most: int) -> Iterator[Told]:
    health = {(name, *places[name]): CODES[cluster.status] for name, cluster in sorted(known.clusters().items())}
    yield _at_most(families.CLUSTER_HEALTH, health, most)
    # The worst first, so that what is left out matters least.
    drifted = Counter(found.cluster for found in known.fleet.findings.values()).most_common()
    yield _at_most(families.CLUSTER_FINDINGS, {(name, *places[name]): count for name, count in drifted}, most)


def _drift(known: View, places: Places, now_ms: int) -> Iterator[Told]:
    found: Counter[Labels] = Counter()
    opened_ms: dict[str, list[int]] = {kind.value: [] for kind in DriftKind}
    drifted: set[str] = set()
    for one in known.fleet.findings.values():
        kind = _one_of(DriftKind, one.kind)
        found[(kind, *places[one.cluster])] += 1
        opened_ms.setdefault(kind, []).append(one.opened_ms)
        if kind != DriftKind.ALERT:
            drifted.add(one.cluster)
    yield Told(families.FINDINGS, found)
    drifted_at = Counter(_zeros(places[cluster] for cluster in known.clusters()))
    drifted_at.update(places[cluster] for cluster in drifted)
    yield Told(families.CLUSTERS_DRIFTED, drifted_at)
    by_age = {
        (kind, age): count
        for kind, moments in opened_ms.items()
        for age, count in _older([(now_ms - moment) / 1000 for moment in moments], FINDING_AGES_SECONDS)
    }
    yield Told(families.FINDINGS_BY_AGE, by_age)
    yield Told(families.OLDEST_FINDING, {(kind,): min(ms) / 1000 for kind, ms in opened_ms.items() if ms})
    verdicts = Counter(_zeros((verdict.value,) for verdict in Verdict))
    owners = (owner for cluster in known.fleet.clusters.values() for owner in cluster.owners.values())
    verdicts.update((_one_of(Verdict, owner.verdict),) for owner in owners)
    yield Told(families.VERDICTS, verdicts)


def _each_finding(known: View, most: int) -> Iterator[Told]:
    newest: dict[Labels, float] = {}
    for found in sorted(known.fleet.findings.values(), key=lambda found: -found.opened_ms):
        newest[_about(found)] = found.opened_ms / 1000
    yield _at_most(families.FINDING_OPENED, newest, most)


def _about(found: Finding) -> Labels:
    owner = f"{found.owned_by.kind}/{found.owned_by.name}" if found.owned_by else ""
    return found.cluster, found.kind, found.about.kind, found.about.namespace, found.about.name, owner


def _incidents(known: View, most: int) -> Iterator[Told]:
    by_cause = Counter(_zeros((kind.value,) for kind in CauseKind))
    incidents = [msgspec.convert(data, facts.Incident) for data in known.fleet.incidents.values()]
    by_cause.update((_one_of(CauseKind, one.cause.kind),) for one in incidents)
    yield Told(families.INCIDENTS, by_cause)
    newest = sorted(incidents, key=lambda one: one.opened_at, reverse=True)
    kept, left_out = newest[:most], max(0, len(newest) - most)
    yield Told(families.INCIDENT, {_named(one): one.blast_radius.clusters for one in kept}, left_out)
    opened = {(one.incident_id,): one.opened_at.timestamp() for one in kept}
    yield Told(families.INCIDENT_OPENED, opened, left_out)
    yield Told(families.INCIDENT_OBJECTS, {(one.incident_id,): one.blast_radius.objects for one in kept}, left_out)
    radii = [(one.incident_id, one.blast_radius) for one in kept]
    by_environment = {(i, name): n for i, radius in radii for name, n in radius.clusters_by_environment.items()}
    yield _at_most(families.INCIDENT_BY_ENVIRONMENT, by_environment, most * _MOST_PLACES)
    by_site = {(i, name): n for i, radius in radii for name, n in radius.clusters_by_site.items()}
    yield _at_most(families.INCIDENT_BY_SITE, by_site, most * _MOST_PLACES)


def _named(incident: facts.Incident) -> Labels:
    cause, commit = incident.cause, incident.cause.commit
    texts = cause.kind, cause.name, cause.source, commit.author, commit.message, incident.first.cluster.name
    return (incident.incident_id, incident.severity, *((text or "")[:_MOST_TEXT] for text in texts))


def _acting(known: View, now_ms: int) -> Iterator[Told]:
    counts = known.counts
    in_flight = Counter(_zeros((verb.value,) for verb in Verb))
    in_flight.update((_one_of(Verb, command.verb),) for command in known.fleet.in_flight(now_ms))
    yield Told(families.COMMANDS_IN_FLIGHT, in_flight)
    verbs = [verb.value for verb in Verb]
    ends = [result.value for result in OutcomeResult if result is not OutcomeResult.ACCEPTED]
    results = [result.value for result in DecisionResult]
    yield Told(families.COMMANDS, _zeros(product(verbs)) | counts.commands)
    yield Told(families.OUTCOMES, _zeros(product(verbs, ends)) | counts.outcomes)
    yield Told(families.DECISIONS, _zeros(product(results, [""])) | counts.decisions)
    yield Told(families.DEAD_LETTERS, counts.dead_letters)
    if breaker := known.fleet.breaker:
        yield Told(families.BREAKER_OPEN, {(): breaker.is_open})
        yield Told(families.BREAKER_SINCE, {(): breaker.since_ms / 1000})
        yield Told(families.BREAKER_REASON, dict.fromkeys([(reason,) for reason in breaker.codes], 1))


def _corrected(known: View) -> Metric:
    buckets = accumulate(known.counts.corrected_buckets)
    bounds = [*(f"{bound:g}" for bound in BUCKETS_SECONDS), "+Inf"]
    told = families.CORRECTED_SECONDS
    metric = HistogramMetricFamily(told.name, told.help)
    metric.add_metric([], list(zip(bounds, buckets, strict=True)), known.counts.corrected_seconds)
    return metric


def _zeros(labels: Iterable[Labels]) -> dict[Labels, int]:
    """Return 0 for each: a series that is absent until something happens has no rate when it does."""
    return dict.fromkeys(labels, 0)


def _older(ages_seconds: Iterable[float], bounds: Iterable[int]) -> Iterator[tuple[str, int]]:
    ordered = sorted(ages_seconds)
    for bound in bounds:
        yield str(bound), len(ordered) - bisect_right(ordered, bound)


def _at_most(family: Family, values: Values, most: int) -> Told:
    return Told(family, dict(islice(values.items(), most)), max(0, len(values) - most))


def _one_of(known: type[StrEnum], value: str) -> str:
    """Return a word that this version knows; `other` for what a newer one may say."""
    return value if value in known.__members__.values() else OTHER


def _metric(told: Told) -> Metric:
    family = told.family
    kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    metric = kind(family.name, family.help, labels=family.labels)
    for labels, value in told.values.items():
        metric.add_metric(labels, value)
    return metric
