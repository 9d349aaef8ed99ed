"""The judge's cases: pairs of objects by category, each told apart by what was done to one of the two."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from streams.drift.compare.applied import ownership_of
from streams.drift.compare.known_types import resolve

GONE = object()
FLUX = "kustomize-controller"


def put(document: dict[str, Any], edits: dict[str, Any]) -> dict[str, Any]:
    """A copy with the values at JSON pointers set, or taken out where the value is GONE."""
    document = deepcopy(document)
    for pointer, value in edits.items():
        *parents, last = (s.replace("~1", "/").replace("~0", "~") for s in pointer.split("/")[1:])
        node: Any = document
        for parent in parents:
            node = node[int(parent)] if isinstance(node, list) else node.setdefault(parent, {})
        if isinstance(node, list):
            if value is GONE:
                del node[int(last)]
            elif int(last) == len(node):
                node.append(value)
            else:
                node[int(last)] = value
        elif value is GONE:
            node.pop(last, None)
        else:
            node[last] = value
    return document


def entry(
    manager: str, document: dict[str, Any], operation: str = "Apply", time: str = "2026-11-20T10:00:00Z"
) -> dict[str, Any]:
    said = {k: v for k, v in document.items() if k not in ("apiVersion", "kind")}
    said["metadata"] = {
        k: v for k, v in said.get("metadata", {}).items() if k in ("labels", "annotations", "finalizers")
    }
    if not said["metadata"]:
        del said["metadata"]
    return {
        "manager": manager,
        "operation": operation,
        "apiVersion": document["apiVersion"],
        "time": time,
        "fieldsType": "FieldsV1",
        "fieldsV1": ownership_of(resolve(document["apiVersion"], document["kind"]), said),
    }


def owned(live: dict[str, Any], *entries: dict[str, Any]) -> dict[str, Any]:
    return put(live, {"/metadata/managedFields": list(entries), "/metadata/resourceVersion": "42"})


def obj(api_version: str, kind: str, name: str = "web", **fields: Any) -> dict[str, Any]:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": "shop"}, **fields}


DEPLOYMENT = obj(
    "apps/v1",
    "Deployment",
    spec={
        "replicas": 2,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {
                "containers": [
                    {
                        "name": "web",
                        "image": "registry.example/web:1.4.2",
                        "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
                        "ports": [{"containerPort": 8080}, {"containerPort": 9090, "name": "metrics"}],
                        "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}},
                        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}, {"name": "cfg", "mountPath": "/cfg"}],
                        "args": ["--a", "--b"],
                        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}},
                    },
                    {"name": "proxy", "image": "registry.example/proxy:2"},
                ],
                "volumes": [{"name": "tmp", "emptyDir": {}}, {"name": "cfg", "configMap": {"name": "web"}}],
                "tolerations": [{"key": "edge", "operator": "Exists"}],
                "nodeSelector": {"disk": "ssd"},
            },
        },
    },
)
DEPLOYMENT["metadata"]["labels"] = {"app": "web"}
DEPLOYMENT["metadata"]["annotations"] = {"note": "x"}
POD = "/spec/template/spec"
C0 = POD + "/containers/0"
SERVICE = obj(
    "v1",
    "Service",
    spec={
        "selector": {"app": "web"},
        "ports": [{"port": 80, "name": "http"}, {"port": 443, "name": "https", "targetPort": 8443}],
    },
)
SECRET = obj("v1", "Secret", data={"a": "YQ==", "b": "Yg=="}, type="Opaque")
CONFIGMAP = obj("v1", "ConfigMap", data={"a": "1", "b": "2"})
RELEASE = obj(
    "helm.toolkit.fluxcd.io/v2",
    "HelmRelease",
    spec={
        "interval": "10m",
        "chart": {"spec": {"chart": "web", "version": "1.x"}},
        "values": {"list": [{"a": 1}, {"b": 2}], "n": 1},
    },
)
WIDGET = obj(
    "example.com/v1",
    "Widget",
    spec={"size": 3, "names": ["a", "b"], "parts": [{"name": "p", "n": 1}], "opt": {"x": "y"}},
)
HPA = obj(
    "autoscaling/v2",
    "HorizontalPodAutoscaler",
    spec={
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        "minReplicas": 2,
        "maxReplicas": 5,
        "metrics": [
            {
                "type": "Resource",
                "resource": {"name": "cpu", "target": {"type": "AverageValue", "averageValue": "500m"}},
            }
        ],
    },
)
NETWORKPOLICY = obj(
    "networking.k8s.io/v1",
    "NetworkPolicy",
    spec={
        "podSelector": {"matchLabels": {"app": "web"}},
        "ingress": [{"ports": [{"port": 80}], "from": [{"podSelector": {}}]}],
    },
)
STATEFULSET = obj(
    "apps/v1",
    "StatefulSet",
    spec={
        "serviceName": "db",
        "selector": {"matchLabels": {"app": "db"}},
        "template": {"metadata": {"labels": {"app": "db"}}, "spec": {"containers": [{"name": "db", "image": "db:1"}]}},
        "volumeClaimTemplates": [
            {
                "metadata": {"name": "data"},
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
            }
        ],
    },
)
CLUSTERROLE = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRole",
    "metadata": {"name": "web"},
    "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}],
}
AGGREGATED = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRole",
    "metadata": {"name": "agg"},
    "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"x": "y"}}]},
}
CRONJOB = obj(
    "batch/v1",
    "CronJob",
    spec={
        "schedule": "* * * * *",
        "jobTemplate": {
            "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "c"}]}}}
        },
    },
)
QUOTA = obj("v1", "ResourceQuota", spec={"hard": {"cpu": "4", "memory": "8Gi", "pods": "10"}})
PDB = obj("policy/v1", "PodDisruptionBudget", spec={"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}})
INGRESS = obj(
    "networking.k8s.io/v1",
    "Ingress",
    spec={
        "rules": [
            {
                "host": "web.example",
                "http": {
                    "paths": [
                        {
                            "path": "/",
                            "pathType": "Prefix",
                            "backend": {"service": {"name": "web", "port": {"number": 80}}},
                        }
                    ]
                },
            }
        ]
    },
)

JOB = obj(
    "batch/v1",
    "Job",
    spec={
        "completions": 3,
        "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "c"}]}},
    },
)

SERVER_FILLED = {
    C0 + "/imagePullPolicy": "IfNotPresent",
    C0 + "/terminationMessagePath": "/dev/termination-log",
    C0 + "/terminationMessagePolicy": "File",
    C0 + "/ports/0/protocol": "TCP",
    C0 + "/ports/1/protocol": "TCP",
    POD + "/dnsPolicy": "ClusterFirst",
    POD + "/securityContext": {},
    POD + "/volumes/1/configMap/defaultMode": 420,
    "/spec/strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
    "/spec/progressDeadlineSeconds": 600,
    "/spec/revisionHistoryLimit": 10,
    "/metadata/uid": "u",
    "/metadata/generation": 3,
    "/metadata/creationTimestamp": "2026-01-01T00:00:00Z",
    "/metadata/annotations/deployment.kubernetes.io~1revision": "3",
    "/status": {"replicas": 2},
}

# category: {id: (base, edits of live, edits of desired)}; live is owned by Flux as the base says, unless it is a
# third edit that says otherwise.
EDITS: dict[str, dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]]] = {
    "defaults": {
        "server-filled": (DEPLOYMENT, SERVER_FILLED, {}),
        "said-and-not-live": (
            DEPLOYMENT,
            {},
            {
                C0 + "/imagePullPolicy": "IfNotPresent",
                C0 + "/ports/0/protocol": "TCP",
                "/spec/revisionHistoryLimit": 10,
            },
        ),
        "said-otherwise": (DEPLOYMENT, SERVER_FILLED, {C0 + "/imagePullPolicy": "Always"}),
        "pull-policy-by-tag": (
            DEPLOYMENT,
            {C0 + "/image": "x:latest", C0 + "/imagePullPolicy": "Always"},
            {C0 + "/image": "x:latest"},
        ),
        "strategy-partly": (DEPLOYMENT, SERVER_FILLED, {"/spec/strategy": {"type": "RollingUpdate"}}),
        "strategy-recreate": (DEPLOYMENT, SERVER_FILLED, {"/spec/strategy": {"type": "Recreate"}}),
        "zero-bool": (DEPLOYMENT, {}, {POD + "/hostNetwork": False, C0 + "/stdin": False}),
        "false-by-pointer": (DEPLOYMENT, {}, {POD + "/automountServiceAccountToken": False}),
        "empty-string": (DEPLOYMENT, {}, {POD + "/serviceAccountName": ""}),
        "zero-replicas": (DEPLOYMENT, {}, {"/spec/replicas": 0}),
        "service": (
            SERVICE,
            {
                "/spec/type": "ClusterIP",
                "/spec/clusterIP": "10.0.0.1",
                "/spec/clusterIPs": ["10.0.0.1"],
                "/spec/ports/0/protocol": "TCP",
                "/spec/ports/0/targetPort": 80,
                "/spec/ports/1/protocol": "TCP",
                "/spec/sessionAffinity": "None",
                "/spec/internalTrafficPolicy": "Cluster",
            },
            {},
        ),
        "service-type-said": (SERVICE, {}, {"/spec/type": "ClusterIP"}),
        "network-policy": (
            NETWORKPOLICY,
            {"/spec/policyTypes": ["Ingress"], "/spec/ingress/0/ports/0/protocol": "TCP"},
            {},
        ),
        "network-policy-udp": (
            NETWORKPOLICY,
            {"/spec/policyTypes": ["Ingress"], "/spec/ingress/0/ports/0/protocol": "UDP"},
            {},
        ),
        "claim-template": (
            STATEFULSET,
            {
                "/spec/volumeClaimTemplates/0/apiVersion": "v1",
                "/spec/volumeClaimTemplates/0/kind": "PersistentVolumeClaim",
                "/spec/volumeClaimTemplates/0/spec/volumeMode": "Filesystem",
                "/spec/volumeClaimTemplates/0/status": {"phase": "Pending"},
            },
            {},
        ),
        "cronjob": (
            CRONJOB,
            {"/spec/suspend": False, "/spec/concurrencyPolicy": "Allow", "/spec/successfulJobsHistoryLimit": 3},
            {},
        ),
        "suspend-said": (CRONJOB, {}, {"/spec/suspend": False}),
        "suspended": (CRONJOB, {"/spec/suspend": True}, {"/spec/suspend": False}),
        "probe": (
            DEPLOYMENT,
            {C0 + "/readinessProbe/timeoutSeconds": 1, C0 + "/readinessProbe/httpGet/scheme": "HTTP"},
            {},
        ),
        "probe-otherwise-unowned": (DEPLOYMENT, {C0 + "/readinessProbe/timeoutSeconds": 9}, {}),
    },
    "quantities": {
        f"{live}-{desired}".replace("/", "-"): (
            DEPLOYMENT,
            {C0 + "/resources/limits/" + what: live},
            {C0 + "/resources/limits/" + what: desired},
        )
        for what, live, desired in [
            ("cpu", "1", "1000m"),
            ("cpu", "1", 1),
            ("cpu", "500m", "0.5"),
            ("cpu", "500m", 0.5),
            ("cpu", "1", "1.0"),
            ("cpu", "1", "2"),
            ("cpu", "100m", "0.1"),
            ("cpu", "1500m", "1.5"),
            ("cpu", "1k", "1000"),
            ("cpu", "1k", "1e3"),
            ("memory", "1Gi", "1073741824"),
            ("memory", "1Gi", "1024Mi"),
            ("memory", "1G", "1e9"),
            ("memory", "1G", "1000M"),
            ("memory", "1Gi", "1G"),
            ("memory", "128Mi", 134217728),
            ("memory", "1Ki", "1024"),
            ("memory", "1E3", "1k"),
            ("cpu", "0", "0m"),
            ("cpu", "1", "+1"),
            ("cpu", "1", "01"),
        ]
    }
    | {
        "quota": (QUOTA, {}, {"/spec/hard": {"cpu": 4, "memory": "8192Mi", "pods": 10}}),
        "hpa-average": (HPA, {}, {"/spec/metrics/0/resource/target/averageValue": 0.5}),
        "claim": (STATEFULSET, {}, {"/spec/volumeClaimTemplates/0/spec/resources/requests/storage": "1024Mi"}),
        "size-limit": (
            DEPLOYMENT,
            {POD + "/volumes/0/emptyDir/sizeLimit": "1Gi"},
            {POD + "/volumes/0/emptyDir/sizeLimit": "1024Mi"},
        ),
        "int-or-string": (PDB, {"/spec/minAvailable": 1}, {"/spec/minAvailable": "1"}),
        "percent": (PDB, {"/spec/minAvailable": "50%"}, {"/spec/minAvailable": "51%"}),
        "env-value-text": (DEPLOYMENT, {C0 + "/env/0/value": "1000m"}, {C0 + "/env/0/value": "1"}),
        "integer-as-float": (DEPLOYMENT, {"/spec/replicas": 2}, {"/spec/replicas": 2.0}),
    },
    "lists": {
        "env-reordered": (DEPLOYMENT, {C0 + "/env": [{"name": "B", "value": "2"}, {"name": "A", "value": "1"}]}, {}),
        "env-extra-foreign-end": (DEPLOYMENT, {C0 + "/env/2": {"name": "X", "value": "9"}}, {}),
        "env-extra-foreign-start": (
            DEPLOYMENT,
            {C0 + "/env": [{"name": "X", "value": "9"}, {"name": "A", "value": "1"}, {"name": "B", "value": "2"}]},
            {},
        ),
        "env-missing": (DEPLOYMENT, {C0 + "/env/1": GONE}, {}),
        "env-first-missing": (DEPLOYMENT, {C0 + "/env/0": GONE}, {}),
        "env-changed": (DEPLOYMENT, {C0 + "/env/1/value": "3"}, {}),
        "env-given-up": (DEPLOYMENT, {}, {C0 + "/env/1": GONE}),
        "env-first-given-up": (DEPLOYMENT, {}, {C0 + "/env/0": GONE}),
        "sidecar-injected": (DEPLOYMENT, {POD + "/containers/2": {"name": "istio", "image": "i:1"}}, {}),
        "container-missing": (DEPLOYMENT, {POD + "/containers/1": GONE}, {}),
        "containers-reordered": (
            DEPLOYMENT,
            {POD + "/containers": list(reversed(DEPLOYMENT["spec"]["template"]["spec"]["containers"]))},
            {},
        ),
        "port-added": (SERVICE, {"/spec/ports/2": {"port": 9000, "name": "x", "protocol": "TCP"}}, {}),
        "port-changed": (SERVICE, {"/spec/ports/0/port": 81}, {}),
        "ports-udp-beside-tcp": (SERVICE, {}, {"/spec/ports/2": {"port": 80, "name": "u", "protocol": "UDP"}}),
        "args-changed": (DEPLOYMENT, {C0 + "/args": ["--a", "--c"]}, {}),
        "args-reordered": (DEPLOYMENT, {C0 + "/args": ["--b", "--a"]}, {}),
        "args-extra": (DEPLOYMENT, {C0 + "/args": ["--a", "--b", "--c"]}, {}),
        "args-fewer": (DEPLOYMENT, {C0 + "/args": ["--a"]}, {}),
        "toleration-extra": (DEPLOYMENT, {POD + "/tolerations/1": {"key": "x", "operator": "Exists"}}, {}),
        "node-selector-extra": (DEPLOYMENT, {POD + "/nodeSelector/zone": "a"}, {}),
        "mount-changed": (
            DEPLOYMENT,
            {C0 + "/volumeMounts/0/readOnly": True},
            {C0 + "/volumeMounts/0/readOnly": False},
        ),
        "rules-verbs": (CLUSTERROLE, {"/rules/0/verbs/2": "delete"}, {}),
        "rules-extra": (CLUSTERROLE, {"/rules/1": {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}}, {}),
        "ingress-path": (INGRESS, {"/spec/rules/0/http/paths/0/path": "/x"}, {}),
        "metrics-changed": (HPA, {"/spec/metrics/0/resource/target/averageValue": "600m"}, {}),
        "claim-annotated": (STATEFULSET, {"/spec/volumeClaimTemplates/0/metadata/labels": {"a": "b"}}, {}),
        "selector-extra": (PDB, {"/spec/selector/matchLabels/x": "y"}, {}),
    },
    "nothing": {
        "null-and-absent": (DEPLOYMENT, {}, {POD + "/affinity": None}),
        "null-over-unowned": (DEPLOYMENT, {POD + "/priorityClassName": "high"}, {POD + "/priorityClassName": None}),
        "empty-map-and-absent": (DEPLOYMENT, {}, {C0 + "/resources/claims": [], POD + "/initContainers": []}),
        "empty-annotations": (CONFIGMAP, {}, {"/metadata/annotations": {}}),
        "null-annotations": (CONFIGMAP, {}, {"/metadata/annotations": None}),
        "empty-security-context": (DEPLOYMENT, {}, {C0 + "/securityContext": {}}),
        "empty-pod-security-context": (DEPLOYMENT, {}, {POD + "/securityContext": {}}),
        "empty-resources": (DEPLOYMENT, {}, {POD + "/containers/1/resources": {}}),
        "empty-data": (CONFIGMAP, {"/data": GONE}, {"/data": {}}),
        "empty-value": (CONFIGMAP, {}, {"/data/c": ""}),
        "rules-null": (CLUSTERROLE, {"/rules": None}, {"/rules": []}),
        "creation-timestamp": (
            DEPLOYMENT,
            SERVER_FILLED,
            {"/metadata/creationTimestamp": None, POD.removesuffix("/spec") + "/metadata/creationTimestamp": None},
        ),
        "args-emptied": (DEPLOYMENT, {}, {C0 + "/args": []}),
        "selector-empty": (NETWORKPOLICY, {}, {"/spec/podSelector": {}}),
    },
    "custom-resources": {
        "same": (WIDGET, {}, {}),
        "changed": (WIDGET, {"/spec/size": 4}, {}),
        "defaulted": (WIDGET, {"/spec/color": "red"}, {}),
        "missing": (WIDGET, {"/spec/opt": GONE}, {}),
        "list-item-changed": (WIDGET, {"/spec/parts/0/n": 2}, {}),
        "list-longer": (WIDGET, {"/spec/names/2": "c"}, {}),
        "list-reordered": (WIDGET, {"/spec/names": ["b", "a"]}, {}),
        "empty-map-desired": (WIDGET, {}, {"/spec/more": {}}),
        "empty-list-desired": (WIDGET, {}, {"/spec/more": []}),
        "empty-map-live": (WIDGET, {"/spec/more": {}}, {}),
        "null-desired": (WIDGET, {}, {"/spec/more": None}),
        "number-as-float": (WIDGET, {}, {"/spec/size": 3.0}),
        "number-as-text": (WIDGET, {}, {"/spec/size": "3"}),
        "quantity-text": (WIDGET, {"/spec/cpu": "1"}, {"/spec/cpu": "1000m"}),
        "release-values": (RELEASE, {"/spec/values/n": 2}, {}),
        "release-status": (RELEASE, {"/status": {"observedGeneration": 1}}, {}),
        "release-suspended": (RELEASE, {"/spec/suspend": True}, {}),
        "given-up": (WIDGET, {}, {"/spec/opt": GONE}),
    },
    "durations": {
        "spelled-otherwise": (RELEASE, {"/spec/interval": "10m0s"}, {}),
        "other": (RELEASE, {"/spec/interval": "11m0s"}, {}),
        "unknown-field": (WIDGET, {"/spec/every": "60s"}, {"/spec/every": "1m"}),
    },
    "secrets": {
        "same": (SECRET, {}, {}),
        "string-data": (SECRET, {}, {"/data": GONE, "/stringData": {"a": "a", "b": "b"}}),
        "string-data-wins": (SECRET, {}, {"/stringData": {"a": "z"}}),
        "changed": (SECRET, {"/data/a": "eg=="}, {}),
        "extra-key": (SECRET, {"/data/c": "eg=="}, {}),
        "missing-key": (SECRET, {"/data/b": GONE}, {}),
        "null-value": (SECRET, {"/data/c": ""}, {"/data/c": None}),
        "line-end": (SECRET, {}, {"/data/a": "YQ==\n"}),
        "type-default": (SECRET, {}, {"/type": GONE}),
        "given-up": (SECRET, {}, {"/data/b": GONE}),
    },
    "metadata": {
        "label-changed": (DEPLOYMENT, {"/metadata/labels/app": "x"}, {}),
        "label-missing": (DEPLOYMENT, {"/metadata/labels": GONE}, {}),
        "label-foreign": (DEPLOYMENT, {"/metadata/labels/team": "x"}, {}),
        "label-given-up": (DEPLOYMENT, {}, {"/metadata/labels/app": GONE}),
        "annotation-given-up": (DEPLOYMENT, {}, {"/metadata/annotations": GONE}),
        "annotation-with-slash": (DEPLOYMENT, {}, {"/metadata/annotations/a~1b": "c"}),
        "namespace-unsaid": (CONFIGMAP, {}, {"/metadata/namespace": GONE}),
        "finalizer-foreign": (CONFIGMAP, {"/metadata/finalizers": ["x/y"]}, {}),
        "last-applied-foreign": (
            CONFIGMAP,
            {"/metadata/annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"}},
            {},
        ),
        "status": (DEPLOYMENT, {"/status": {"replicas": 1}}, {"/status": {"replicas": 0}}),
    },
    "given-up": {
        "replicas-back-to-default": (DEPLOYMENT, {"/spec/replicas": 1}, {"/spec/replicas": GONE}),
        "replicas": (DEPLOYMENT, {"/spec/replicas": 5}, {"/spec/replicas": GONE}),
        "limits": (DEPLOYMENT, {}, {C0 + "/resources/limits": GONE}),
        "cpu-limit": (DEPLOYMENT, {}, {C0 + "/resources/limits/cpu": GONE}),
        "probe": (DEPLOYMENT, {C0 + "/readinessProbe/timeoutSeconds": 1}, {C0 + "/readinessProbe": GONE}),
        "probe-path": (DEPLOYMENT, {}, {C0 + "/readinessProbe/httpGet/path": GONE}),
        "args": (DEPLOYMENT, {}, {C0 + "/args": GONE}),
        "volume": (DEPLOYMENT, {}, {POD + "/volumes/0": GONE, C0 + "/volumeMounts/0": GONE}),
        "node-selector": (DEPLOYMENT, {}, {POD + "/nodeSelector": GONE}),
        "container": (DEPLOYMENT, {}, {POD + "/containers/1": GONE}),
        "data-key": (CONFIGMAP, {}, {"/data/b": GONE}),
        "data": (CONFIGMAP, {}, {"/data": GONE}),
        "target-port": (SERVICE, {}, {"/spec/ports/1/targetPort": GONE}),
        "pull-policy-by-digest": (
            put(DEPLOYMENT, {C0 + "/image": "x@sha256:ab", C0 + "/imagePullPolicy": "Always"}),
            {},
            {C0 + "/imagePullPolicy": GONE},
        ),
        "pull-policy-without-tag": (
            put(DEPLOYMENT, {C0 + "/image": "host:5000/x", C0 + "/imagePullPolicy": "Always"}),
            {},
            {C0 + "/imagePullPolicy": GONE},
        ),
        "strategy": (put(DEPLOYMENT, {"/spec/strategy": {"type": "Recreate"}}), {}, {"/spec/strategy": GONE}),
        "rolling-update": (
            put(DEPLOYMENT, {"/spec/strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}),
            {},
            {"/spec/strategy/rollingUpdate": GONE},
        ),
        "rolling-update-to-recreate": (
            put(DEPLOYMENT, {"/spec/strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}),
            {},
            {"/spec/strategy": {"type": "Recreate"}},
        ),
        "empty-dir": (
            put(DEPLOYMENT, {POD + "/volumes/0/emptyDir": {"medium": "Memory"}}),
            {},
            {POD + "/volumes/0/emptyDir": GONE},
        ),
        "volume-source": (
            DEPLOYMENT,
            {},
            {POD + "/volumes/0": {"name": "tmp", "configMap": {"name": "x"}}},
        ),
        "requests-back-to-limits": (DEPLOYMENT, {}, {C0 + "/resources/requests": GONE}),
        "completions": (JOB, {}, {"/spec/completions": GONE}),
        "completions-beside-parallelism": (put(JOB, {"/spec/parallelism": 2}), {}, {"/spec/completions": GONE}),
        "policy-types": (
            put(NETWORKPOLICY, {"/spec/egress": [{}], "/spec/policyTypes": ["Ingress"]}),
            {},
            {"/spec/policyTypes": GONE},
        ),
        "pod-selector": (NETWORKPOLICY, {}, {"/spec/podSelector": GONE}),
        "template-labels": (DEPLOYMENT, {}, {"/spec/template/metadata": GONE}),
        "not-live-either": (CONFIGMAP, {"/data/b": GONE}, {"/data/b": GONE}),
    },
    "changed": {
        "image": (DEPLOYMENT, {C0 + "/image": "x:2"}, {}),
        "replicas": (DEPLOYMENT, {"/spec/replicas": 7}, {}),
        "limit": (DEPLOYMENT, {C0 + "/resources/limits/cpu": "2"}, {}),
        "limit-missing": (DEPLOYMENT, {C0 + "/resources/limits": GONE}, {}),
        "host-network": (DEPLOYMENT, {POD + "/hostNetwork": True}, {POD + "/hostNetwork": False}),
        "data": (CONFIGMAP, {"/data/a": "2"}, {}),
        "volume-source": (DEPLOYMENT, {POD + "/volumes/1/configMap/name": "other"}, {}),
        "service-port-name": (SERVICE, {"/spec/ports/0/name": "web"}, {}),
    },
    "aggregated-roles": {
        "rules-filled": (AGGREGATED, {"/rules": CLUSTERROLE["rules"]}, {}),
        "rules-said-empty": (AGGREGATED, {"/rules": CLUSTERROLE["rules"]}, {"/rules": []}),
        "rules-said": (
            AGGREGATED,
            {"/rules": CLUSTERROLE["rules"]},
            {"/rules": [{"apiGroups": [""], "resources": ["x"], "verbs": ["get"]}]},
        ),
    },
    "opt-outs": {
        "reconcile-disabled-live": (
            CONFIGMAP,
            {"/data/a": "2", "/metadata/annotations": {"kustomize.toolkit.fluxcd.io/reconcile": "disabled"}},
            {},
        ),
        "ssa-ignore": (
            CONFIGMAP,
            {"/data/a": "2"},
            {"/metadata/annotations": {"kustomize.toolkit.fluxcd.io/ssa": "Ignore"}},
        ),
        "ssa-if-not-present": (
            CONFIGMAP,
            {"/data/a": "2", "/metadata/uid": "u"},
            {"/metadata/annotations": {"kustomize.toolkit.fluxcd.io/ssa": "IfNotPresent"}},
        ),
        "ssa-merge": (
            CONFIGMAP,
            {"/data/a": "2", "/metadata/annotations": {"kustomize.toolkit.fluxcd.io/ssa": "Merge"}},
            {"/metadata/annotations": {"kustomize.toolkit.fluxcd.io/ssa": "Merge"}},
        ),
    },
}


def shared(base: dict[str, Any], live: dict[str, Any], *more: dict[str, Any]) -> dict[str, Any]:
    return owned(live, entry(FLUX, base), *more)


def cases() -> list[dict[str, Any]]:
    """Every case as the judge reads it, with its category before the slash of its id."""
    found = []
    for category, edits in EDITS.items():
        for name, (base, live_edits, desired_edits) in edits.items():
            live, desired = put(base, live_edits), put(base, desired_edits)
            found.append(
                {
                    "id": f"{category}/{name}",
                    "live": shared(base, live),
                    "desired": desired,
                    "options": {"manager": FLUX},
                }
            )
            if category != "given-up":
                found.append({"id": f"{category}/{name}/unowned", "live": live, "desired": desired})
    return found + _others() + _ignored() + predicted()


def _others() -> list[dict[str, Any]]:
    scaled = put(DEPLOYMENT, {"/spec/replicas": 5})
    scale = {"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": 5}}
    env = put(DEPLOYMENT, {C0 + "/env/2": {"name": "X", "value": "9"}})
    args = {"spec": {"template": {"spec": {"containers": [{"name": "web", "args": ["--a"]}]}}}}
    scalars = entry("someone", {"apiVersion": "apps/v1", "kind": "Deployment", **args})
    rows = {
        "co-owned-list": (shared(DEPLOYMENT, DEPLOYMENT, scalars), put(DEPLOYMENT, {C0 + "/args": GONE})),
        "co-owned-keyed-list": (shared(DEPLOYMENT, DEPLOYMENT, scalars), put(DEPLOYMENT, {POD + "/containers": GONE})),
        "co-owned-given-up": (
            shared(DEPLOYMENT, scaled, entry("kubectl", scale, "Update")),
            put(DEPLOYMENT, {"/spec/replicas": GONE}),
        ),
        "taken-over": (
            owned(scaled, entry(FLUX, put(DEPLOYMENT, {"/spec/replicas": GONE})), entry("kubectl", scale, "Update")),
            DEPLOYMENT,
        ),
        "foreign-addition": (shared(DEPLOYMENT, env), DEPLOYMENT),
        "owner-as-update": (
            owned(DEPLOYMENT, entry(FLUX, DEPLOYMENT, "Update")),
            put(DEPLOYMENT, {"/spec/replicas": GONE, C0 + "/args": GONE}),
        ),
        "other-applier": (owned(DEPLOYMENT, entry("someone", DEPLOYMENT)), put(DEPLOYMENT, {C0 + "/args": GONE})),
        "co-owned-item": (
            shared(
                DEPLOYMENT,
                DEPLOYMENT,
                entry(
                    "someone",
                    {
                        "apiVersion": "apps/v1",
                        "kind": "Deployment",
                        "spec": {
                            "template": {
                                "spec": {"containers": [{"name": "web", "env": [{"name": "B", "value": "2"}]}]}
                            }
                        },
                    },
                ),
            ),
            put(DEPLOYMENT, {C0 + "/env/1": GONE}),
        ),
        "co-owned-part": (
            shared(
                DEPLOYMENT,
                DEPLOYMENT,
                entry(
                    "someone",
                    {
                        "apiVersion": "apps/v1",
                        "kind": "Deployment",
                        "spec": {
                            "template": {
                                "spec": {"containers": [{"name": "web", "resources": {"limits": {"cpu": "1"}}}]}
                            }
                        },
                    },
                ),
            ),
            put(DEPLOYMENT, {C0 + "/resources": GONE}),
        ),
    }
    return [
        {"id": f"managed-fields/{name}", "live": live, "desired": desired, "options": {"manager": FLUX}}
        for name, (live, desired) in rows.items()
    ]


def _ignored() -> list[dict[str, Any]]:
    rows: dict[str, tuple[dict[str, Any], dict[str, Any], list[str]]] = {
        "exact": (put(DEPLOYMENT, {"/spec/replicas": 5}), DEPLOYMENT, ["/spec/replicas"]),
        "subtree": (put(DEPLOYMENT, {C0 + "/image": "x"}), DEPLOYMENT, ["/spec/template"]),
        "other": (put(DEPLOYMENT, {C0 + "/image": "x"}), DEPLOYMENT, ["/spec/replicas"]),
        "prefix-of-name": (put(DEPLOYMENT, {"/spec/replicas": 5}), DEPLOYMENT, ["/spec/rep"]),
        "index": (put(DEPLOYMENT, {C0 + "/image": "x"}), DEPLOYMENT, [C0 + "/image"]),
        "other-index": (put(DEPLOYMENT, {C0 + "/image": "x"}), DEPLOYMENT, [POD + "/containers/1/image"]),
        "escaped": (DEPLOYMENT, put(DEPLOYMENT, {"/metadata/annotations/a~1b": "c"}), ["/metadata/annotations/a~1b"]),
        "root": (put(DEPLOYMENT, {"/spec/replicas": 5}), DEPLOYMENT, [""]),
        "one-of-two": (put(DEPLOYMENT, {"/spec/replicas": 5, C0 + "/image": "x"}), DEPLOYMENT, ["/spec/replicas"]),
        "absent-path": (put(DEPLOYMENT, {"/spec/replicas": 5}), DEPLOYMENT, ["/spec/nothing/here"]),
    }
    return [
        {
            "id": f"ignore/{name}",
            "live": shared(DEPLOYMENT, live),
            "desired": desired,
            "options": {"manager": FLUX, "ignore": rules},
        }
        for name, (live, desired, rules) in rows.items()
    ]


def predicted() -> list[dict[str, Any]]:
    """Cases with a dry run's answer, made up as an API server would have answered."""
    stamped = {"/metadata/resourceVersion": "43", "/metadata/generation": 4, "/metadata/uid": "u"}
    live = put(DEPLOYMENT, SERVER_FILLED)
    rows: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "same": (live, live),
        "stamps": (live, put(live, stamped)),
        "status": (live, put(live, {"/status": {"replicas": 3}})),
        "image": (live, put(live, {C0 + "/image": "x"})),
        "label-taken": (live, put(live, {"/metadata/labels": GONE})),
        "one-label-taken": (put(live, {"/metadata/labels/team": "x"}), live),
        "label-set": (live, put(live, {"/metadata/labels/team": "x"})),
        "env-appended": (live, put(live, {C0 + "/env/2": {"name": "X", "value": "9"}})),
        "env-first-taken": (live, put(live, {C0 + "/env/0": GONE})),
        "env-all-taken": (live, put(live, {C0 + "/env": GONE})),
        "finalizer": (live, put(live, {"/metadata/finalizers": ["a/b"]})),
        "secret": (SECRET, put(SECRET, {"/data/a": "eg=="})),
        "widget-empty": (WIDGET, put(WIDGET, {"/spec/more": {}})),
        "widget-type": (WIDGET, put(WIDGET, {"/spec/size": "3"})),
        "resources-empty": (live, put(live, {POD + "/containers/1/resources": {}})),
    }
    found = []
    for name, (one, other) in rows.items():
        for manager in (FLUX, "helm-controller", "argocd-controller"):
            answer = owned(other, entry(manager, other))
            case = {"id": f"predicted/{name}/{manager}", "live": shared(one, one), "desired": one}
            found.append({**case, "predicted_live": answer, "options": {"manager": manager}})
    return found
