"""A seeded plan of faults: what is done to which cluster when, and what must be found because of it.

Pure: the same seed, fleet and duration give the same plan.
"""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from abdrift.simulation.spec import (
    APPS,
    AUTOSCALED,
    EXTRAS,
    FLUX,
    INFRA,
    SITE_REPOSITORY,
    FleetSpec,
    workload_namespace,
)


class FaultKind(StrEnum):
    """What is done."""

    IMAGE = "image"
    SCALE = "scale"
    ENV_ADDED = "env-added"
    LABEL_ADDED = "label-added"
    FIELD_REMOVED = "field-removed"
    AS_CONTROLLER = "edit-as-kustomize-controller"
    DATA = "config-map-data"
    DELETED = "deleted"
    RECREATED = "recreated"
    SUSPENDED = "suspended"
    RECONCILE_DISABLED = "reconcile-disabled"
    BAD_COMMIT = "bad-commit"
    ORPHANED = "orphaned"
    GIT_AHEAD = "git-ahead"
    SILENCE = "silence"
    EVENT_STORM = "event-storm"
    STATUS_WRITTEN = "status-written"
    AUTOSCALED = "autoscaled"
    RESPELLED = "quantity-respelled"
    ROLLOUT = "rollout-from-git"
    BAD_REVISION = "bad-revision"
    BAD_IMAGE = "bad-image"
    REVERTED = "revision-reverted"


CLUSTER_WIDE = (
    FaultKind.SUSPENDED,
    FaultKind.RECONCILE_DISABLED,
    FaultKind.BAD_COMMIT,
    FaultKind.ORPHANED,
    FaultKind.GIT_AHEAD,
    FaultKind.SILENCE,
)
"""Faults that get a cluster of their own: each keeps Flux from correcting others, or shows beside them."""
ROLLED_OUT = (FaultKind.BAD_REVISION, FaultKind.BAD_IMAGE, FaultKind.REVERTED)
"""What comes to all early clusters at once, from the repository that they share."""
USUAL = tuple(kind for kind in FaultKind if kind is not FaultKind.BAD_IMAGE)
"""One bad revision at a time: the two write the same file."""
EDITS = (
    FaultKind.IMAGE,
    FaultKind.SCALE,
    FaultKind.ENV_ADDED,
    FaultKind.LABEL_ADDED,
    FaultKind.FIELD_REMOVED,
    FaultKind.AS_CONTROLLER,
    FaultKind.DATA,
    FaultKind.DELETED,
    FaultKind.RECREATED,
)
BENIGN = (
    FaultKind.EVENT_STORM,
    FaultKind.STATUS_WRITTEN,
    FaultKind.AUTOSCALED,
    FaultKind.RESPELLED,
    FaultKind.ROLLOUT,
)
_FINDING = {
    FaultKind.DELETED: "deleted",
    FaultKind.RECREATED: "deleted",
    FaultKind.SUSPENDED: "suspended",
    FaultKind.RECONCILE_DISABLED: "suspended",
    FaultKind.BAD_COMMIT: "failing",
    FaultKind.BAD_REVISION: "failing",
    FaultKind.ORPHANED: "orphaned",
    FaultKind.GIT_AHEAD: "behind",
} | dict.fromkeys(EDITS[:7], "changed")


@dataclass(frozen=True, slots=True, order=True)
class ObjectRef:
    """An object by kind, namespace and name, without its version."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        """`Deployment/shop/app-01`."""
        return "/".join(filter(None, (self.kind, self.namespace, self.name)))


@dataclass(frozen=True, slots=True)
class Expect:
    """What must be found, and what else may be."""

    finding: str | None
    """The kind of finding that must appear for the fault's object; None for none at all."""
    also_on: tuple[ObjectRef, ...] = ()
    """Other objects that the finding may be on instead."""
    allowed: tuple[tuple[str, ObjectRef], ...] = ()
    """Findings (kind, object) that come with the fault and are no false alarms."""
    corrected: bool = False
    """Whether reconciling corrects it."""
    health: str | None = None
    """The state the cluster's health must take on meanwhile."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing done to one cluster."""

    id: str
    at_seconds: float
    cluster: str
    kind: FaultKind
    object: ObjectRef
    expect: Expect
    detail: dict[str, str | int | float] = field(default_factory=dict)
    """What the injector needs besides: `lasts_seconds` (undone after), `replicas`, `count`."""


def _workload(spec: FleetSpec, number: int, kind: str = "Deployment") -> ObjectRef:
    return ObjectRef(kind, workload_namespace(spec, number), f"app-{number:02d}")


def _kustomization(name: str) -> ObjectRef:
    return ObjectRef("Kustomization", FLUX, name)


_SOURCE = ObjectRef("GitRepository", FLUX, SITE_REPOSITORY)
_INFRA_BEHIND = (("behind", _kustomization(INFRA)),)
_ROLLOUT_SECONDS = 1.0
"""Within so long all early clusters have fetched what was pushed."""
_BEHIND = tuple(("behind", each) for each in (_kustomization(APPS), _kustomization(EXTRAS), _SOURCE))


def _object(spec: FleetSpec, kind: FaultKind, number: int) -> ObjectRef:
    if kind in (FaultKind.SUSPENDED, FaultKind.BAD_COMMIT, FaultKind.GIT_AHEAD):
        return _kustomization(APPS)
    if kind in ROLLED_OUT:
        return _kustomization(INFRA)
    if kind is FaultKind.ORPHANED:
        return ObjectRef("ConfigMap", spec.namespaces[0], f"extra-{number % spec.extras:02d}")
    if kind is FaultKind.AUTOSCALED:
        return ObjectRef("HorizontalPodAutoscaler", workload_namespace(spec, 0), AUTOSCALED)
    if kind in (FaultKind.SILENCE, FaultKind.EVENT_STORM):
        return ObjectRef("Namespace", "", "kube-system")
    if kind in (FaultKind.DATA, FaultKind.DELETED, FaultKind.RECREATED):
        return _workload(spec, number, "ConfigMap")
    return _workload(spec, number)


def _expect(kind: FaultKind, target: ObjectRef) -> Expect:
    finding = _FINDING.get(kind)
    if kind is FaultKind.GIT_AHEAD:
        return Expect(finding, (_SOURCE, _kustomization(EXTRAS)), _BEHIND, corrected=True)
    if kind is FaultKind.BAD_COMMIT:
        return Expect(finding, allowed=_BEHIND)
    if kind is FaultKind.RECONCILE_DISABLED:
        # The annotation that disables it is an addition as well.
        return Expect(finding, allowed=(("changed", target),))
    if kind is FaultKind.RECREATED:
        # The new object also lacks Flux's labels and holds other data, until it is applied again.
        return Expect(finding, allowed=(("changed", target),), corrected=True)
    if kind is FaultKind.SILENCE:
        return Expect(None, health="unknown")
    if kind in ROLLED_OUT:
        return Expect(finding, allowed=_INFRA_BEHIND)
    if kind in (FaultKind.ROLLOUT, FaultKind.ORPHANED):
        return Expect(finding, allowed=_BEHIND)
    return Expect(finding, corrected=kind in EDITS)


def _detail(kind: FaultKind, source: random.Random, seconds: float) -> dict[str, str | int | float]:
    if kind is FaultKind.SILENCE:
        return {"lasts_seconds": round(max(2.0, seconds / 4), 1)}
    if kind is FaultKind.EVENT_STORM:
        return {"count": 10_000}
    if kind in (FaultKind.SCALE, FaultKind.AUTOSCALED):
        return {"replicas": source.randint(3, 7)}
    return {}


def plan(
    seed: int,
    spec: FleetSpec,
    seconds: float,
    *,
    kinds: Iterable[FaultKind] = USUAL,
    faults_per_cluster: int = 2,
) -> list[Fault]:
    """Faults in the order of their time, spread over `seconds`; none in the first and last tenth.

    A third of the clusters (of four or more) get one cluster-wide fault each, the others `faults_per_cluster` edits
    and harmless things on different objects. A bad revision comes to all early clusters early on, and is reverted
    before the end.
    """
    source = random.Random(f"plan/{seed}")  # noqa: S311  a simulation's dice
    chosen = frozenset(kinds)
    wide, small = ([each for each in found if each in chosen] for found in (CLUSTER_WIDE, (*EDITS, *BENIGN)))
    names = spec.cluster_names()
    source.shuffle(names)
    early = frozenset(spec.early_names())
    names.sort(key=lambda name: name in early)  # a silent cluster, say, would fetch nothing
    reserved = len(names) // 3 if small and len(names) > 3 else len(names) * (not small)  # noqa: PLR2004  see above
    reserved = reserved if wide else 0
    drawn = [(name, wide[number % len(wide)], 1) for number, name in enumerate(names[:reserved])]
    dealt = 0
    for name in names[reserved:] if small else ():
        numbers = source.sample(range(1, spec.workloads), min(faults_per_cluster, spec.workloads - 1))
        for number in numbers:
            drawn.append((name, small[dealt % len(small)], number))
            dealt += 1
    rolled_out = _rolled_out(spec, [kind for kind in ROLLED_OUT if kind in chosen], seconds, source)
    return sorted([*_timed(drawn, spec, seconds, source), *rolled_out], key=lambda fault: fault.at_seconds)


def _rolled_out(spec: FleetSpec, kinds: Iterable[FaultKind], seconds: float, source: random.Random) -> Iterator[Fault]:
    shares = {FaultKind.BAD_REVISION: 0.3, FaultKind.BAD_IMAGE: 0.3, FaultKind.REVERTED: 0.7}
    for kind in kinds:
        target = _object(spec, kind, 0)
        for number, cluster in enumerate(spec.early_names()):
            at = round(seconds * shares[kind] + source.uniform(0, min(_ROLLOUT_SECONDS, seconds / 10)), 3)
            yield Fault(f"{kind}-{number:04d}", at, cluster, kind, target, _expect(kind, target))


def _timed(
    drawn: list[tuple[str, FaultKind, int]], spec: FleetSpec, seconds: float, source: random.Random
) -> list[Fault]:
    source.shuffle(drawn)
    step = seconds * 0.8 / max(1, len(drawn))
    faults = []
    for place, (cluster, kind, number) in enumerate(drawn):
        target = _object(spec, kind, number)
        at = round(seconds * 0.1 + step * (place + source.random()), 3)
        detail = _detail(kind, source, seconds)
        faults.append(Fault(f"fault-{place:04d}", at, cluster, kind, target, _expect(kind, target), detail))
    return faults
