from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from collectors.kubernetes.projection import fingerprint, project

DEPLOYMENT: dict[str, Any] = {
    "metadata": {
        "name": "web",
        "namespace": "demo",
        "uid": "u1",
        "resourceVersion": "7",
        "generation": 2,
        "selfLink": "/x",
        "labels": {"app": "web"},
        "managedFields": [
            {"manager": "kustomize-controller", "operation": "Apply", "fieldsV1": {"f:spec": {}}},
            {"manager": "kcm", "operation": "Update", "subresource": "status", "time": "t1", "fieldsV1": {}},
        ],
    },
    "spec": {"replicas": 2},
    "status": {
        "readyReplicas": 2,
        "conditions": [{"type": "Available", "status": "True", "lastUpdateTime": "t1", "lastTransitionTime": "t0"}],
    },
}


def projected(**changes: Any) -> dict[str, Any]:
    return project({**deepcopy(DEPLOYMENT), **changes}, "apps", "v1", "Deployment")


def test_the_type_is_put_back_and_housekeeping_left_out() -> None:
    found = projected()
    assert (found["apiVersion"], found["kind"]) == ("apps/v1", "Deployment")
    assert "selfLink" not in found["metadata"]
    assert found["metadata"]["managedFields"] == DEPLOYMENT["metadata"]["managedFields"]


@pytest.mark.parametrize(
    ("group", "kind", "status", "kept"),
    [
        pytest.param("", "Node", {"conditions": [1], "images": [2]}, {"conditions": [1]}, id="node-conditions-only"),
        pytest.param("apps", "Deployment", {"replicas": 1}, {"replicas": 1}, id="workload"),
        pytest.param("batch", "Job", {"active": 1, "uncountedTerminatedPods": {}}, {"active": 1}, id="no-pod-noise"),
        pytest.param("batch", "CronJob", {"active": [1], "lastScheduleTime": 2}, {"lastScheduleTime": 2}, id="cron"),
        pytest.param("autoscaling", "HorizontalPodAutoscaler", {"desired": 3}, {"desired": 3}, id="hpa"),
        pytest.param("helm.toolkit.fluxcd.io", "HelmRelease", {"history": []}, {"history": []}, id="flux"),
        pytest.param("", "Service", {"loadBalancer": {}}, None, id="others-have-none"),
        pytest.param("example.com", "Widget", {"phase": "x"}, None, id="custom"),
        pytest.param("evil.fluxcd.io.example", "Widget", {"phase": "x"}, None, id="look-alike"),
    ],
)
def test_status_is_kept_where_it_is_judged(group: str, kind: str, status: Any, kept: Any) -> None:
    obj = {"metadata": {"name": "x"}, "status": status}
    assert project(obj, group, "v1", kind).get("status") == kept


@pytest.mark.parametrize("field", ["data", "binaryData", "rules", "subjects", "webhooks", "spec", "immutable"])
def test_content_of_any_name_is_kept(field: str) -> None:
    assert project({"metadata": {"name": "x"}, field: [1]}, "", "v1", "Any")[field] == [1]


def edited(change: str) -> dict[str, Any]:
    obj = projected()
    metadata, condition = obj["metadata"], obj["status"]["conditions"][0]
    if change == "resourceVersion":
        metadata["resourceVersion"] = "8"
    elif change == "status-writer":
        metadata["managedFields"][1]["time"] = "t2"
    elif change == "heartbeat":
        condition["lastUpdateTime"] = "t2"
    elif change == "spec":
        obj["spec"]["replicas"] = 3
    elif change == "owner":
        metadata["managedFields"][0]["fieldsV1"] = {}
    elif change == "label":
        metadata["labels"]["app"] = "other"
    elif change == "condition":
        condition["status"] = "False"
    elif change == "deletion":
        metadata["deletionTimestamp"] = "t"
    return obj


@pytest.mark.parametrize("change", ["nothing", "resourceVersion", "status-writer", "heartbeat"])
def test_noise_leaves_the_fingerprint_alone(change: str) -> None:
    assert fingerprint(edited(change)) == fingerprint(projected())


@pytest.mark.parametrize("change", ["spec", "owner", "label", "condition", "deletion"])
def test_what_matters_changes_the_fingerprint(change: str) -> None:
    assert fingerprint(edited(change)) != fingerprint(projected())


@pytest.mark.parametrize("obj", [{}, {"metadata": None}, {"metadata": []}, {"metadata": "x"}], ids=str)
def test_what_is_no_object_is_refused(obj: Any) -> None:
    with pytest.raises((KeyError, TypeError, AttributeError)):
        project(obj, "", "v1", "ConfigMap")["metadata"]["name"]
