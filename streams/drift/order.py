"""When an object was written, against its owner's reconciles: by resourceVersion, whatever order rows came in.

All objects of a cluster are numbered by one counter, and a controller says Reconciling before it writes anything. So a
write falls into a reconcile exactly where its number does. Watches of different kinds are not ordered against each
other: an owner's row may be under way still. That all of them up to a write are there is known from a row of the owner
with a higher number, or from the agent, which reads the owner after the write and says what it found (`Op.READ`).

Source: resourceVersions are comparable numbers (KEP-5504); Flux 2.7 as watched on a real API server.
"""

from enum import Enum

import msgspec

from abdrift.signals.objects import ObjectRow, ReadDetail, decode_detail
from streams.drift import activity, references
from streams.drift.cells import OwnerCell, Reconcile

READ_PATIENCE_MS = 3_000
"""How long a write waits for word of its owner, where neither a row nor the agent gives it."""
_KEPT = 4
"""Reconciles remembered of an owner: rows come later than that only after a gap, which is told."""


class Moment(Enum):
    """When a write was made, as far as its owner is concerned."""

    IDLE = "idle"
    """Outside all reconciles: not by Flux, whatever it calls itself."""
    RUNNING = "running"
    """Within a reconcile that has not ended."""
    ENDED = "ended"
    """Within one that has."""
    UNKNOWN = "unknown"
    """The owner's rows up to the write may not all be there."""


def version_of(row: ObjectRow) -> int:
    """Return a row's resourceVersion; -1 where it is no number."""
    return int(row.resource_version) if row.resource_version.isdigit() else -1


def noted(before: OwnerCell, owner: OwnerCell, version: int, *, watched: bool) -> OwnerCell:
    """Return the owner with note taken of which reconciles its row at `version` begins and ends.

    What happened between the row before and a listed one nobody saw: Flux may have been at work. Of an end Flux tells
    in two writes of status, of which the second may move the mark.
    """
    mark = before.view.mark
    applying = owner.view.phase == "applying"
    known = list(before.reconciles)
    running = bool(known) and not known[-1].ended
    if not before.exists or (not watched and before.ref.uid != owner.ref.uid):
        known = [Reconcile(version, mark=owner.view.mark)] if applying else []
    elif running and not applying:
        known[-1] = msgspec.structs.replace(known[-1], ended=version)
    elif applying and not running:
        known.append(Reconcile(version if watched else before.version, mark=mark))
    elif not running and (not watched or owner.view.mark != mark):
        if known and known[-1].ended == before.version and known[-1].mark == mark:
            known[-1] = msgspec.structs.replace(known[-1], ended=version)
        else:
            known.append(Reconcile(before.version, version, mark))
    return msgspec.structs.replace(owner, version=version, reconciles=tuple(known[-_KEPT:]))


def read(row: ObjectRow, owner: OwnerCell) -> OwnerCell:
    """Return the owner with note taken of what the agent read.

    Raises:
        msgspec.DecodeError, msgspec.ValidationError: the detail is none.

    """
    told = decode_detail(row, ReadDetail)
    if told.as_of <= owner.read_as_of:
        return owner
    return msgspec.structs.replace(owner, read_as_of=told.as_of, read_version=version_of(row))


def moment(owner: OwnerCell, version: int, written_ms: int, now_ms: int) -> Moment:
    """Return when a write at `version` was made. `written_ms` is when its row came.

    A release's owner is believed to be at work while it has something new to do: its objects change before it says so.
    """
    if owner.ref.group == references.HELM_GROUP and activity.is_busy(owner, now_ms):
        return Moment.RUNNING
    if owner.view.deleting:
        return Moment.RUNNING
    found = _by_version(owner, version)
    if found is Moment.UNKNOWN and now_ms >= written_ms + READ_PATIENCE_MS:
        return Moment.RUNNING if activity.is_busy(owner, now_ms) else Moment.IDLE
    return found


def _by_version(owner: OwnerCell, version: int) -> Moment:
    if version < 0 or owner.version < 0:
        return Moment.UNKNOWN
    for reconcile in reversed(owner.reconciles):
        if reconcile.started < version:
            if not reconcile.ended:
                return Moment.RUNNING
            if version < reconcile.ended:
                return Moment.ENDED
            break
    if version < owner.version or (version <= owner.read_as_of and owner.read_version <= owner.version):
        return Moment.IDLE
    return Moment.UNKNOWN


def was_untouched(owner: OwnerCell, applied_ms: int | None) -> bool:
    """Whether Flux has not changed an object in the reconcile that runs, as its entry's time tells.

    Times have whole seconds: one within the second in which the reconcile began tells nothing.
    """
    return applied_ms is not None and owner.view.started_ms > 0 and applied_ms < owner.view.started_ms
