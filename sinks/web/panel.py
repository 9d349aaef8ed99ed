"""One cluster in full: how it is and why one thinks so, what is off course by field, and its line of time. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from abdrift.timeline import Story, Told
from abdrift.topics import FINDING, HEALTH, INVENTORY, VERDICT

ENTRIES_TOLD: Final = 200
FINDINGS_TOLD: Final = 100
_MEMBERS_OF_A_FINDING: Final = (
    *("finding_id", "revision", "state", "kind", "object", "owner", "certainty", "message", "fields", "fields_omitted"),
    *("managers", "times", "reconcile_corrects", "reconcile_corrects_reason", "contested", "held_until", "desired"),
    *("closed_because", "recurrences", "applied_revision"),
)
_MEMBERS_OF_A_VERDICT: Final = (
    *("owner", "verdict", "reasons", "objects", "proven", "unproven", "exempt", "open_findings", "ready", "suspended"),
    *("applied_revision", "artifact_revision"),
)


def panel(cluster: str, facts: Sequence[Told]) -> dict[str, Any]:
    """Return what a cluster's panel shows, as JSON values.

    Args:
        cluster: Its name.
        facts: About it and about the whole fleet, in the order in which Kafka took them.

    """
    mine = [told for told in facts if told.event.get("cluster") == cluster]
    story = Story(cluster)
    story.learn(facts)
    for told in facts:
        story.take(told)
    entries = story.entries()
    found = sorted(_of(mine, FINDING.name), key=_open_and_new_first)
    return {
        "name": cluster,
        "inventory": next(iter(_of(mine, INVENTORY.name)), None),
        "health": next((data for data in _of(mine, HEALTH.name) if data.get("scope") == "cluster"), None),
        "owners": [_only(data, _MEMBERS_OF_A_VERDICT) for data in _of(mine, VERDICT.name)],
        "findings": [_only(data, _MEMBERS_OF_A_FINDING) for data in found[:FINDINGS_TOLD]],
        "findings_omitted": max(0, len(found) - FINDINGS_TOLD),
        "timeline": [entry.facts() for entry in entries[-ENTRIES_TOLD:]][::-1],
        "timeline_omitted": max(0, len(entries) - ENTRIES_TOLD),
        "unreadable": story.unreadable,
    }


def _of(facts: Iterable[Told], fact_type: str) -> list[Mapping[str, Any]]:
    return [told.data for told in facts if told.event.get("type") == fact_type]


def _only(data: Mapping[str, Any], members: Iterable[str]) -> dict[str, Any]:
    return {name: data[name] for name in members if name in data}


def _open_and_new_first(finding: Mapping[str, Any]) -> tuple[bool, str]:
    times = finding.get("times") or {}
    moment = str(times.get("closed_at") or times.get("opened_at") or "")
    # RFC 3339 in UTC sorts as text; the newest first.
    return finding.get("state") != "open", "".join(chr(0x10FFFF - ord(letter)) for letter in moment)
