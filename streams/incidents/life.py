"""An incident's life: it opens at the threshold, is told about once a second, closes, is forgotten a day later."""

from collections.abc import Sequence

from msgspec.structs import replace

from abdrift.clock import to_datetime
from abdrift.facts.incidents import IncidentState
from streams.incidents import groups, telling, thresholds
from streams.incidents.cells import GroupCell, IncidentNote, Place, TombsCell
from streams.incidents.work import Work
from streams.step import stable_id

MAX_OPEN = 200
"""Incidents open at once. So many causes at once are no causes to look at; more symptoms open them later."""
_INTERVAL_MS = 1_000
_MEMBERS_A_MS = 2
"""By so many members the interval grows by a millisecond: an incident of 10,000 is told every six seconds."""
_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS


def weigh(work: Work, places: Sequence[Place]) -> None:
    """See whether a symptom that just began makes the widest of its causes an incident."""
    for number, place in enumerate(places):
        group = work.group(place.key)
        assert group is not None, "a cause with a lasting symptom is kept"
        if group.incident:
            touch(work, place.key)
            _supersede(work, group, [one.key for one in places[number + 1 :]])
            return
        if group.wider in work.clock.open or not thresholds.is_reached(work, group):
            continue
        if len(work.clock.open) >= MAX_OPEN:
            work.passed_over["too-many-incidents"] += 1
            return
        _open(work, group)
        _supersede(work, group, [key for key in work.clock.open if _is_narrower(work, key, place.key)])
        return


def touch(work: Work, cause: str) -> None:
    """Have an incident told again, once its interval is over."""
    group = work.group(cause)
    if group is None or group.incident is None:
        return
    note = group.incident
    if group.members:
        note = replace(note, is_news=True, empty_ms=0)
    else:
        empty_ms = note.empty_ms or work.now_ms
        note = replace(note, is_news=True, empty_ms=empty_ms)
        work.wake(cause, empty_ms + _quiet_ms(work))
    work.put_group(replace(group, incident=note))
    work.wake(cause, note.published_ms + _interval_ms(group))


def tell_at_once(work: Work, cause: str) -> None:
    """Tell an incident before its interval is over: for what comes once, and people wait for."""
    group = work.group(cause)
    if group is not None and group.incident is not None:
        _tell(work, group)


def look(work: Work) -> None:
    """Do what is due, in the order of when it was due."""
    due = sorted((at_ms, key) for key, at_ms in work.clock.due_ms.items() if at_ms <= work.now_ms)
    for _, key in due:
        work.alter(due_ms={other: at_ms for other, at_ms in work.clock.due_ms.items() if other != key})
        if key.startswith("tombs/"):
            _forget(work, key)
        elif (group := work.group(key)) is not None and group.incident is not None:
            _look_at(work, group, group.incident)


def _look_at(work: Work, group: GroupCell, note: IncidentNote) -> None:
    if not group.members and work.now_ms >= note.empty_ms + _quiet_ms(work):
        _close(work, group, group.left)
        return
    if note.is_news and work.now_ms >= note.published_ms + _interval_ms(group):
        _tell(work, group)
    elif note.is_news:
        work.wake(group.place.key, note.published_ms + _interval_ms(group))
    if not group.members:
        work.wake(group.place.key, note.empty_ms + _quiet_ms(work))


def _open(work: Work, group: GroupCell) -> None:
    cause, place = work.cause, group.place
    incident_id = stable_id(place.key, cause.topic, str(cause.partition), str(cause.offset))
    first = telling.first(work, place.key).model_dump_json(exclude_none=True).encode()
    note = IncidentNote(incident_id=incident_id, opened_ms=work.now_ms, first=first)
    work.alter(open=(*work.clock.open, place.key))
    _tell(work, replace(group, incident=note))


def _tell(work: Work, group: GroupCell, **ending: object) -> None:
    note = group.incident
    assert note is not None, "only incidents are told"
    note = replace(note, revision=note.revision + 1, published_ms=work.now_ms, is_news=False)
    group = replace(group, incident=note)
    incident = telling.incident(work, group).model_copy(update=ending)
    work.put_group(replace(group, incident=replace(note, severity=incident.severity.value)))
    work.say(incident)


def _close(work: Work, group: GroupCell, because: str, superseded_by: str | None = None) -> None:
    """Close an incident: `because` is how its last symptom ended, or that a wider cause took it over."""
    note = group.incident
    assert note is not None, "only incidents close"
    at = to_datetime(work.now_ms)
    ending = {"state": IncidentState.CLOSED, "closed_at": at, "closed_because": because, "superseded_by": superseded_by}
    _tell(work, group, **ending)
    key = group.place.key
    work.alter(
        open=tuple(one for one in work.clock.open if one != key),
        due_ms={other: at_ms for other, at_ms in work.clock.due_ms.items() if other != key},
    )
    groups.forget_past(work, key)
    work.put_group(replace(group, incident=None, outcomes={}))
    hour = work.now_ms // _HOUR_MS
    tombs = work.get(f"tombs/{hour}", TombsCell) or TombsCell()
    work.put(f"tombs/{hour}", TombsCell(incident_ids=(*tombs.incident_ids, note.incident_id)))
    work.wake(f"tombs/{hour}", (hour + 1) * _HOUR_MS + _DAY_MS)


def _supersede(work: Work, wider: GroupCell, narrower: Sequence[str]) -> None:
    """Close the incidents of narrower causes: the wider one lists their members."""
    group = work.group(wider.place.key)
    assert group is not None, "it has an incident"
    assert group.incident is not None, "it has an incident"
    for key in narrower:
        narrow = work.group(key)
        if narrow is not None and narrow.incident is not None:
            _close(work, narrow, "superseded", group.incident.incident_id)


def _is_narrower(work: Work, key: str, cause: str) -> bool:
    group = work.group(key)
    return group is not None and group.wider == cause


def _forget(work: Work, key: str) -> None:
    tombs = work.get(key, TombsCell)
    for incident_id in tombs.incident_ids if tombs else ():
        work.forget(incident_id)
    work.drop(key)


def _interval_ms(group: GroupCell) -> int:
    return _INTERVAL_MS + group.members // _MEMBERS_A_MS


def _quiet_ms(work: Work) -> int:
    return round(work.thresholds.quiet_seconds * 1000)
