"""Incidents to tell of."""

from __future__ import annotations

from typing import Any

from abdrift.clock import to_datetime
from abdrift.facts.drift import GitCommit
from abdrift.facts.incidents import Incident, IncidentMember, IncidentState
from tests import facts

T0 = 1_767_225_600_000
BAD = "main@sha1:" + "b" * 40


def member(cluster: str, *, over: bool = False) -> IncidentMember:
    until = to_datetime(T0 + 1_000) if over else None
    given = {"object": None, "finding_ids": (f"f-{cluster}",), "message": "Kustomization flux-system/infra fails"}
    return facts.member(cluster, to_datetime(T0), until=until, **given)


def incident(incident_id: str = "i1", *, clusters: int = 7, **more: Any) -> Incident:
    names = [f"edge-{number}" for number in range(clusters)]
    given = {
        "commit": GitCommit(revision=BAD, author="mallory", message="Run more proxies"),
        "incident_id": incident_id,
        "title": f"main@bbbbbbb fails in {clusters} clusters",
        "members": tuple(map(member, names)),
        "first": member("edge-0"),
    }
    return facts.incident(dict.fromkeys(names, "ber1"), to_datetime(T0), **(given | more))


def closed(at_ms: int = T0 + 60_000, **more: Any) -> Incident:
    return incident(state=IncidentState.CLOSED, closed_at=to_datetime(at_ms), closed_because="recovered", **more)
