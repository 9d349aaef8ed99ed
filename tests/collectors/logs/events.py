"""Events as each sender writes them, and the reader that the tests read them with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from abdrift.signals.logs import LogRow
from collectors.logs.events import EventsConfig, Origin, Reader
from collectors.receiving.clients import NotItsClusterError

if TYPE_CHECKING:
    from collectors.logs.events import Refused

OBSERVED_MS = 1_795_441_335_000
TIME_MS = 1_795_441_333_250
TIME = "2026-11-23T13:42:13.250Z"


def named(cluster: str | None) -> str:
    """Speak for every cluster that is named."""
    if cluster is None:
        raise NotItsClusterError("names none")
    return cluster


ORIGIN = Origin(named, OBSERVED_MS, "test")


def read(event: Any, **settings: Any) -> LogRow | Refused:
    return Reader(EventsConfig.model_validate(settings), "logs/test").read(event, ORIGIN)


def row(event: Any, **settings: Any) -> LogRow:
    found = read(event, **settings)
    assert isinstance(found, LogRow), found
    return found


FILEBEAT = {
    "@timestamp": TIME,
    "@metadata": {"beat": "filebeat", "type": "_doc", "version": "8.15.0"},
    "agent": {"type": "filebeat", "version": "8.15.0"},
    "orchestrator": {"cluster": {"name": "edge-0042"}},
    "kubernetes": {
        "namespace": "shop",
        "pod": {"name": "api-5d8f7c9b4-x2x7q"},
        "deployment": {"name": "api"},
        "replicaset": {"name": "api-5d8f7c9b4"},
        "container": {"name": "server"},
        "node": {"name": "node-1"},
    },
    "host": {"name": "node-1"},
    "log": {"level": "error", "offset": 712},
    "message": "payment failed",
}
ECS_DOTTED = {
    "@timestamp": TIME,
    "orchestrator.cluster.name": "edge-0042",
    "kubernetes.namespace": "shop",
    "kubernetes.pod.name": "api-5d8f7c9b4-x2x7q",
    "kubernetes.deployment.name": "api",
    "kubernetes.container.name": "server",
    "kubernetes.node.name": "node-1",
    "log.level": "ERROR",
    "message": "payment failed",
}
OPENTELEMETRY = {
    "timeUnixNano": "1795441333250000000",
    "severityNumber": 17,
    "severityText": "Error",
    "body": {"stringValue": "payment failed"},
    "attributes": {"log.file.path": "/var/log/x"},
    "resource": {
        "attributes": {
            "k8s.cluster.name": "edge-0042",
            "k8s.namespace.name": "shop",
            "k8s.pod.name": "api-5d8f7c9b4-x2x7q",
            "k8s.deployment.name": "api",
            "k8s.container.name": "server",
            "k8s.node.name": "node-1",
        }
    },
}
FLUENT_BIT = {
    "date": 1795441333.25,
    "log": "payment failed\n",
    "stream": "stderr",
    "level": "error",
    "cluster": "edge-0042",
    "kubernetes": {
        "pod_name": "api-5d8f7c9b4-x2x7q",
        "namespace_name": "shop",
        "container_name": "server",
        "host": "node-1",
        "labels": {"app.kubernetes.io/name": "api"},
    },
}
VECTOR = {
    "timestamp": TIME,
    "message": "payment failed",
    "source_type": "kubernetes_logs",
    "stream": "stderr",
    "level": "err",
    "cluster": "edge-0042",
    "kubernetes": {
        "pod_name": "api-5d8f7c9b4-x2x7q",
        "pod_namespace": "shop",
        "pod_owner": "ReplicaSet/api-5d8f7c9b4",
        "container_name": "server",
        "pod_node_name": "node-1",
    },
}
LOGSTASH = {
    "@timestamp": TIME,
    "@version": "1",
    "host": {"name": "node-1"},
    "cluster": {"name": "edge-0042"},
    "log": {"level": "E"},
    "message": "payment failed",
}
RSYSLOG = {
    "@timestamp": "2026-11-23T14:42:13.250+01:00",
    "host.name": "node-1",
    "log.syslog.severity.code": "3",
    "log.syslog.facility.name": "daemon",
    "process.name": "etcd",
    "cluster": "edge-0042",
    "message": "payment failed",
}
JOURNALD = {
    "__REALTIME_TIMESTAMP": "1795441333250000",
    "_HOSTNAME": "node-1",
    "PRIORITY": "3",
    "MESSAGE": "payment failed",
    "_SYSTEMD_UNIT": "kubelet.service",
    "cluster_name": "edge-0042",
}
