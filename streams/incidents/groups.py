"""Members of causes: who joins, who leaves, and how many there are."""

from msgspec.structs import replace

from abdrift.facts.incidents import Symptom
from streams.incidents.cells import GroupCell, Mark, Place, ShardCell, SymptomCell, cluster_of, shard_key
from streams.incidents.work import Work

_GRAVEST_FIRST = (Symptom.FAILING, Symptom.SILENT, Symptom.NOT_READY, Symptom.BEHIND)


def join(work: Work, symptom_id: str, symptom: SymptomCell) -> None:
    """Count a symptom for every cause it may come of."""
    for number, place in enumerate(symptom.places):
        wider = symptom.places[number - 1].key if number else ""
        part = symptom.places[number + 1].key if number + 1 < len(symptom.places) else ""
        group = work.group(place.key) or GroupCell(place=place, wider=wider)
        key, shard = _shard(work, place, symptom)
        known = shard.marks.get(symptom.member)
        lasts = known is not None and bool(known.symptoms)
        others = _others_last(shard, symptom)
        ids = (*known.symptoms, symptom_id) if known and lasts else (symptom_id,)
        told_ms = known.told_ms if known else symptom.told_ms
        mark = _mark(work, ids, Mark(told_ms, 0, ids, symptom_id, symptom.symptom, part))
        work.put_shard(key, ShardCell(marks={**shard.marks, symptom.member: mark}))
        group = replace(group, members=group.members + (not lasts), clusters=group.clusters + (not (lasts or others)))
        work.put_group(group)


def leave(work: Work, symptom_id: str, symptom: SymptomCell, how: str) -> None:
    """Count a symptom no longer; `how` it ended is remembered of the last one."""
    for place in symptom.places:
        group = work.group(place.key)
        key, shard = _shard(work, place, symptom)
        known = shard.marks.get(symptom.member)
        assert group is not None, "a cause with a lasting symptom is kept"
        assert known is not None, "a lasting symptom is marked with each of its causes"
        ids = tuple(one for one in known.symptoms if one != symptom_id)
        if ids:
            marks = {**shard.marks, symptom.member: _mark(work, ids, replace(known, symptoms=ids))}
        elif group.incident:
            marks = {**shard.marks, symptom.member: replace(known, symptoms=(), until_ms=work.now_ms)}
        else:
            marks = {member: mark for member, mark in shard.marks.items() if member != symptom.member}
        work.put_shard(key, ShardCell(marks=marks))
        gone = not ids and not _others_last(shard, symptom)
        work.put_group(replace(group, members=group.members - (not ids), clusters=group.clusters - gone, left=how))


def forget_past(work: Work, cause: str) -> None:
    """Let go of the members that are over, when the incident that lists them has closed."""
    for key, shard in list(work.shards(cause)):
        work.put_shard(key, ShardCell(marks={name: mark for name, mark in shard.marks.items() if mark.symptoms}))


def _shard(work: Work, place: Place, symptom: SymptomCell) -> tuple[str, ShardCell]:
    key = shard_key(place.key, symptom.cluster)
    return key, work.get(key, ShardCell) or ShardCell()


def _others_last(shard: ShardCell, symptom: SymptomCell) -> bool:
    """Whether another member of the same cluster has a symptom."""
    return any(
        mark.symptoms and member != symptom.member and cluster_of(member) == symptom.cluster
        for member, mark in shard.marks.items()
    )


def _mark(work: Work, ids: tuple[str, ...], mark: Mark) -> Mark:
    """Return a member's mark, led by its gravest symptom; of equals the first."""
    known = [(one, cell.symptom) for one in ids if (cell := work.symptom(one)) is not None]
    lead, symptom = min(known, key=lambda pair: _GRAVEST_FIRST.index(Symptom(pair[1])))
    return replace(mark, lead=lead, symptom=symptom)
