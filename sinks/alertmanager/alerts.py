"""An incident as Alertmanager's API takes alerts. Pure.

Source: Alertmanager's api/v2/openapi.yaml, `postableAlert`. An alert is known by its labels alone, so they hold what
stays the same as long as the cause does; what grows and shrinks is said in annotations, which may change.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from abdrift.facts.base import rfc3339
from abdrift.facts.incidents import CauseKind, Incident, IncidentState
from sinks.alertmanager.config import AlertmanagerConfig

ALERT_NAME = "AbdriftIncident"
MAX_LABEL_CHARS = 200
MAX_TEXT_CHARS = 2_000
_NAMED = 5
"""Members and sites named in the description; the others are counted."""

Key = tuple[tuple[str, str], ...]
"""An alert's labels in alphabetical order: what Alertmanager tells alerts apart by."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert, as long as its incident is open and a while longer."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at: datetime
    ended_at: datetime | None
    """None while it fires."""
    url: str | None

    @property
    def key(self) -> Key:
        """The labels by which it is known."""
        return tuple(sorted(self.labels.items()))

    def posted(self, until: datetime) -> dict[str, Any]:
        """Return it as the API takes it; one that fires is over at `until`, unless it is told again."""
        body: dict[str, Any] = {
            "labels": dict(self.labels),
            "annotations": dict(self.annotations),
            "startsAt": rfc3339(self.starts_at),
            "endsAt": rfc3339(self.ended_at or until),
        }
        return body | ({"generatorURL": self.url} if self.url else {})


def of(incident: Incident, config: AlertmanagerConfig) -> Alert:
    """Return the alert of an incident."""
    page = _filled(config.page_url, incident)
    return Alert(
        labels=dict(config.labels) | _labels(incident),
        annotations=_annotations(incident, _filled(config.runbook_url, incident), page),
        starts_at=incident.opened_at,
        ended_at=(incident.closed_at or incident.changed_at) if incident.state is IncidentState.CLOSED else None,
        url=page,
    )


def _labels(incident: Incident) -> dict[str, str]:
    cause = incident.cause
    labels = {
        "alertname": ALERT_NAME,
        "severity": incident.severity.value,
        "cause_kind": cause.kind.value,
        "cause": cause.name[:MAX_LABEL_CHARS],
    }
    match cause.kind:
        case CauseKind.GIT_REVISION:
            labels["revision"] = cause.name[:MAX_LABEL_CHARS]
        case CauseKind.SITE:
            labels["site"] = cause.name
        case CauseKind.NODE_POOL:
            labels["cluster"], _, labels["node_pool"] = cause.name.partition("/")
        case _:
            pass
    return labels


def _annotations(incident: Incident, runbook: str | None, page: str | None) -> dict[str, str]:
    cause, commit = incident.cause, incident.cause.commit
    said = {
        "summary": incident.title,
        "description": _description(incident),
        "incident_id": incident.incident_id,
        "clusters": str(incident.blast_radius.clusters),
        "source": cause.source,
        "author": commit.author if commit else None,
        "commit_message": commit.message if commit else None,
        "first_cluster": incident.first.cluster.name,
        "outcomes": _counted(incident.outcomes),
        "runbook_url": runbook,
        "page_url": page,
    }
    return {name: text[:MAX_TEXT_CHARS] for name, text in said.items() if text}


def _description(incident: Incident) -> str:
    radius, first = incident.blast_radius, incident.first
    lines = [
        f"{radius.clusters} clusters now, {radius.clusters_ever} in all; {_counted(radius.symptoms) or 'none lasts'}.",
        f"First seen on {first.cluster.name} at {rfc3339(first.since)}: {first.message}",
    ]
    if radius.clusters_by_site:
        lines.append(f"Sites: {_counted(radius.clusters_by_site)}.")
    lasting = [member.cluster.name for member in incident.members if member.until is None]
    names = list(dict.fromkeys(lasting))
    if names:
        others = radius.clusters - len(names[:_NAMED])
        lines.append(f"Clusters: {', '.join(names[:_NAMED])}{f' and {others} more' if others > 0 else ''}.")
    if incident.outcomes:
        lines.append(f"Commands: {_counted(incident.outcomes)}.")
    return "\n".join(lines)


def _counted(counts: Mapping[str, int]) -> str:
    named = [f"{count} {name}" for name, count in list(counts.items())[:_NAMED]]
    others = sum(list(counts.values())[_NAMED:])
    return ", ".join([*named, f"{others} others"] if others else named)


def _filled(template: str | None, incident: Incident) -> str | None:
    """Return a URL with its places filled."""
    if template is None:
        return None
    return template.format(
        incident_id=quote(incident.incident_id, safe=""),
        cause_kind=incident.cause.kind.value,
        cause=quote(incident.cause.name, safe=""),
    )
