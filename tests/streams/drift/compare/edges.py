"""More cases of the judge: what a manifest leaves out, spells otherwise or says twice, a row an edit, as each of the
engines reads it.
"""

from __future__ import annotations

from typing import Any

import orjson

from streams.drift.compare.policy import LAST_APPLIED
from tests.streams.drift.compare.pairs import (
    AGGREGATED,
    C0,
    CLUSTERROLE,
    CONFIGMAP,
    CRONJOB,
    DEPLOYMENT,
    FLUX,
    GONE,
    HPA,
    INGRESS,
    NETWORKPOLICY,
    PDB,
    POD,
    QUOTA,
    RELEASE,
    SECRET,
    SERVICE,
    STATEFULSET,
    WIDGET,
    entry,
    obj,
    owned,
    put,
)

ARGO = "argocd-controller"
MANAGERS = (FLUX, "helm-controller", ARGO)

ROLLOUT = obj("argoproj.io/v1alpha1", "Rollout", spec={"replicas": 3, "template": DEPLOYMENT["spec"]["template"]})
CERTIFICATE = obj("cert-manager.io/v1", "Certificate", spec={"secretName": "s", "duration": "2160h0m0s"})
LIMITS = obj(
    "v1",
    "LimitRange",
    spec={"limits": [{"type": "Container", "default": {"cpu": "500m"}, "max": {"memory": "1Gi"}}]},
)
VOLUME = obj("v1", "PersistentVolume", spec={"capacity": {"storage": "1Gi"}, "nfs": {"server": "s", "path": "/p"}})
BINDING = obj(
    "rbac.authorization.k8s.io/v1",
    "RoleBinding",
    roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"},
    subjects=[{"kind": "User", "name": "u", "apiGroup": "rbac.authorization.k8s.io"}],
)
ENDPOINTS = obj(
    "v1",
    "Endpoints",
    subsets=[{"addresses": [{"ip": "10.0.0.2"}, {"ip": "10.0.0.1"}], "ports": [{"port": 443, "protocol": "TCP"}]}],
)
NAMESPACE = {
    "apiVersion": "v1",
    "kind": "Namespace",
    "metadata": {"name": "shop", "labels": {"kubernetes.io/metadata.name": "shop", "team": "a"}},
}
WEBHOOKS = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "ValidatingWebhookConfiguration",
    "metadata": {"name": "v"},
    "webhooks": [
        {
            "name": "a.example",
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
            "clientConfig": {"service": {"name": "s", "namespace": "shop"}},
        }
    ],
}
DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"kind": "Widget", "plural": "widgets"},
        "conversion": {"strategy": "Webhook", "webhook": {"clientConfig": {"url": "https://x", "caBundle": "YQ=="}}},
    },
}
CPU, MEMORY = C0 + "/resources/limits/cpu", C0 + "/resources/limits/memory"
CPU_HPA = HPA["spec"]["metrics"][0]

EDITS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "label-given-up": (DEPLOYMENT, {}, {"/metadata/labels/app": GONE}),
    "annotations-given-up": (DEPLOYMENT, {}, {"/metadata/annotations": GONE}),
    "null-label": (DEPLOYMENT, {}, {"/metadata/labels/app": None}),
    "null-in-data": (CONFIGMAP, {}, {"/data/a": None}),
    "null-limit": (DEPLOYMENT, {}, {CPU: None}),
    "null-in-live-data": (CONFIGMAP, {"/data/a": None}, {"/data/a": ""}),
    "empty-in-live-group": (BINDING, {"/roleRef/apiGroup": ""}, {}),
    "null-selector": (DEPLOYMENT, {}, {"/spec/selector": None}),
    "null-containers": (DEPLOYMENT, {}, {POD + "/containers": None}),
    "null-over-a-group": (CLUSTERROLE, {}, {"/rules/0/apiGroups": [None]}),
    "null-in-a-custom-list": (WIDGET, {}, {"/spec/parts/0/n": None}),
    "empty-required-name": (DEPLOYMENT, {}, {C0 + "/volumeMounts/0/name": ""}),
    "empty-service-name": (STATEFULSET, {}, {"/spec/serviceName": ""}),
    "empty-schedule": (CRONJOB, {}, {"/spec/schedule": ""}),
    "absent-required-name": (DEPLOYMENT, {}, {C0 + "/volumeMounts/0/name": GONE}),
    "absent-required-selector": (NETWORKPOLICY, {}, {"/spec/podSelector": GONE}),
    "absent-target-port": (SERVICE, {"/spec/ports/1/targetPort": 9}, {"/spec/ports/1/targetPort": GONE}),
    "zero-target-port": (SERVICE, {"/spec/ports/1/targetPort": 443}, {"/spec/ports/1/targetPort": 0}),
    "no-review-versions": (WEBHOOKS, {}, {"/webhooks/0/admissionReviewVersions": []}),
    "ca-bundle-injected": (WEBHOOKS, {"/webhooks/0/clientConfig/caBundle": "Cg=="}, {}),
    "ca-bundle-that-is-none": (DEFINITION, {"/spec/conversion/webhook/clientConfig/caBundle": "eA=="}, {}),
    "unknown-field": (CONFIGMAP, {}, {"/unheardOf": "x"}),
    "unknown-field-only": (DEPLOYMENT, {}, {POD + "/containers/1/resources": {"unheardOf": "x"}}),
    "unknown-field-in-a-rule": (CLUSTERROLE, {}, {"/rules/0/unheardOf": "x"}),
    "port-as-float": (SERVICE, {}, {"/spec/ports/0/port": 80.0}),
    "port-as-text": (INGRESS, {}, {"/spec/rules/0/http/paths/0/backend/service/port/number": "80"}),
    "percent-as-text": (PDB, {}, {"/spec/minAvailable": "1"}),
    "protocol-null": (SERVICE, {}, {"/spec/ports/0/protocol": None}),
    "same-port-two-protocols": (SERVICE, {}, {"/spec/ports/0/protocol": "UDP"}),
    "cpu-as-number": (DEPLOYMENT, {}, {CPU: 1}),
    "cpu-as-float": (DEPLOYMENT, {CPU: "500m"}, {CPU: 0.5}),
    "cpu-with-zeros": (DEPLOYMENT, {}, {CPU: "1.000"}),
    "memory-in-halves": (DEPLOYMENT, {MEMORY: "512Mi"}, {MEMORY: "0.5Gi"}),
    "memory-by-exponent": (DEPLOYMENT, {MEMORY: "1k"}, {MEMORY: "1e3"}),
    "memory-in-bytes": (DEPLOYMENT, {}, {MEMORY: "1073741824"}),
    "quota-as-number": (QUOTA, {}, {"/spec/hard/pods": 10}),
    "limit-range-spelled-otherwise": (LIMITS, {}, {"/spec/limits/0/default/cpu": "0.5"}),
    "limit-range-filled": (LIMITS, {"/spec/limits/0/defaultRequest": {"cpu": "500m", "memory": "1Gi"}}, {}),
    "group-of-a-role": (BINDING, {}, {"/roleRef/apiGroup": GONE}),
    "group-of-a-user": (BINDING, {}, {"/subjects/0/apiGroup": GONE}),
    "rolling-update-without-its-type": (STATEFULSET, {}, {"/spec/updateStrategy": {"rollingUpdate": {"partition": 0}}}),
    "rolling-update-beside-its-type": (
        STATEFULSET,
        {"/spec/updateStrategy": {"type": "RollingUpdate"}},
        {"/spec/updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}},
    ),
    "claimed-volume": (VOLUME, {"/spec/claimRef": {"kind": "PersistentVolumeClaim", "uid": "u", "name": "c"}}, {}),
    "claim-by-name": (
        VOLUME,
        {"/spec/claimRef": {"kind": "PersistentVolumeClaim", "uid": "u", "name": "c"}},
        {"/spec/claimRef": {"name": "c"}},
    ),
    "namespace-label": (NAMESPACE, {}, {"/metadata/labels": {"team": "a"}}),
    "env-twice": (DEPLOYMENT, {}, {C0 + "/env/2": {"name": "B", "value": "2"}}),
    "metric-twice": (HPA, {}, {"/spec/metrics/1": CPU_HPA}),
    "endpoints-out-of-order": (ENDPOINTS, {}, {"/subsets/0/addresses": [{"ip": "10.0.0.1"}, {"ip": "10.0.0.2"}]}),
    "node-selector-extra": (DEPLOYMENT, {POD + "/nodeSelector/zone": "a"}, {}),
    "selector-by-expression": (PDB, {"/spec/selector/matchExpressions": [{"key": "a", "operator": "Exists"}]}, {}),
    "aggregated-role-without-rules": (AGGREGATED, {"/rules": CLUSTERROLE["rules"]}, {}),
    "rollout-quantity": (ROLLOUT, {}, {CPU: "1000m"}),
    "rollout-zero-values": (ROLLOUT, {}, {POD + "/hostNetwork": False}),
    "certificate-duration": (CERTIFICATE, {}, {"/spec/duration": "2160h"}),
    "release-timeout": (put(RELEASE, {"/spec/timeout": "1h0m0s"}), {}, {"/spec/timeout": "60m"}),
    "status-and-stamps": (
        WIDGET,
        {"/status": {"ready": True}, "/metadata/generation": 7, "/metadata/uid": "u", "/metadata/selfLink": "/x"},
        {"/metadata/creationTimestamp": None, "/status": {}},
    ),
}


def cases() -> list[dict[str, Any]]:
    """Every edit as each engine's manager has it, of an object that it owns and of one that nobody does."""
    found = []
    for name, (base, live_edits, desired_edits) in EDITS.items():
        live, desired = put(base, live_edits), put(base, desired_edits)
        for manager in MANAGERS:
            case = {"live": live, "desired": desired, "options": {"manager": manager}}
            found.append({**case, "id": f"edges/{name}/{manager}"})
            found.append({**case, "id": f"edges/{name}/{manager}/owned", "live": owned(live, entry(manager, base))})
    return found + _three_way() + _whole_objects()


def _three_way() -> list[dict[str, Any]]:
    """What Argo CD has applied by kubectl's annotation, as it does unless told otherwise."""
    rows: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
        "same": (DEPLOYMENT, {}, {}),
        "annotation-given-up": (DEPLOYMENT, {}, {"/metadata/annotations/note": GONE}),
        "env-given-up": (DEPLOYMENT, {}, {C0 + "/env/1": GONE}),
        "env-of-others": (DEPLOYMENT, {C0 + "/env/2": {"name": "X", "value": "1"}}, {}),
        "selector-of-others": (DEPLOYMENT, {POD + "/nodeSelector/zone": "a"}, {}),
        "selector-given-up": (DEPLOYMENT, {}, {"/spec/selector/matchLabels": {"other": "x"}}),
        "node-selector-given-up": (DEPLOYMENT, {}, {POD + "/nodeSelector": {}}),
        "replicas-left-to-others": (put(DEPLOYMENT, {"/spec/replicas": GONE}), {"/spec/replicas": 9}, {}),
        "string-data-given-up": (
            put(SECRET, {"/stringData": {"c": "c"}}),
            {"/stringData": GONE, "/data/c": "Yw=="},
            {"/stringData": GONE},
        ),
        "data-given-up": (CONFIGMAP, {}, {"/data/b": GONE}),
        "strategy-of-others": (
            put(DEPLOYMENT, {"/spec/strategy": {"type": "RollingUpdate"}}),
            {"/spec/strategy/rollingUpdate": {"maxSurge": 3}},
            {},
        ),
        "custom-field-given-up": (WIDGET, {}, {"/spec/opt": GONE}),
        "custom-item-given-up": (WIDGET, {}, {"/spec/parts/0/n": GONE}),
        "custom-item-of-others": (WIDGET, {"/spec/parts/0/more": 1}, {}),
        "custom-field-of-others": (WIDGET, {"/spec/more": 1}, {}),
    }
    found = []
    for name, (base, live_edits, desired_edits) in rows.items():
        annotations = {**base["metadata"].get("annotations", {}), LAST_APPLIED: orjson.dumps(base).decode()}
        live = put(base, {"/metadata/annotations": annotations, **live_edits})
        found.append(
            {
                "id": f"three-way/{name}",
                "live": owned(live, entry(ARGO, base, "Update")),
                "desired": put(base, desired_edits),
                "options": {"manager": ARGO},
            }
        )
    return found


def _whole_objects() -> list[dict[str, Any]]:
    return [
        {"id": f"whole/{name}/{manager}", "live": live, "desired": CONFIGMAP, "options": {"manager": manager}}
        for manager in MANAGERS
        for name, live in {"missing": None, "same": CONFIGMAP, "without-data": put(CONFIGMAP, {"/data": GONE})}.items()
    ]
