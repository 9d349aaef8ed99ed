"""The cases of a real API server's traces, as tables."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from abdrift.simulation import SimCluster, field_sets
from abdrift.simulation.apiserver import APPLY, JSON, MERGE, STRATEGIC, Options, Target
from abdrift.simulation.errors import ApiError
from abdrift.simulation.field_sets import encode
from abdrift.simulation.kinds import builtin_kinds
from abdrift.simulation.objects import Object

DEPLOYMENT = next(kind for kind in builtin_kinds() if kind.name == "Deployment")
CONFIG_MAP = next(kind for kind in builtin_kinds() if kind.name == "ConfigMap")
NAME, NAMESPACE = "app-01", "radio"
ENV = 'k:{"name":"main"}'


def container(**fields: Any) -> Object:
    return {"spec": {"template": {"spec": {"containers": [{"name": "main", **fields}]}}}}


def of_container(fields: Object) -> Object:
    return {"f:spec": {"f:template": {"f:spec": {"f:containers": {ENV: fields}}}}}


@dataclass
class Case:
    body: Any
    media_type: str
    manager: str
    entry: Object | None
    gone: tuple[str, ...]
    """Fields that leave Flux's entry, dotted."""
    subresource: str = ""
    entry_of: tuple[str, str] = field(default=("", ""))


CASES = {
    "scale-has-a-subresource-and-no-time": Case(
        {"spec": {"replicas": 5}}, MERGE, "kubectl", {"f:spec": {"f:replicas": {}}}, ("f:spec/f:replicas",), "scale"
    ),
    "image-moves-to-kubectl-set": Case(
        container(image="hot:fix"), STRATEGIC, "kubectl-set", of_container({"f:image": {}}), ("f:image",)
    ),
    "env-value-moves-alone": Case(
        container(env=[{"name": "COLOR", "value": "red"}]),
        STRATEGIC,
        "kubectl-set",
        of_container({"f:env": {'k:{"name":"COLOR"}': {"f:value": {}}}}),
        ('k:{"name":"COLOR"}/f:value',),
    ),
    "env-added-takes-nothing": Case(
        container(env=[{"name": "DEBUG", "value": "1"}]),
        STRATEGIC,
        "kubectl-set",
        of_container({"f:env": {'k:{"name":"DEBUG"}': {".": {}, "f:name": {}, "f:value": {}}}}),
        (),
    ),
    "label-added-without-dot": Case(
        {"metadata": {"labels": {"oncall": "alice"}}},
        MERGE,
        "kubectl-label",
        {"f:metadata": {"f:labels": {"f:oncall": {}}}},
        (),
    ),
    "foreign-field": Case(
        {"spec": {"minReadySeconds": 7}}, STRATEGIC, "kubectl-patch", {"f:spec": {"f:minReadySeconds": {}}}, ()
    ),
    "removal-leaves-no-foreign-entry": Case(
        [{"op": "remove", "path": "/spec/template/spec/containers/0/env"}], JSON, "kubectl-edit", None, ("f:env",)
    ),
}


def entries(obj: Object) -> dict[tuple[str, str, str], Object]:
    return {(e["manager"], e["operation"], e.get("subresource", "")): e for e in obj["metadata"]["managedFields"]}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_foreign_update(cluster: SimCluster, case: Case) -> None:
    before = cluster.api.get(DEPLOYMENT_OF(cluster), NAMESPACE, NAME)
    flux_before = entries(before)["kustomize-controller", "Apply", ""]

    target = Target(DEPLOYMENT_OF(cluster), NAMESPACE, NAME, case.subresource)
    cluster.api.patch(target, case.media_type, case.body, Options(case.manager))

    after = cluster.api.get(DEPLOYMENT_OF(cluster), NAMESPACE, NAME)
    flux = entries(after)["kustomize-controller", "Apply", ""]
    theirs = entries(after).get((case.manager, "Update", case.subresource))
    assert (theirs and theirs["fieldsV1"]) == case.entry
    if theirs:
        assert ("time" in theirs) == (case.subresource != "scale")
    lost = field_sets.decode(flux_before["fieldsV1"]) - field_sets.decode(flux["fieldsV1"])
    assert bool(lost) == bool(case.gone)
    for gone in case.gone:
        assert any(gone in "/".join(path) for path in lost)
    assert flux["time"] == flux_before["time"]


def DEPLOYMENT_OF(cluster: SimCluster) -> Any:  # noqa: N802  reads as the constant it stands for
    return cluster.kind("Deployment")


def test_an_update_renews_only_its_own_time(fleet: Any, cluster: SimCluster) -> None:
    target = Target(cluster.kind("Deployment"), NAMESPACE, NAME)
    cluster.api.patch(target, MERGE, {"spec": {"minReadySeconds": 7}}, Options("my-operator"))
    fleet.schedule.advance(5)
    after = cluster.api.patch(target, MERGE, {"spec": {"minReadySeconds": 8}}, Options("my-operator"))
    found = entries(after)
    assert found["my-operator", "Update", ""]["time"] > found["kustomize-controller", "Apply", ""]["time"]


def test_a_write_that_changes_nothing_keeps_the_version(cluster: SimCluster) -> None:
    target = Target(cluster.kind("Deployment"), NAMESPACE, NAME)
    before = cluster.api.get(*_at(target))
    same_cpu = container(resources={"requests": {"cpu": "0.500"}})
    assert cluster.api.patch(target, STRATEGIC, same_cpu, Options("alice")) == before


def _at(target: Target) -> tuple[Any, str, str]:
    return target.kind, target.namespace, target.name


def test_generation_follows_the_spec_alone(cluster: SimCluster) -> None:
    target = Target(cluster.kind("Deployment"), NAMESPACE, NAME)
    first = cluster.api.get(*_at(target))["metadata"]["generation"]
    labelled = cluster.api.patch(target, MERGE, {"metadata": {"labels": {"a": "b"}}}, Options("alice"))
    assert labelled["metadata"]["generation"] == first
    status = Target(target.kind, NAMESPACE, NAME, "status")
    assert (
        cluster.api.patch(status, MERGE, {"status": {"replicas": 9}}, Options("x"))["metadata"]["generation"] == first
    )
    edited = cluster.api.patch(target, MERGE, {"spec": {"paused": True}}, Options("alice"))
    assert edited["metadata"]["generation"] == first + 1


def test_apply_without_force_names_its_conflicts(cluster: SimCluster) -> None:
    target = Target(cluster.kind("ConfigMap"), NAMESPACE, NAME)
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME}, "data": {"color": "red"}}
    with pytest.raises(ApiError) as refused:
        cluster.api.patch(target, APPLY, config, Options("alice"))
    assert refused.value.code == 409
    assert 'conflict with "kustomize-controller": .data.color' in str(refused.value)


def test_apply_with_force_takes_and_later_releases(cluster: SimCluster) -> None:
    target = Target(cluster.kind("ConfigMap"), NAMESPACE, NAME)
    config: Object = {"metadata": {"name": NAME}, "data": {"color": "red", "mine": "1"}}
    taken = cluster.api.patch(target, APPLY, config, Options("alice", force=True))
    assert taken["data"]["color"] == "red"
    assert "f:color" not in entries(taken)["kustomize-controller", "Apply", ""]["fieldsV1"]["f:data"]
    config["data"] = {"color": "red"}
    released = cluster.api.patch(target, APPLY, config, Options("alice", force=True))
    assert released["data"] == {"color": "red", "app.toml": f'name = "{NAME}"\n'}


ROUND_TRIPS = {
    "leaf": {"f:data": {"f:color": {}}},
    "member-and-members": {"f:labels": {".": {}, "f:a": {}}},
    "keyed": of_container({".": {}, "f:name": {}}),
}


@pytest.mark.parametrize("fields", ROUND_TRIPS.values(), ids=ROUND_TRIPS)
def test_fields_v1_round_trip(fields: Object) -> None:
    assert encode(field_sets.decode(fields)) == fields


def test_created_by_update_owns_defaults_and_marks_new_maps(cluster: SimCluster) -> None:
    obj = {"metadata": {"name": "made", "namespace": "shop"}, "data": {"a": "1"}}
    made = cluster.api.create(cluster.kind("ConfigMap"), "shop", obj, Options("kubectl-create"))
    assert entries(made)["kubectl-create", "Update", ""]["fieldsV1"] == {"f:data": {".": {}, "f:a": {}}}
