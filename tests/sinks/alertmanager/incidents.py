"""Incidents to tell of."""

from __future__ import annotations

from typing import Any

from abdrift.clock import to_datetime
from abdrift.facts.base import ClusterRef, Evidence
from abdrift.facts.drift import GitCommit
from abdrift.facts.incidents import (
    BlastRadius,
    CauseKind,
    Incident,
    IncidentCause,
    IncidentMember,
    IncidentState,
    Severity,
    Symptom,
)

T0 = 1_767_225_600_000
BAD = "main@sha1:" + "b" * 40


def member(cluster: str, *, over: bool = False) -> IncidentMember:
    return IncidentMember(
        cluster=ClusterRef(name=cluster),
        symptom=Symptom.FAILING,
        finding_ids=(f"f-{cluster}",),
        message="Kustomization flux-system/infra fails",
        since=to_datetime(T0),
        until=to_datetime(T0 + 1_000) if over else None,
    )


def incident(incident_id: str = "i1", *, clusters: int = 7, **more: Any) -> Incident:
    given: dict[str, Any] = {
        "incident_id": incident_id,
        "revision": 1,
        "state": IncidentState.OPEN,
        "severity": Severity.CRITICAL,
        "cause": IncidentCause(
            kind=CauseKind.GIT_REVISION,
            name=BAD,
            source="https://git.example/fleet.git",
            commit=GitCommit(revision=BAD, author="mallory", message="Run more proxies"),
        ),
        "title": f"main@bbbbbbb fails in {clusters} clusters",
        "blast_radius": BlastRadius(
            clusters=clusters, clusters_ever=clusters, objects=clusters, clusters_by_site={"ber1": clusters}
        ),
        "members": tuple(member(f"edge-{number}") for number in range(clusters)),
        "first": member("edge-0"),
        "opened_at": to_datetime(T0),
        "changed_at": to_datetime(T0),
        "evidence": Evidence(complete=True),
    }
    return Incident.model_validate(given | more)


def closed(at_ms: int = T0 + 60_000, **more: Any) -> Incident:
    return incident(state=IncidentState.CLOSED, closed_at=to_datetime(at_ms), closed_because="recovered", **more)
