"""What one kind's watches show, put together: which objects there are, what changed, what is gone, how sure that is.

A kind is watched whole, or by up to two label selectors (Flux's), each a `View`. What an inventory names and no view
shows is fetched one by one. All of them meet in `KindWatch`, which keeps a fingerprint of each object and nothing else.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol

from abdrift.clock import ClockMs
from abdrift.signals.objects import LostDetail, Op, SyncDetail
from collectors import telemetry
from collectors.kubernetes.api import Api, ApiRefusedError, UnreachableError
from collectors.kubernetes.discovery import Served
from collectors.kubernetes.projection import Object, applied, fingerprint, project
from collectors.kubernetes.reflector import Sync
from collectors.kubernetes.reporter import Key, Reporter, Seen

WHOLE = ""
"""The selector of a view that shows all objects of its kind."""

_OVERFLOW = "too-many"


class Masks(Protocol):
    """Takes secret values out of an object; `abdrift.masking.Masker` does."""

    def mask(self, document: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the object masked; the same one where there is nothing to mask."""


@dataclass(slots=True)
class Budget:
    """How many objects an agent may remember, over all kinds."""

    max_objects: int
    used: int = 0

    def take(self) -> bool:
        """Take room for one; False where there is none."""
        if self.used >= self.max_objects:
            return False
        self.used += 1
        return True

    def give_back(self) -> None:
        """Return the room of one."""
        self.used -= 1


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all kinds of one agent share."""

    source: str
    api: Api
    reporter: Reporter
    masker: Masks
    clock: ClockMs
    budget: Budget
    lookups: asyncio.Semaphore
    on_object: Callable[[Served, Mapping[str, Any]], None]
    on_gone: Callable[[Served, Key], None]
    on_applied: Callable[[Served, Key, str], None]
    """Told, once it is reported, of an object that Flux may have written or deleted, and of the resourceVersion."""


class View:
    """One list-watch of a kind: the keys it shows. A `Handler` for a reflector."""

    def __init__(self, kind: "KindWatch", expected: frozenset[Key]) -> None:
        self.keys: set[Key] = set(expected)
        self.complete = False
        self._kind = kind
        self._first = not expected
        self._unseen: set[Key] = set()

    def list_begins(self) -> None:
        """Expect all that was shown before, and be sure of none of it until the list ends."""
        self.complete = False
        self._unseen = set(self.keys)

    async def listed(self, obj: Object) -> None:
        """Take an object of a list; after the first list only what was missed is reported."""
        key = key_of(obj)
        self.keys.add(key)
        self._unseen.discard(key)
        await self._kind.observe(obj, Op.LISTED if self._first else Op.ADDED)

    async def list_ends(self, sync: Sync) -> None:
        """Find out about what the list does not name any more, then say what is known."""
        for key in self._unseen:
            self.keys.discard(key)
            await self._kind.unshown(key, None)
        self._unseen = set()
        self._first = False
        self.complete = True
        await self._kind.view_completed(sync)

    async def changed(self, obj: Object) -> None:
        """Take an object of the watch."""
        self.keys.add(key_of(obj))
        await self._kind.observe(obj, Op.ADDED)

    async def removed(self, obj: Object) -> None:
        """Take an object that was deleted or left the selector."""
        key = key_of(obj)
        self.keys.discard(key)
        await self._kind.unshown(key, obj)

    async def lost(self, reason: str, message: str, since_ms: int) -> None:
        """Be sure of nothing in this kind any more."""
        self.complete = False
        await self._kind.view_lost(reason, message, since_ms)


class KindWatch:
    """All that is known of one kind."""

    def __init__(self, served: Served, around: Surroundings, seen: dict[Key, Seen] | None = None) -> None:
        self.served = served
        self.views: dict[str, View] = {}
        self.inventoried: frozenset[Key] = frozenset()
        self.settled = asyncio.Event()
        """Set once the kind was reported synced or lost."""
        self._around = around
        self._seen: dict[Key, Seen] = seen if seen is not None else {}
        self._handed_over = frozenset(self._seen)
        self._absent: set[Key] = set()
        self._syncs: list[Sync] = []
        self._lost_reason: str | None = None
        self._order = asyncio.Lock()

    @property
    def seen(self) -> dict[Key, Seen]:
        """What is remembered, to hand over to a successor that watches another version."""
        return self._seen

    @property
    def whole(self) -> bool:
        """Whether a view shows all objects of the kind."""
        return WHOLE in self.views

    def view(self, selector: str) -> View:
        """Add a view. What a predecessor handed over is expected in it, so that what is gone by now is noticed."""
        self.views[selector] = View(self, self._handed_over)
        return self.views[selector]

    def set_inventoried(self, keys: frozenset[Key]) -> bool:
        """Set what inventories name. Return whether that named anything new."""
        new = not keys <= self.inventoried
        self.inventoried = keys
        self._absent &= keys
        return new

    async def observe(self, obj: Object, op_if_new: Op) -> None:
        """Take an object as the API gave it; report it where it is new or changed.

        Raises:
            KeyError, TypeError, AttributeError: it is no Kubernetes object.

        """
        key = key_of(obj)
        resource = self.served.resource
        masked = self._around.masker.mask(project(obj, resource.group, resource.version, self.served.kind))
        metadata = masked["metadata"]
        now = Seen(str(metadata["uid"]), str(metadata["resourceVersion"]), fingerprint(masked), applied(masked))
        async with self._order:
            known = self._seen.get(key)
            op = await self._judge(key, now, op_if_new)
            if op is None:
                return
            self._seen[key] = now
            self._absent.discard(key)
            await self._around.reporter.object(op, self.served, masked)
        self._around.on_object(self.served, masked)
        if op is not Op.LISTED and now.applied and (known is None or known.applied != now.applied):
            self._around.on_applied(self.served, key, now.resource_version)

    async def _judge(self, key: Key, now: Seen, op_if_new: Op) -> Op | None:
        """Return what to report of a sight; None where it tells nothing new."""
        known = self._seen.get(key)
        if known is None:
            if self._around.budget.take():
                return op_if_new
            await self._overflow()
            return None
        if is_older(now.resource_version, known.resource_version):
            self._suppressed("stale")
            return None
        if known.uid != now.uid:
            await self._around.reporter.deleted(self.served, key, known)
            return op_if_new
        if known.digest == now.digest:
            self._seen[key] = now
            self._suppressed("unchanged")
            return None
        return Op.MODIFIED

    async def unshown(self, key: Key, obj: Object | None) -> None:
        """Find out about an object that a view shows no more: deleted, or only out of its selector."""
        if any(key in view.keys for view in self.views.values()):
            return
        if self.whole:
            await self._gone(key, obj)
        else:
            await self.look_up(key, obj)

    async def look_up(self, key: Key, left: Object | None = None) -> None:
        """Fetch one object that no view shows. What can't be fetched now is looked up again by `recheck`.

        `left` is the object as a view saw it last, if it was one that told.
        """
        known = self._seen.get(key)
        resource = self.served.resource
        try:
            async with self._around.lookups:
                found = await self._around.api.get(resource.path(key[0] or None, key[1]))
        except UnreachableError:
            return
        except ApiRefusedError as error:
            if error.status == HTTPStatus.NOT_FOUND and self._seen.get(key) is known:
                await self._gone(key, left)
            return
        await self.observe(found, Op.ADDED)
        if key not in self.inventoried and not any(key in view.keys for view in self.views.values()):
            # Nobody owns it any more, and nothing will tell of it again: what was said last stands.
            self._forget(key)

    async def recheck(self) -> None:
        """Look up all that is inventoried or remembered but not shown."""
        if self.whole or not self.views or not all(view.complete for view in self.views.values()):
            return
        shown = set().union(*(view.keys for view in self.views.values()))
        wanted = (self.inventoried | self._seen.keys()) - shown
        await asyncio.gather(*(self.look_up(key) for key in sorted(wanted)))

    async def view_completed(self, sync: Sync) -> None:
        """Report the kind as synced once each of its views is."""
        self._syncs.append(sync)
        if self._lost_reason == _OVERFLOW or not all(view.complete for view in self.views.values()):
            return
        await self.recheck()
        # Of several lists the one that began first bounds what is sure, and the longest gap what may be missing.
        gaps = [(each.gap_since_ms, each.gap_reason) for each in self._syncs if each.gap_since_ms is not None]
        gap_since_ms, gap_reason = min(gaps, default=(None, None))
        detail = SyncDetail(
            began_ms=min(each.began_ms for each in self._syncs),
            objects=len(self._seen),
            gap_since_ms=gap_since_ms,
            gap_reason=gap_reason,
            selector=" or ".join(sorted(self.views)),
        )
        self._syncs.clear()
        self._lost_reason = None
        await self._around.reporter.synced(self.served, detail)
        self.settled.set()

    async def view_lost(self, reason: str, message: str, since_ms: int) -> None:
        """Report once that the kind can't be seen."""
        self.settled.set()
        if self._lost_reason == reason:
            return
        self._lost_reason = reason
        detail = LostDetail(reason=reason, message=message, since_ms=since_ms)
        await self._around.reporter.lost(self.served.group_kind, self.served.resource.version, detail)

    async def _gone(self, key: Key, obj: Object | None) -> None:
        """Report a deletion, once; also of what an inventory names and was never there."""
        version = str(obj["metadata"].get("resourceVersion") or "") if obj is not None else ""
        async with self._order:
            known = self._seen.get(key)
            if known and is_older(version, known.resource_version):
                self._suppressed("stale")
                return
            if known is None and key in self._absent:
                return
            self._forget(key)
            if key in self.inventoried:
                self._absent.add(key)
            await self._around.reporter.deleted(self.served, key, known, version)
        self._around.on_gone(self.served, key)
        self._around.on_applied(self.served, key, version)

    def _forget(self, key: Key) -> None:
        if self._seen.pop(key, None):
            self._around.budget.give_back()

    async def _overflow(self) -> None:
        telemetry.DROPPED.labels(self._around.source, "too-many-objects").inc()
        message = f"the agent remembers at most {self._around.budget.max_objects} objects (max_objects)"
        await self.view_lost(_OVERFLOW, message, self._around.clock())

    def _suppressed(self, reason: str) -> None:
        telemetry.SUPPRESSED.labels(self._around.source, reason).inc()


def key_of(obj: Object) -> Key:
    """Return namespace and name.

    Raises:
        KeyError, TypeError: it has none.

    """
    metadata = obj["metadata"]
    return str(metadata.get("namespace") or ""), str(metadata["name"])


def is_older(version: str, than: str) -> bool:
    """Whether a resourceVersion is the older of two of one kind. Those that are no numbers can't be compared."""
    return version.isdigit() and than.isdigit() and int(version) < int(than)
