"""The judge's own ground: paths, exemptions, what can't be judged."""

from __future__ import annotations

from typing import Any

import pytest

from streams.drift.compare import CompareOptions, UnjudgeableError, compare
from streams.drift.compare.changes import Change
from streams.drift.compare.options import parse_options
from streams.drift.compare.values import BY_VALUE
from tests.streams.drift.compare.pairs import (
    C0,
    CONFIGMAP,
    DEPLOYMENT,
    FLUX,
    GONE,
    POD,
    RELEASE,
    SERVER_FILLED,
    SERVICE,
    WIDGET,
    entry,
    obj,
    owned,
    put,
    shared,
)

LAST_APPLIED = "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration"


@pytest.mark.parametrize(
    ("live", "desired", "paths"),
    [
        pytest.param({"/spec/replicas": 3}, {}, ["/spec/replicas"], id="a field"),
        pytest.param({C0 + "/env/1/value": "9"}, {}, [C0 + "/env/1/value"], id="an item's field by its live index"),
        pytest.param(
            {C0 + "/env": [{"name": "X", "value": "0"}, {"name": "A", "value": "1"}, {"name": "B", "value": "9"}]},
            {},
            [C0 + "/env/2/value"],
            id="an item behind a foreign one",
        ),
        pytest.param({C0 + "/env/0": GONE}, {}, [C0 + "/env/0"], id="a missing item by its desired index"),
        pytest.param({}, {C0 + "/env/1": GONE}, [C0 + "/env/1"], id="an item given up by its live index"),
        pytest.param({}, {"/metadata/annotations/a~1b~0c": "1"}, ["/metadata/annotations/a~1b~0c"], id="escaped"),
        pytest.param({C0 + "/resources": GONE}, {}, [C0 + "/resources"], id="a whole part that is missing"),
        pytest.param({}, {C0 + "/resources/limits": GONE}, [C0 + "/resources/limits"], id="a part given up"),
    ],
)
def test_where(live: dict[str, Any], desired: dict[str, Any], paths: list[str]) -> None:
    found = compare(shared(DEPLOYMENT, put(DEPLOYMENT, live)), put(DEPLOYMENT, desired))
    assert found.paths == paths


def test_a_change_tells_what_became_of_live() -> None:
    live = shared(CONFIGMAP, put(CONFIGMAP, {"/data/a": "9", "/data/b": GONE}))
    desired = put(CONFIGMAP, {"/data/c": "3"})
    assert compare(live, desired).changes == (
        Change("/data/a", "1", "9", "replace"),
        Change("/data/b", "2", None, "remove"),
        Change("/data/c", "3", None, "remove"),
    )


def test_a_field_that_its_owner_no_longer_says_was_added() -> None:
    assert compare(shared(CONFIGMAP, CONFIGMAP), put(CONFIGMAP, {"/data/b": GONE})).changes == (
        Change("/data/b", None, "2", "add"),
    )


def test_what_is_desired_and_not_live_differs_as_a_whole() -> None:
    assert compare(None, CONFIGMAP).paths == [""]


def test_what_is_live_and_not_desired_is_no_change() -> None:
    found = compare(CONFIGMAP, None)
    assert (found.modified, bool(found.exempt)) == (False, True)


@pytest.mark.parametrize(
    ("live", "desired", "says"),
    [
        pytest.param(CONFIGMAP, put(CONFIGMAP, {"/kind": "Secret"}), "live is a ConfigMap", id="other kind"),
        pytest.param(CONFIGMAP, put(CONFIGMAP, {"/metadata/name": "x"}), "not the same object", id="other name"),
        pytest.param(CONFIGMAP, put(CONFIGMAP, {"/metadata/namespace": "x"}), "not the same", id="other namespace"),
        pytest.param(WIDGET, put(WIDGET, {"/apiVersion": "example.com/v2"}), "read live at", id="other version"),
        pytest.param(CONFIGMAP, [], "is a list", id="no object"),
        pytest.param(CONFIGMAP, {"kind": "ConfigMap"}, "no apiVersion", id="no apiVersion"),
        pytest.param(CONFIGMAP, {"apiVersion": "v1", "kind": "ConfigMap"}, "no metadata", id="no metadata"),
        pytest.param(None, None, "null", id="nothing at all"),
        pytest.param(
            {"apiVersion": "v1", "kind": "List", "items": []}, CONFIGMAP, "one by one", id="a list of objects"
        ),
    ],
)
def test_what_cannot_be_judged_says_why(live: Any, desired: Any, says: str) -> None:
    with pytest.raises(UnjudgeableError, match=says):
        compare(live, desired)


def test_nesting_without_end_is_an_error() -> None:
    def nested(leaf: int) -> dict[str, Any]:
        spec: dict[str, Any] = {"leaf": leaf}
        for _ in range(5_000):
            spec = {"deeper": spec}
        return obj("example.com/v1", "Widget", spec=spec)

    with pytest.raises(UnjudgeableError, match="too deeply"):
        compare(nested(1), nested(2))


def test_quantities_are_equal_as_they_are_stored_or_by_value() -> None:
    live = put(DEPLOYMENT, {C0 + "/resources/limits/memory": "1073741824"})
    assert compare(live, DEPLOYMENT).modified
    assert not compare(live, DEPLOYMENT, CompareOptions(readings=BY_VALUE)).modified


def test_known_types_can_be_added() -> None:
    live, desired = put(WIDGET, {"/spec/every": "60s"}), put(WIDGET, {"/spec/every": "1m"})
    options = parse_options({"known_types": {"example.com/Widget": {"spec.every": "meta/v1/Duration"}}})
    assert compare(live, desired).modified
    assert not compare(live, desired, options).modified
    with pytest.raises(UnjudgeableError, match="no type"):
        compare(live, desired, parse_options({"known_types": {"example.com/Widget": {"spec.every": "x"}}}))


def test_a_release_may_spell_its_interval_otherwise_only_where_values_are_read() -> None:
    respelled = put(RELEASE, {"/spec/interval": "600s"})
    assert compare(respelled, RELEASE).paths == ["/spec/interval"], "an API server keeps the text"
    assert not compare(respelled, RELEASE, CompareOptions(readings=BY_VALUE)).modified
    other = put(RELEASE, {"/spec/interval": "601s"})
    assert compare(other, RELEASE, CompareOptions(readings=BY_VALUE)).paths == ["/spec/interval"]


def test_what_is_no_manifest_leaves_out_what_its_manager_does_not_own() -> None:
    live = put(SERVICE, {"/spec/ports/1/targetPort": 9})
    part = put(SERVICE, {"/spec/ports/1/targetPort": GONE, "/spec/newer": 1})
    assert compare(live, part, CompareOptions(managers=(FLUX,))).paths == ["/spec/newer"]
    manifest = parse_options({"manager": FLUX})
    assert compare(live, part, manifest).paths == ["/spec/ports/1/targetPort"], "Flux applies a zero, the port returns"


def test_a_value_may_hold_any_sign() -> None:
    desired = put(CONFIGMAP, {"/metadata/finalizers": ["a#b/c"]})
    assert compare(CONFIGMAP, desired, CompareOptions(managers=("argocd-controller",))).modified


def test_what_a_dry_run_leaves_empty_is_taken_away() -> None:
    live = put(DEPLOYMENT, SERVER_FILLED)
    answer = owned(put(live, {POD + "/containers": None}), entry("argocd-controller", DEPLOYMENT))
    options = CompareOptions(managers=("argocd-controller",))
    assert compare(live, DEPLOYMENT, options, answer).paths == [POD + "/containers"]


def test_what_kubectl_applied_before_is_given_up_when_nobody_applied_on_the_server() -> None:
    before = (
        '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"annotations":{},"name":"web"},"data":{"a":"1","b":"2"}}'
    )
    live = put(CONFIGMAP, {LAST_APPLIED: before})
    assert compare(live, put(CONFIGMAP, {"/data/b": GONE})).paths == ["/data/b"]
    assert not compare(live, put(CONFIGMAP, {"/data/b": GONE}), CompareOptions(managers=(FLUX,))).modified


def test_managers_taken_over_lose_their_additions() -> None:
    added = put(CONFIGMAP, {"/data/x": "9"})
    live = shared(CONFIGMAP, added, entry("kubectl-edit", {**CONFIGMAP, "data": {"x": "9"}}, "Update"))
    assert not compare(live, CONFIGMAP).modified
    assert compare(live, CONFIGMAP, CompareOptions(managers=(FLUX,), takes_over=("kubectl",))).paths == ["/data/x"]


def test_list_keys_of_a_custom_resource_are_learnt_from_managed_fields() -> None:
    by_name = {"f:spec": {"f:parts": {'k:{"name":"p"}': {"f:n": {}, "f:name": {}}}}}
    live = put(WIDGET, {"/spec/parts": [{"name": "other", "n": 0}, {"name": "p", "n": 2}]})
    live = owned(live, {**entry(FLUX, WIDGET), "fieldsV1": by_name})
    assert compare(live, WIDGET).paths == ["/spec/parts/1/n"]


def test_a_foreign_managers_list_is_judged_strictly() -> None:
    live = put(WIDGET, {"/spec/parts/0/extra": True})
    assert not compare(live, WIDGET).modified, "a default of the definition's, for all that is known"
    live = owned(live, entry("someone", {**WIDGET, "spec": {"parts": []}}))
    assert compare(live, WIDGET).paths == ["/spec/parts/0/extra"]


def test_webhooks_count_for_flux_and_not_for_argo_cd() -> None:
    live = put(DEPLOYMENT, SERVER_FILLED)
    answer = put(live, {POD + "/priorityClassName": "set-by-webhook"})
    for manager, modified in ((FLUX, True), ("argocd-controller", False)):
        answered = owned(answer, entry(manager, DEPLOYMENT))
        assert compare(live, DEPLOYMENT, CompareOptions(managers=(manager,)), answered).modified is modified


def test_one_manager_that_applied_needs_no_naming() -> None:
    live = owned(DEPLOYMENT, entry("argocd-controller", DEPLOYMENT))
    live = put(
        live, {"/metadata/annotations": {"kustomize.toolkit.fluxcd.io/reconcile": "disabled"}, "/spec/replicas": 9}
    )
    assert compare(live, put(DEPLOYMENT, {"/metadata/annotations": GONE})).modified, "Argo CD knows no such opt-out"


def test_documents_are_left_as_they_were() -> None:
    live, desired = put(DEPLOYMENT, SERVER_FILLED), put(DEPLOYMENT, {"/spec/replicas": 9})
    before = put(live, {}), put(desired, {})
    compare(live, desired, parse_options({"ignore": ["/spec/template/spec"]}))
    assert (live, desired) == before


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        pytest.param([], "are an object", id="a list"),
        pytest.param({"managers": "x"}, "no options managers", id="unknown"),
        pytest.param({"manager": 7}, "a name or a list", id="a number"),
        pytest.param({"manager": [7]}, "a name or a list", id="numbers"),
        pytest.param({"known_types": {"a/B": "c"}}, "known_types maps", id="known types"),
        pytest.param({"ignore": ["/a"] * 1_001}, "more than 1000", id="too many rules"),
    ],
)
def test_bad_options_say_the_way_out(raw: Any, says: str) -> None:
    with pytest.raises(UnjudgeableError, match=says):
        parse_options(raw)


@pytest.mark.parametrize(
    ("image", "default"),
    [
        ("x", "Always"),
        ("h:5000/x", "Always"),
        ("x:latest", "Always"),
        ("x:1", "IfNotPresent"),
        ("x@sha256:a", "IfNotPresent"),
    ],
)
def test_the_pull_policy_follows_the_image(image: str, default: str) -> None:
    base = put(DEPLOYMENT, {C0 + "/image": image})
    assert not compare(base, put(base, {C0 + "/imagePullPolicy": default})).modified
    assert compare(base, put(base, {C0 + "/imagePullPolicy": "Never"})).modified


def test_sets_compare_by_member() -> None:
    live = put(CONFIGMAP, {"/metadata/finalizers": ["foreign/x", "a/b"]})
    options = CompareOptions(managers=("argocd-controller",))
    assert not compare(live, put(CONFIGMAP, {"/metadata/finalizers": ["a/b"]}), options).modified
    assert compare(live, put(CONFIGMAP, {"/metadata/finalizers": ["c/d"]}), options).paths == ["/metadata/finalizers/0"]
