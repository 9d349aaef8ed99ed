"""Flux's objects as tests need them: the smallest spec that works without a kubelet."""

from __future__ import annotations

from tests.parts.discovery import Object, Ref

SOURCE_API = "source.toolkit.fluxcd.io/v1"
KUSTOMIZE_API = "kustomize.toolkit.fluxcd.io/v1"
HELM_API = "helm.toolkit.fluxcd.io/v2"
# Long enough that nothing reconciles unasked while a test runs.
NEVER = "1h"


def git_repository(name: str, namespace: str, url: str, *, interval: str = NEVER, branch: str = "main") -> Object:
    """A GitRepository that follows a branch."""
    spec = {"interval": interval, "url": url, "ref": {"branch": branch}, "timeout": "20s"}
    return _object(SOURCE_API, "GitRepository", name, namespace, spec)


def kustomization(name: str, source: Object, path: str, *, interval: str = NEVER, prune: bool = True) -> Object:
    """A Kustomization of `path` in the GitRepository `source`, whose namespace it and its objects live in.

    `wait` is false: without a kubelet no workload becomes ready.
    """
    namespace = source["metadata"]["namespace"]
    spec = {
        "interval": interval,
        "retryInterval": "1m",
        "timeout": "30s",
        "path": path,
        "prune": prune,
        "wait": False,
        "targetNamespace": namespace,
        "sourceRef": {"kind": source["kind"], "name": source["metadata"]["name"]},
    }
    return _object(KUSTOMIZE_API, "Kustomization", name, namespace, spec)


def helm_release(
    name: str, source: Object, chart: str, *, drift_detection: str | None = None, values: Object | None = None
) -> Object:
    """A HelmRelease of the chart at the path `chart` in the GitRepository `source`, in whose namespace it lives.

    `drift_detection` is Flux's mode: None (absent), `warn` or `enabled`. Nothing is waited for, as above.
    """
    namespace = source["metadata"]["namespace"]
    reference = {"kind": source["kind"], "name": source["metadata"]["name"]}
    spec: Object = {
        "interval": NEVER,
        "releaseName": name,
        "install": {"disableWait": True},
        "upgrade": {"disableWait": True},
        "chart": {"spec": {"chart": chart, "reconcileStrategy": "Revision", "sourceRef": reference}},
        "values": values or {},
    }
    if drift_detection is not None:
        spec["driftDetection"] = {"mode": drift_detection}
    return _object(HELM_API, "HelmRelease", name, namespace, spec)


def namespace_ref(name: str) -> Ref:
    """The identity of a Namespace."""
    return Ref("v1", "Namespace", name)


def _object(api_version: str, kind: str, name: str, namespace: str, spec: Object) -> Object:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec}
