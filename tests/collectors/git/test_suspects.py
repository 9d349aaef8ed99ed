"""Which repositories are asked who made a revision."""

from typing import Any

import pytest

from abdrift.clock import to_datetime
from abdrift.facts.base import ClusterRef, Evidence
from abdrift.facts.drift import GitCommit
from abdrift.facts.incidents import BlastRadius, CauseKind, Incident, IncidentCause, IncidentMember, Symptom
from collectors.git.suspects import wanted_of

URL = "https://git.example/fleet.git"


def incident(state: str = "open", **cause: Any) -> Incident:
    at = to_datetime(0)
    member = IncidentMember(cluster=ClusterRef(name="a"), symptom=Symptom.FAILING, message="fails", since=at)
    return Incident(
        incident_id="i",
        revision=1,
        state=state,
        severity="critical",
        cause=IncidentCause(**{"kind": CauseKind.GIT_REVISION, "name": "main@sha1:b", "source": URL} | cause),
        title="t",
        blast_radius=BlastRadius(clusters=2, clusters_ever=2, objects=2),
        first=member,
        opened_at=at,
        changed_at=at,
        evidence=Evidence(complete=True),
    )


@pytest.mark.parametrize(
    ("told", "url"),
    [
        pytest.param(incident(), URL, id="nobody-named"),
        pytest.param(incident(commit=GitCommit(revision="b")), URL, id="commit-without-author"),
        pytest.param(incident(commit=GitCommit(revision="b", author="eve")), None, id="author-known"),
        pytest.param(incident("closed"), None, id="closed"),
        pytest.param(incident(kind=CauseKind.DEPENDENCY), None, id="no-revision"),
        pytest.param(incident(source=None), None, id="no-source"),
    ],
)
def test_the_repository_of_a_revision_without_an_author_is_asked(told: Incident, url: str | None) -> None:
    assert wanted_of(told) == url
