from __future__ import annotations

from typing import Any

import pytest

from collectors.kubernetes.config import HELM_LABEL, KUSTOMIZE_LABEL
from collectors.kubernetes.inventories import Inventories, OwnerKey, Ref, inventory_of, parse_id, refs_of_manifests

APP = OwnerKey("Kustomization", "demo", "app")
RELEASE = OwnerKey("HelmRelease", "demo", "db")
WEB = Ref("apps", "Deployment", "demo", "web")
SETTINGS = Ref("", "ConfigMap", "demo", "settings")


@pytest.mark.parametrize(
    ("text", "ref"),
    [
        pytest.param("demo_web_apps_Deployment", WEB, id="namespaced"),
        pytest.param("demo_settings__ConfigMap", SETTINGS, id="core-group"),
        pytest.param("_demo__Namespace", Ref("", "Namespace", "", "demo"), id="cluster-scoped"),
        pytest.param(
            "_system__node_rbac.authorization.k8s.io_ClusterRole",
            Ref("rbac.authorization.k8s.io", "ClusterRole", "", "system:node"),
            id="colon",
        ),
        pytest.param(
            "_widgets.example.com_apiextensions.k8s.io_CustomResourceDefinition",
            Ref("apiextensions.k8s.io", "CustomResourceDefinition", "", "widgets.example.com"),
            id="dots",
        ),
    ],
)
def test_ids_name_objects(text: str, ref: Ref) -> None:
    assert parse_id(text) == ref


@pytest.mark.parametrize("text", ["", "web", "demo_web", "demo_web_apps", "demo___Deployment"])
def test_malformed_ids_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not <namespace>"):
        parse_id(text)


@pytest.mark.parametrize(
    ("owner", "found"),
    [
        pytest.param({}, None, id="no-status"),
        pytest.param({"status": {}}, None, id="none-yet"),
        pytest.param({"status": {"inventory": {}}}, (frozenset(), 0), id="empty"),
        pytest.param(
            {"status": {"inventory": {"entries": [{"id": "demo_web_apps_Deployment", "v": "v1"}, {"id": "x"}, {}]}}},
            (frozenset({WEB}), 2),
            id="unreadable-ones-counted",
        ),
        pytest.param(
            {
                "spec": {"kubeConfig": {"secretRef": {"name": "other"}}},
                "status": {"inventory": {"entries": [{"id": "demo_web_apps_Deployment", "v": "v1"}]}},
            },
            (frozenset(), 0),
            id="in-another-cluster",
        ),
    ],
)
def test_an_owners_status_tells_what_it_applied(owner: dict[str, Any], found: Any) -> None:
    assert inventory_of(owner) == found


def test_a_kind_is_watched_by_the_labels_of_its_owners_and_stays_so() -> None:
    inventories = Inventories()
    assert inventories.put(APP, frozenset({WEB, SETTINGS}))
    assert not inventories.put(APP, frozenset({WEB, SETTINGS}))
    assert inventories.put(RELEASE, frozenset({SETTINGS}))
    assert inventories.selectors() == {
        ("apps", "Deployment"): {KUSTOMIZE_LABEL},
        ("", "ConfigMap"): {KUSTOMIZE_LABEL, HELM_LABEL},
    }
    assert inventories.remove(APP)
    assert not inventories.remove(APP)
    assert inventories.selectors()["apps", "Deployment"] == {KUSTOMIZE_LABEL}
    assert inventories.keys_by_kind() == {("apps", "Deployment"): set(), ("", "ConfigMap"): {("demo", "settings")}}


def test_a_manifest_names_objects_as_an_inventory_does() -> None:
    manifest = [
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "demo"}},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": "demo"}},
    ]
    assert refs_of_manifests(manifest) == {WEB, SETTINGS}


def test_an_objects_owner_is_the_last_to_name_it() -> None:
    known, other = Inventories(), OwnerKey("Kustomization", "demo", "other")
    known.put(APP, frozenset({WEB, SETTINGS}))
    known.put(other, frozenset({WEB}))
    assert (known.owner_of(WEB), known.owner_of(SETTINGS)) == (other, APP)
    known.put(APP, frozenset())
    assert (known.owner_of(WEB), known.owner_of(SETTINGS)) == (other, None)
    known.remove(other)
    assert known.owner_of(WEB) is None
