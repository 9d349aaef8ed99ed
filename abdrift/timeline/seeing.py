"""What facts about the state of a cluster add to its line of time: Git, drift, evidence, health and incidents.

Each takes the story's memory and a fact, and returns what is new to tell.
"""

from collections.abc import Mapping
from typing import Any, Final

from abdrift.clock import parse_rfc3339_ms
from abdrift.observed import named
from abdrift.timeline.entries import Entry, Kind, Tone, one_line, short, time_ms, took
from abdrift.timeline.memory import Data, Memory, Told

_HEALTH_TONES: Final = {
    "healthy": Tone.GOOD,
    "degraded": Tone.WARNING,
    "failing": Tone.BAD,
    "unknown": Tone.WARNING,
}
_SCOPES: Final = frozenset({"cluster", "node", "gitops", "workload"})
"""Namespaces only count their workloads; sites, regions and the fleet are not of one cluster."""
_CLOSED_WELL: Final = frozenset({"corrected", "resolved", "adopted"})


def head(memory: Memory, url: str, ref: str, commit: Data, append_ms: int) -> list[Entry]:
    """Tell that a remote that the cluster follows has moved."""
    sources = (memory.inventory or {}).get("git_sources", ())
    if not any(source["url"] == url and source["ref"] == ref for source in sources):
        return []
    memory.know(commit)
    revision = commit["revision"]
    before, seen_ms = memory.heads.get((url, ref), ("", 0))
    memory.heads[url, ref] = (revision, append_ms)
    if before == revision:
        return []
    committed_ms = parse_rfc3339_ms(commit.get("time"))
    at_ms, details = append_ms, [one_line(url)]
    if committed_ms is not None and seen_ms <= committed_ms <= append_ms:
        at_ms = committed_ms  # an older commit was pushed after the remote was last seen elsewhere
    elif committed_ms is not None:
        details.append(f"committed {took(max(0, append_ms - committed_ms))} before it was seen")
    text = f"Git {'moved to' if before else 'is at'} {memory.revision(revision)}"
    return [Entry(at_ms, append_ms, Kind.GIT, "moved", Tone.NEWS, text, tuple(details))]


def verdict(memory: Memory, told: Told) -> list[Entry]:
    """Tell of revisions that an owner's source fetched and its controller applied, and of what is known no more."""
    data, before = told.data, memory.verdicts.get(told.subject)
    if before is not None and before["revision"] >= data["revision"]:
        return []
    memory.verdicts[told.subject] = data
    if before is None:
        return []
    at_ms, owner = time_ms(told.event, "time") or told.append_ms, named(data["owner"])
    entries = []
    for what, name in (("fetched", "artifact_revision"), ("applied", "applied_revision")):
        now, then = data.get(name), before.get(name)
        if now and now != then:
            verb = f"{owner} applied" if what == "applied" else f"the source of {owner} fetched"
            text = f"{verb} {memory.revision(now)}"
            details = (f"before: {short(then)}",) if then else ()
            entries.append(Entry(at_ms, told.append_ms, Kind.GIT, what, Tone.NEWS, text, details))
    if data["verdict"] != before["verdict"]:
        entries += _known(data, before, owner, (at_ms, told.append_ms))
    return entries


def _known(data: Data, before: Data, owner: str, times: tuple[int, int]) -> list[Entry]:
    if data["verdict"] == "unknown":
        why = ", ".join(data.get("reasons", ()))
        text = f"it is not known any more whether {owner} is on course{': ' + why if why else ''}"
        return [Entry(*times, Kind.EVIDENCE, "unknown", Tone.WARNING, text)]
    if data["verdict"] == "in-sync":
        text = f"all {data.get('objects', 0)} objects of {owner} are proven to be on course"
        return [Entry(*times, Kind.EVIDENCE, "in-sync", Tone.GOOD, text)]
    if before["verdict"] == "unknown":
        text = f"{owner} is known to be off course: {', '.join(data.get('reasons', ()))}"
        return [Entry(*times, Kind.EVIDENCE, "drifted", Tone.WARNING, text)]
    return []


def finding(memory: Memory, told: Told) -> list[Entry]:
    """Tell that something went off course, that this became other than it was, or that it is over."""
    data, before = told.data, memory.findings.get(told.subject)
    if before is not None and before["revision"] >= data["revision"]:
        return []
    memory.findings[told.subject] = data
    is_open = data["state"] == "open"
    entries = []
    if before is None:
        entries.append(_found(memory, told))
    elif is_open and _differs(before, data):
        at_ms = time_ms(told.event, "time") or told.append_ms
        entries.append(_drift(told, at_ms, "changed", Tone.WARNING, f"now: {_said(data)}"))
    if not is_open and (before is None or before["state"] == "open"):
        entries.append(_closed(told))
    return entries


def _found(memory: Memory, told: Told) -> Entry:
    data, times = told.data, told.data["times"]
    opened_ms = time_ms(times, "opened_at") or told.append_ms
    changed_ms = time_ms(times, "changed_at") if data["kind"] in ("changed", "deleted") else None
    details = []
    if changed_ms is not None and changed_ms < opened_ms:
        details.append(f"noticed {took(opened_ms - changed_ms)} later")
    if managers := ", ".join(data.get("managers", ())):
        details.append(f"by {managers}")
    if desired := data.get("desired"):
        details.append(f"should be at {memory.revision(desired['revision'])}")
    if data.get("recurrences"):
        details.append(f"came back {data['recurrences']} times after it was corrected")
    at_ms = opened_ms if changed_ms is None else min(changed_ms, opened_ms)
    return _drift(told, at_ms, "found", Tone.BAD, _said(data), details)


def _closed(told: Told) -> Entry:
    data, times = told.data, told.data["times"]
    because = data.get("closed_because") or "over"
    opened_ms, closed_ms = time_ms(times, "opened_at"), time_ms(times, "closed_at")
    lasted = f" after {took(closed_ms - opened_ms)}" if opened_ms is not None and closed_ms is not None else ""
    tone = Tone.GOOD if because in _CLOSED_WELL else Tone.NEWS
    text = f"{named(data['object'])}: {data['kind']} is over{lasted}: {because}"
    return _drift(told, closed_ms or told.append_ms, "closed", tone, text)


def _drift(told: Told, at_ms: int, what: str, tone: Tone, text: str, details: list[str] | None = None) -> Entry:
    fields = () if what == "closed" else tuple(told.data.get("fields", ()))
    ids = (told.subject,)
    return Entry(at_ms, told.append_ms, Kind.DRIFT, what, tone, text, tuple(details or ()), ids, fields=fields)


def _said(data: Data) -> str:
    about, message = named(data["object"]), one_line(data["message"])
    return message if message.startswith(about) else f"{about} {data['kind']}: {message}"


def _differs(before: Data, data: Data) -> bool:
    return any(before.get(name) != data.get(name) for name in ("fields", "message"))


def health(memory: Memory, told: Told) -> list[Entry]:
    """Tell of a new status of the cluster, a node, a GitOps object or a workload."""
    data, scope = told.data, told.data["scope"]
    status, before = data["status"], memory.health.get(told.subject)
    memory.health[told.subject] = status
    if scope not in _SCOPES or status == before:
        return []
    if before is None and status == "healthy" and scope != "cluster":
        return []  # it came into sight, and all is well
    about = f"cluster {memory.cluster}" if scope == "cluster" else _about(data)
    reasons = data.get("reasons", ())
    why = f": {one_line(reasons[0]['message'])}" if reasons else ""
    more = tuple(one_line(each["message"]) for each in reasons[1:])
    at_ms = time_ms(data, "since") or told.append_ms
    tone = _HEALTH_TONES.get(status, Tone.WARNING)
    entry = Entry(at_ms, told.append_ms, Kind.HEALTH, status, tone, f"{about} is {status}{why}", more)
    if scope == "cluster":
        memory.newest_health = entry
    return [entry]


def _about(data: Mapping[str, Any]) -> str:
    return named(data["object"]) if data.get("object") else f"{data['scope']} {data['name']}"


def inventory(memory: Memory, told: Told) -> list[Entry]:
    """Remember what the cluster is; nothing is told of it."""
    memory.inventory = told.data
    return []


def incident(memory: Memory, told: Told) -> list[Entry]:
    """Tell that the cluster became part of an incident, and how that ended."""
    newest = memory.incidents.get(told.subject, told.data)
    member = next((one for one in newest.get("members", ()) if one["cluster"]["name"] == memory.cluster), None)
    state, before = told.data["state"], memory.incidents_told.get(told.subject)
    if state == before or (member is None and not _is_concerned(memory, newest)):
        return []
    memory.incidents_told[told.subject] = state
    entries = []
    if before is None:
        since = [time_ms(newest, "opened_at"), time_ms(member or {}, "since")]
        at_ms = max((ms for ms in since if ms is not None), default=told.append_ms)
        details = [f"cause: {newest['cause']['kind']} {memory.revision(newest['cause']['name'])}"]
        if member:
            details.append(one_line(member["message"]))
        entries.append(_incident(memory, told, at_ms, "opened", Tone.BAD, one_line(newest["title"]), details))
    if state == "closed":
        at_ms = time_ms(told.data, "closed_at") or told.append_ms
        because = told.data.get("closed_because") or "over"
        text = f"incident over: {because} ({one_line(newest['title'])})"
        tone = Tone.GOOD if because == "recovered" else Tone.NEWS
        entries.append(_incident(memory, told, at_ms, "closed", tone, text, []))
    return entries


def _incident(memory: Memory, told: Told, at_ms: int, what: str, tone: Tone, text: str, details: list[str]) -> Entry:
    data = memory.incidents.get(told.subject, told.data)
    members = [one for one in data.get("members", ()) if one["cluster"]["name"] == memory.cluster]
    ids = tuple(each for one in members for each in one.get("finding_ids", ()))
    return Entry(
        at_ms,
        told.append_ms,
        Kind.INCIDENT,
        what,
        tone,
        text,
        tuple(details),
        ids,
        incident_id=told.subject,
    )


def _is_concerned(memory: Memory, data: Data) -> bool:
    """Whether the cluster belongs to an incident that has more members than it lists."""
    if not data.get("members_omitted"):
        return False
    wanted = [(found.get("desired") or {}).get("revision") for found in memory.findings.values()]
    return data["cause"]["kind"] == "git-revision" and data["cause"]["name"] in wanted
