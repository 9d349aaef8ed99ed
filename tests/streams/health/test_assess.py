"""What one object's own status says of it, as a table."""

import pytest

from streams.health.assess import ASSESSORS, worst


def _deployment(replicas: int | None, available: int, *conditions: dict) -> dict:
    status = {"observedGeneration": 1, "availableReplicas": available, "conditions": list(conditions)}
    return {"spec": {} if replicas is None else {"replicas": replicas}, "status": status}


def _flux(*conditions: dict, suspend: bool = False) -> dict:
    return {"spec": {"suspend": suspend}, "status": {"conditions": list(conditions)}}


def _is(kind: str, status: str, reason: str = "R") -> dict:
    return {"type": kind, "status": status, "reason": reason, "message": "m"}


DEPLOYMENT, STATEFUL, DAEMON, JOB, NODE, FLUX = (
    ("apps", "Deployment"),
    ("apps", "StatefulSet"),
    ("apps", "DaemonSet"),
    ("batch", "Job"),
    ("", "Node"),
    ("kustomize.toolkit.fluxcd.io", "Kustomization"),
)

CASES = [
    pytest.param(DEPLOYMENT, _deployment(2, 2), "healthy", None, id="deployment-all-available"),
    pytest.param(DEPLOYMENT, _deployment(None, 1), "healthy", None, id="deployment-default-replicas"),
    pytest.param(DEPLOYMENT, _deployment(0, 0), "healthy", None, id="deployment-scaled-to-zero"),
    pytest.param(DEPLOYMENT, _deployment(3, 1), "degraded", "ReplicasMissing", id="deployment-some-missing"),
    pytest.param(DEPLOYMENT, _deployment(3, 0), "failing", "ReplicasMissing", id="deployment-none-available"),
    pytest.param(
        DEPLOYMENT,
        _deployment(2, 2, _is("Progressing", "False", "ProgressDeadlineExceeded")),
        "failing",
        "ProgressDeadlineExceeded",
        id="deployment-stuck-rollout",
    ),
    pytest.param(DEPLOYMENT, {"spec": {"replicas": 1}}, "unknown", "NotReported", id="deployment-without-status"),
    pytest.param(
        STATEFUL,
        {"spec": {"replicas": 2}, "status": {"observedGeneration": 1, "readyReplicas": 1}},
        "degraded",
        "ReplicasMissing",
        id="statefulset-one-missing",
    ),
    pytest.param(
        DAEMON,
        {"status": {"observedGeneration": 1, "desiredNumberScheduled": 3, "numberReady": 3}},
        "healthy",
        None,
        id="daemonset-everywhere",
    ),
    pytest.param(
        JOB,
        {"status": {"conditions": [_is("Failed", "True", "BackoffLimitExceeded")]}},
        "failing",
        "BackoffLimitExceeded",
        id="job-failed",
    ),
    pytest.param(JOB, {"status": {"active": 1}}, "healthy", None, id="job-running"),
    pytest.param(NODE, {"status": {"conditions": [_is("Ready", "True")]}}, "healthy", None, id="node-ready"),
    pytest.param(NODE, {"status": {"conditions": [_is("Ready", "Unknown")]}}, "failing", "NotReady", id="node-lost"),
    pytest.param(NODE, {}, "unknown", "NoReadyCondition", id="node-unreported"),
    pytest.param(
        NODE,
        {"status": {"conditions": [_is("Ready", "True"), _is("DiskPressure", "True")]}},
        "degraded",
        "DiskPressure",
        id="node-under-pressure",
    ),
    pytest.param(
        NODE,
        {"spec": {"unschedulable": True}, "status": {"conditions": [_is("Ready", "True")]}},
        "degraded",
        "Cordoned",
        id="node-cordoned",
    ),
    pytest.param(FLUX, _flux(_is("Ready", "True")), "healthy", None, id="flux-ready"),
    pytest.param(FLUX, _flux(_is("Ready", "False", "BuildFailed")), "failing", "BuildFailed", id="flux-failing"),
    pytest.param(
        FLUX, _flux(_is("Ready", "False", "DependencyNotReady")), "degraded", "DependencyNotReady", id="flux-waiting"
    ),
    pytest.param(
        FLUX, _flux(_is("Stalled", "True", "RetriesExceeded")), "failing", "RetriesExceeded", id="flux-stalled"
    ),
    pytest.param(FLUX, _flux(_is("Ready", "True"), suspend=True), "degraded", "Suspended", id="flux-suspended"),
    pytest.param(
        FLUX, _flux(_is("Ready", "Unknown"), _is("Reconciling", "True")), "healthy", None, id="flux-reconciling"
    ),
    pytest.param(FLUX, _flux(), "unknown", "NotReported", id="flux-unreported"),
]


@pytest.mark.parametrize(("kind", "obj", "status", "code"), CASES)
def test_assessment(kind: tuple[str, str], obj: dict, status: str, code: str | None) -> None:
    reasons = ASSESSORS[kind][1](obj)
    assert worst(reasons) == status
    assert [r.code for r in reasons] == ([code] if code else [])
