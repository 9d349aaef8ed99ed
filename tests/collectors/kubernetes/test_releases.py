from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import pytest

from collectors.kubernetes import releases
from collectors.kubernetes.releases import ReleaseError, ReleaseRef, decode_release, manifests_of, release_of

RELEASE = {"name": "db", "manifest": "kind: A\n", "info": {"status": "deployed"}}


def stored(payload: bytes) -> dict[str, Any]:
    return {"data": {"release": base64.b64encode(base64.b64encode(payload)).decode()}}


def is_namespaced(group: str, kind: str) -> bool | None:
    return {"ClusterRole": False, "Widget": None}.get(kind, True)


@pytest.mark.parametrize("pack", [gzip.compress, bytes], ids=["gzip", "plain, as Helm 2 wrote"])
def test_a_record_is_unpacked(pack: Any) -> None:
    assert decode_release(stored(pack(json.dumps(RELEASE).encode()))) == RELEASE


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        pytest.param({}, "no key release", id="no-data"),
        pytest.param({"data": {"release": "%%%"}}, "damaged", id="not-base64"),
        pytest.param({"data": {"release": base64.b64encode(b"%%%").decode()}}, "damaged", id="not-base64-within"),
        pytest.param(stored(gzip.compress(b"{}")[:-9]), "damaged", id="cut-off"),
        pytest.param(stored(b"\x1f\x8bnonsense"), "damaged", id="not-gzip"),
        pytest.param(stored(gzip.compress(b"nonsense")), "damaged", id="not-json"),
        pytest.param(stored(gzip.compress(b"[]")), "no release", id="not-an-object"),
    ],
)
def test_a_damaged_record_is_refused(secret: dict[str, Any], said: str) -> None:
    with pytest.raises(ReleaseError, match=said):
        decode_release(secret)


def test_a_record_that_unpacks_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(releases, "MAX_RELEASE_BYTES", 1_000)
    with pytest.raises(ReleaseError, match="more than 1000 bytes"):
        decode_release(stored(gzip.compress(b" " * 100_000)))


@pytest.mark.parametrize(
    ("manifest", "objects"),
    [
        pytest.param("", [], id="empty"),
        pytest.param("---\n# nothing\n---\n", [], id="comments"),
        pytest.param(
            "---\n# Source: x\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n",
            [("ConfigMap", "team", "a")],
            id="namespace-filled-in",
        ),
        pytest.param(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: own}\n",
            [("ConfigMap", "own", "a")],
            id="namespace-kept",
        ),
        pytest.param(
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: a, namespace: x}\n",
            [("ClusterRole", None, "a")],
            id="cluster-scoped",
        ),
        pytest.param(
            "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: a}\n", [("Widget", "team", "a")], id="unserved"
        ),
        pytest.param(
            "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Service, metadata: {name: a}}\n",
            [("Service", "team", "a")],
            id="list",
        ),
        pytest.param("apiVersion: v1\nkind: Service\nmetadata: {name: 12}\n", [("Service", "team", "12")], id="number"),
    ],
)
def test_a_manifest_declares_objects(manifest: str, objects: list[tuple[str, str | None, str]]) -> None:
    found = manifests_of({"manifest": manifest}, "team", is_namespaced)
    assert [(obj["kind"], obj["metadata"].get("namespace"), obj["metadata"]["name"]) for obj in found] == objects


def test_dates_stay_text_as_they_do_in_go() -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {built: 2026-11-23}\n"
    assert manifests_of({"manifest": text}, "team", is_namespaced)[0]["data"] == {"built": "2026-11-23"}


@pytest.mark.parametrize(
    ("release", "said"),
    [
        pytest.param({}, "no manifest", id="none"),
        pytest.param({"manifest": "a: [b"}, "no YAML", id="broken"),
        pytest.param({"manifest": "text"}, "no Kubernetes object", id="text"),
        pytest.param({"manifest": "kind: A\nmetadata: {}\n"}, "no Kubernetes object", id="nameless"),
        pytest.param({"manifest": "a: !!python/object:os.system x\n"}, "no YAML", id="python-tag"),
    ],
)
def test_an_unreadable_manifest_is_refused(release: dict[str, Any], said: str) -> None:
    with pytest.raises(ReleaseError, match=said):
        manifests_of(release, "team", is_namespaced)


HISTORY = {"name": "db", "namespace": "data", "version": 3, "digest": "sha256:x"}


@pytest.mark.parametrize(
    ("helm_release", "ref"),
    [
        pytest.param({"metadata": {"namespace": "flux"}}, None, id="never-released"),
        pytest.param(
            {"metadata": {"namespace": "flux"}, "status": {"storageNamespace": "store", "history": [HISTORY, {}]}},
            ReleaseRef("db", "data", 3, "store", "sha256:x"),
            id="newest",
        ),
        pytest.param(
            {"metadata": {"namespace": "flux"}, "status": {"history": [HISTORY]}},
            ReleaseRef("db", "data", 3, "data", "sha256:x"),
            id="stored-where-it-lives",
        ),
        pytest.param(
            {"metadata": {"namespace": "flux"}, "spec": {"kubeConfig": {}}, "status": {"history": [HISTORY]}},
            ReleaseRef("db", "data", 3, "data", "sha256:x"),
            id="empty-kubeconfig",
        ),
        pytest.param(
            {"metadata": {}, "spec": {"kubeConfig": {"secretRef": {}}}, "status": {"history": [HISTORY]}},
            None,
            id="in-another-cluster",
        ),
    ],
)
def test_history_points_to_the_record(helm_release: dict[str, Any], ref: ReleaseRef | None) -> None:
    assert release_of(helm_release) == ref


def test_the_secret_is_named_as_helm_names_it() -> None:
    assert ReleaseRef("db", "data", 3, "data").secret_name == "sh.helm.release.v1.db.v3"
