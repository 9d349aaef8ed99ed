from __future__ import annotations

import pytest

from streams.drift.compare.managed_fields import FieldSet, entries_of, owners
from tests.streams.drift.compare.pairs import C0, CONFIGMAP, DEPLOYMENT, FLUX, entry, owned, put

ENV = {"f:env": {'k:{"name":"B"}': {".": {}, "f:name": {}, "f:value": {}}}}
CONTAINERS = {"f:spec": {"f:template": {"f:spec": {"f:containers": {'k:{"name":"web"}': ENV}}}}}
LIVE = owned(
    put(DEPLOYMENT, {"/metadata/finalizers": ["a/b", "c/d"]}),
    entry(FLUX, DEPLOYMENT),
    {
        "manager": "kubectl-edit",
        "operation": "Update",
        "apiVersion": "apps/v1",
        "time": "2026-11-21T10:00:00Z",
        "fieldsV1": {**CONTAINERS, "f:metadata": {"f:finalizers": {".": {}, 'v:"c/d"': {}}}},
    },
    {"manager": "malformed", "operation": "Update"},
)
FLUX_ENTRY, EDIT = entries_of(LIVE)


def test_paths_are_pointers_into_the_object() -> None:
    assert EDIT.fields.paths(LIVE) == {C0 + "/env/1/name", C0 + "/env/1/value", "/metadata/finalizers/1"}


def test_what_is_no_longer_in_the_object_has_no_path_but_a_leaf() -> None:
    gone = FieldSet({"f:data": {"f:x": {}}})
    assert gone.paths(CONFIGMAP) == frozenset()
    assert list(gone.leaves()) == [("f:data", "f:x")]


@pytest.mark.parametrize(
    ("pointer", "managers"),
    [
        pytest.param(C0 + "/env/1/value", ["kubectl-edit", FLUX], id="both, the latest first"),
        pytest.param(C0 + "/env/0/value", [FLUX], id="one"),
        pytest.param(C0 + "/args/0", [FLUX], id="within an atomic part"),
        pytest.param("/spec/strategy", [], id="nobody"),
        pytest.param("/metadata/finalizers/1", ["kubectl-edit"], id="a set's member"),
        pytest.param("/metadata/finalizers/0", [], id="another member"),
    ],
)
def test_owners(pointer: str, managers: list[str]) -> None:
    assert [entry.manager for entry in owners(entries_of(LIVE), LIVE, pointer)] == managers


def test_sets_differ_and_unite() -> None:
    one = FieldSet({"f:data": {".": {}, "f:a": {}, "f:b": {}}})
    other = FieldSet({"f:data": {"f:b": {}}, "f:type": {}})
    assert one.difference(other).tree == {"f:data": {"f:a": {}}}
    assert not one.difference(one)
    assert FieldSet().union(other).tree == other.tree
    assert one.union(other).paths({"data": {"a": 1, "b": 2}, "type": 3}) == {"/data/a", "/data/b", "/type"}
