"""Which revision a failing workload's rollout is blamed on, as a table of what an agent saw when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson
import pytest

from abdrift.signals.objects import ObjectRow
from tests.streams.health.test_step import T0, WEB, Story, heartbeat

KUSTOMIZE = "kustomize.toolkit.fluxcd.io"
LABELS = {f"{KUSTOMIZE}/name": "apps", f"{KUSTOMIZE}/namespace": "flux-system"}
OLD, BAD, LATER = (f"main@sha1:{letter * 40}" for letter in "abc")


def row(at_seconds: float, kind: str, op: str, obj: dict[str, Any]) -> ObjectRow:
    group, namespace, name = (KUSTOMIZE, "flux-system", "apps") if kind == "Kustomization" else ("apps", "shop", "web")
    return ObjectRow(
        cluster="edge-1",
        op=op,
        group=group,
        version="v1",
        kind=kind,
        namespace=namespace,
        name=name,
        uid=kind,
        observed_ms=T0 + round(at_seconds * 1000),
        object=orjson.dumps(obj),
    )


@dataclass(frozen=True)
class Owner:
    """The Kustomization as it was seen; that it is ready says nothing of what it applied."""

    at_seconds: float
    attempted: str
    ready: str = "True"
    op: str = "modified"

    def row(self) -> ObjectRow:
        ready = {"type": "Ready", "status": self.ready, "reason": "R", "message": "m"}
        status = {"lastAttemptedRevision": self.attempted, "conditions": [ready]}
        return row(self.at_seconds, "Kustomization", self.op, {"spec": {}, "status": status})


@dataclass(frozen=True)
class Web:
    """The Deployment as it was seen."""

    at_seconds: float
    generation: int
    stuck: bool = False
    op: str = "modified"
    labels: bool = True

    def row(self) -> ObjectRow:
        metadata = {"generation": self.generation, "labels": LABELS if self.labels else {}}
        status: dict[str, Any] = {"observedGeneration": self.generation, "availableReplicas": 2}
        if self.stuck:
            reason = {"reason": "ProgressDeadlineExceeded", "message": "no progress"}
            status["conditions"] = [{"type": "Progressing", "status": "False", **reason}]
        return row(
            self.at_seconds, "Deployment", self.op, {"metadata": metadata, "spec": {"replicas": 2}, "status": status}
        )


KNOWN = (Owner(0, OLD, op="listed"), Web(0, 1, op="listed"))
CASES = [
    pytest.param((*KNOWN, Owner(60, BAD), Web(61, 2), Web(661, 2, stuck=True)), BAD, id="a bad image"),
    pytest.param((*KNOWN, Web(61, 2), Owner(62, BAD), Web(661, 2, stuck=True)), BAD, id="seen before its owner"),
    pytest.param(
        (*KNOWN, Owner(60, BAD), Web(61, 2), Owner(300, LATER), Web(661, 2, stuck=True)),
        BAD,
        id="another commit since, which did not touch it",
    ),
    pytest.param(
        (*KNOWN, Owner(60, BAD), Web(61, 2), Owner(300, LATER), Web(301, 3), Web(901, 3, stuck=True)),
        LATER,
        id="another commit since, which changed it again",
    ),
    pytest.param(
        (KNOWN[0], Owner(60, BAD), Web(61, 1, op="added"), Web(661, 1, stuck=True)), BAD, id="made by the commit"
    ),
    pytest.param((*KNOWN, Web(61, 2), Web(661, 2, stuck=True)), None, id="edited by hand: no new revision"),
    pytest.param((*KNOWN, Owner(60, BAD), Web(661, 1, stuck=True)), None, id="the commit did not change it"),
    pytest.param(
        (*KNOWN, Owner(60, BAD), Web(500, 2), Web(1_100, 2, stuck=True)), None, id="changed long after the commit"
    ),
    pytest.param((*KNOWN[:1], Web(0, 1, op="listed"), Web(1, 1, stuck=True)), None, id="failing when seen first"),
    pytest.param(
        (KNOWN[1], Owner(60, BAD, op="listed"), Web(61, 2), Web(661, 2, stuck=True)),
        None,
        id="nobody knows since when its owner has the revision",
    ),
    pytest.param(
        (*KNOWN, Owner(60, BAD), Web(61, 2), Owner(400, BAD, ready="False"), Web(661, 2, stuck=True)),
        None,
        id="its owner fails, and speaks for itself",
    ),
    pytest.param(
        (*KNOWN, Owner(60, BAD), Web(61, 2, labels=False), Web(661, 2, stuck=True, labels=False)),
        None,
        id="nobody's workload",
    ),
]


@pytest.mark.parametrize(("seen", "blamed"), CASES)
def test_a_failed_rollout_names_its_revision(seen: tuple[Owner | Web, ...], blamed: str | None) -> None:
    story = Story().feed(0, heartbeat())
    for one in seen:
        story.feed(one.at_seconds, one.row(), heartbeat())
    assert story.status(WEB) == "failing"
    told = story.latest[WEB]
    assert told is not None
    assert told.get("rollout_revision") == blamed
    assert not story.refused


def test_what_recovered_blames_nothing() -> None:
    story = Story().feed(0, heartbeat())
    for one in (*KNOWN, Owner(60, BAD), Web(61, 2), Web(661, 2, stuck=True), Web(700, 3), Web(720, 3)):
        story.feed(one.at_seconds, one.row(), heartbeat())
    told = story.latest[WEB]
    assert told is not None
    assert (told["status"], told.get("rollout_revision")) == ("healthy", None)
