"""Every field that documents have, with its type: what templates are made from, and what dashboards may name.

A type that a server may lack stands with the plain one that takes its place. Mappings are closed (`dynamic: false`):
what no field is declared for stays in the document and makes no field.
"""

from collections.abc import Mapping
from typing import Any, Final

from sinks.elasticsearch.documents.parts import PLACES

KEYWORD: Final = "keyword"
TEXT: Final = "text"
DATE: Final = "date"
LONG: Final = "long"
BOOLEAN: Final = "boolean"
FLATTENED: Final = "flattened"
CONSTANT: Final = "constant_keyword"
MATCH_ONLY: Final = "match_only_text"
KEPT: Final = "kept"
"""No type of Elasticsearch: an object that is kept as it is and not looked into."""

PLAIN: Final[Mapping[str, str]] = {CONSTANT: KEYWORD, MATCH_ONLY: TEXT}
"""Types that not every server has, and what takes their place."""

_IGNORE_ABOVE: Final = 1_024

_COMMON: Final[dict[str, str]] = {
    "@timestamp": DATE,
    "ecs.version": KEYWORD,
    "message": MATCH_ONLY,
    "event.module": KEYWORD,
    "event.dataset": KEYWORD,
    "event.provider": KEYWORD,
    "event.created": DATE,
    "event.start": DATE,
    "event.kind": KEYWORD,
    "event.reason": KEYWORD,
    "orchestrator.type": KEYWORD,
    "orchestrator.cluster.name": KEYWORD,
    "orchestrator.cluster.id": KEYWORD,
    "orchestrator.namespace": KEYWORD,
    "orchestrator.resource.type": KEYWORD,
    "orchestrator.resource.name": KEYWORD,
    "orchestrator.resource.id": KEYWORD,
    "related.hash": KEYWORD,
    "abdrift.type": KEYWORD,
    "abdrift.object": KEYWORD,
    "abdrift.git.revision": KEYWORD,
    **{f"abdrift.cluster.{kind}": KEYWORD for kind in PLACES},
}

FACTS: Final[dict[str, str]] = {
    **_COMMON,
    "event.id": KEYWORD,
    "event.action": KEYWORD,
    "event.category": KEYWORD,
    "event.type": KEYWORD,
    "event.outcome": KEYWORD,
    "event.end": DATE,
    "event.duration": LONG,
    "labels": FLATTENED,
    "orchestrator.api_version": KEYWORD,
    "orchestrator.cluster.version": KEYWORD,
    "related.user": KEYWORD,
    "user.name": KEYWORD,
    "abdrift.subject": KEYWORD,
    "abdrift.revision": LONG,
    "abdrift.open": BOOLEAN,
    "abdrift.reasons": KEYWORD,
    "abdrift.objects": LONG,
    "abdrift.open_findings": LONG,
    "abdrift.commands_in_flight": LONG,
    "abdrift.verdict": KEYWORD,
    "abdrift.policy": KEYWORD,
    "abdrift.fact": KEPT,
    "abdrift.owner.id": KEYWORD,
    "abdrift.owner.kind": KEYWORD,
    "abdrift.owner.namespace": KEYWORD,
    "abdrift.owner.name": KEYWORD,
    "abdrift.git.applied_revision": KEYWORD,
    "abdrift.git.source": KEYWORD,
    "abdrift.git.author": KEYWORD,
    "abdrift.git.message": KEYWORD,
    "abdrift.git.time": DATE,
    "abdrift.evidence.as_of": DATE,
    "abdrift.evidence.age_ms": LONG,
    "abdrift.evidence.complete": BOOLEAN,
    "abdrift.evidence.sources": KEYWORD,
    "abdrift.finding.id": KEYWORD,
    "abdrift.finding.kind": KEYWORD,
    "abdrift.finding.state": KEYWORD,
    "abdrift.finding.certainty": KEYWORD,
    "abdrift.finding.opened_at": DATE,
    "abdrift.finding.reconcile_corrects": KEYWORD,
    "abdrift.finding.contested": BOOLEAN,
    "abdrift.finding.held_until": DATE,
    "abdrift.finding.recurrences": LONG,
    "abdrift.finding.managers": KEYWORD,
    "abdrift.field.path": KEYWORD,
    "abdrift.field.op": KEYWORD,
    "abdrift.field.old": KEYWORD,
    "abdrift.field.new": KEYWORD,
    "abdrift.inventory.declared": BOOLEAN,
    "abdrift.inventory.first_seen": DATE,
    "abdrift.inventory.last_seen": DATE,
    "abdrift.health.resource": KEYWORD,
    "abdrift.health.scope": KEYWORD,
    "abdrift.health.name": KEYWORD,
    "abdrift.health.status": KEYWORD,
    "abdrift.health.score": "float",
    "abdrift.health.last_seen": DATE,
    "abdrift.health.members.healthy": LONG,
    "abdrift.health.members.degraded": LONG,
    "abdrift.health.members.failing": LONG,
    "abdrift.health.members.unknown": LONG,
    "abdrift.incident.id": KEYWORD,
    "abdrift.incident.state": KEYWORD,
    "abdrift.incident.severity": KEYWORD,
    "abdrift.incident.cause.kind": KEYWORD,
    "abdrift.incident.cause.name": KEYWORD,
    "abdrift.incident.clusters": LONG,
    "abdrift.incident.clusters_ever": LONG,
    "abdrift.incident.objects": LONG,
    "abdrift.incident.first.cluster": KEYWORD,
    "abdrift.incident.first.message": KEYWORD,
    "abdrift.incident.superseded_by": KEYWORD,
    "abdrift.approval.id": KEYWORD,
    "abdrift.approval.action": KEYWORD,
    "abdrift.approval.subject": KEYWORD,
    "abdrift.command.id": KEYWORD,
    "abdrift.command.verb": KEYWORD,
    "abdrift.command.attempt": LONG,
    "abdrift.command.fencing": LONG,
    "abdrift.command.expires_at": DATE,
    "abdrift.decision.id": KEYWORD,
    "abdrift.decision.result": KEYWORD,
    "abdrift.decision.retry_at": DATE,
    "abdrift.outcome.result": KEYWORD,
    "abdrift.outcome.patched_at": DATE,
    "abdrift.outcome.ready_at": DATE,
    "abdrift.outcome.corrected_at": DATE,
    "abdrift.outcome.carried_out_by": KEYWORD,
}

SIGNALS: Final[dict[str, str]] = {
    **_COMMON,
    "data_stream.type": CONSTANT,
    "data_stream.dataset": CONSTANT,
    "data_stream.namespace": CONSTANT,
    "event.code": KEYWORD,
    "log.level": KEYWORD,
    "host.name": KEYWORD,
    "related.hosts": KEYWORD,
    "container.name": KEYWORD,
    "service.name": KEYWORD,
    "abdrift.count": LONG,
    "abdrift.fields": FLATTENED,
}


def properties(fields: Mapping[str, str], types: frozenset[str]) -> dict[str, Any]:
    """Return the `properties` of a mapping.

    Args:
        fields: Types by a field's full name.
        types: Which of the types in `PLAIN` the server has.

    """
    found: dict[str, Any] = {}
    for name, kind in fields.items():
        *path, last = name.split(".")
        place = found
        for step in path:
            place = place.setdefault(step, {"properties": {}})["properties"]
        place[last] = _mapped(kind if kind in types else PLAIN.get(kind, kind))
    return found


def _mapped(kind: str) -> dict[str, Any]:
    if kind == KEPT:
        return {"type": "object", "enabled": False}
    if kind in (KEYWORD, FLATTENED):
        return {"type": kind, "ignore_above": _IGNORE_ABOVE}
    return {"type": kind}
