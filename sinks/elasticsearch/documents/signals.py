"""Rows of signals as documents: Kubernetes Events and log lines."""

import orjson

from abdrift.clock import to_datetime
from abdrift.facts.base import ClusterRef, rfc3339
from abdrift.signals.events import EventRow
from abdrift.signals.logs import LogRow
from sinks.elasticsearch.documents.parts import ECS_VERSION, Fields, cluster, commit_hash, distinct


def document(row: EventRow | LogRow, namespace: str, dataset: str) -> Fields:
    """Return a row's document for a data stream's namespace and dataset."""
    what = _event(row) if isinstance(row, EventRow) else _log(row)
    return {
        **cluster(ClusterRef(name=row.cluster)),
        "ecs.version": ECS_VERSION,
        "data_stream.type": "logs",
        "data_stream.dataset": dataset,
        "data_stream.namespace": namespace,
        "event.kind": "event",
        "event.module": "abdrift",
        "event.dataset": dataset,
        "event.created": _time(row.observed_ms),
        "orchestrator.namespace": row.namespace,
        **what,
    }


def _event(row: EventRow) -> Fields:
    return {
        "@timestamp": _time(row.last_ms),
        "event.code": row.reason,
        "event.reason": row.reason,
        "event.provider": row.component,
        "event.start": _time(row.first_ms),
        "log.level": row.type.lower(),
        "message": row.message or row.reason,
        "orchestrator.resource.type": row.object_kind,
        "orchestrator.resource.name": row.object_name,
        "orchestrator.resource.id": row.object_uid,
        "related.hash": commit_hash(row.revision),
        "abdrift.type": "event",
        "abdrift.object": "/".join(part for part in (row.object_kind, row.namespace, row.object_name) if part),
        "abdrift.git.revision": row.revision,
        "abdrift.count": row.count,
    }


def _log(row: LogRow) -> Fields:
    return {
        "@timestamp": _time(row.time_ms),
        "event.provider": row.sender,
        "log.level": row.severity,
        "message": row.message,
        "host.name": row.node,
        "related.hosts": distinct((row.node,)),
        "container.name": row.container,
        "service.name": row.workload,
        "orchestrator.resource.type": "Pod" if row.pod else row.workload_kind,
        "orchestrator.resource.name": row.pod or row.workload,
        "abdrift.type": "log",
        "abdrift.object": "/".join(part for part in (row.workload_kind, row.namespace, row.workload) if part),
        "abdrift.fields": _fields(row.fields),
    }


def _fields(text: str) -> Fields:
    """Return what else a sender told of a line; nothing where that is no JSON object."""
    try:
        found = orjson.loads(text) if text else {}
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _time(time_ms: int) -> str:
    return rfc3339(to_datetime(time_ms))
