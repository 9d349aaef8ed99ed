"""One watch over the changes of a kind: which events a client sees, in which order, and when it is told 410."""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass

import orjson

from abdrift.simulation import errors
from abdrift.simulation.lists import Selection
from abdrift.simulation.storage import Change, Store
from abdrift.simulation.switches import Switches

INITIAL_EVENTS_END = {"k8s.io/initial-events-end": "true"}


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """How a watch was asked for."""

    version: int
    """Events after this version; 0 starts with the present state as ADDED events."""
    bookmarks: bool = False
    initial_events: bool = False
    timeout_seconds: float = 1_800.0
    bookmark_seconds: float = 10.0


def _event(kind: str, obj: bytes) -> bytes:
    return b'{"type":"' + kind.encode() + b'","object":' + obj + b"}\n"


def bookmark(selection: Selection, version: int, annotations: dict[str, str] | None = None) -> bytes:
    """Give a BOOKMARK event: everything up to `version` was sent."""
    metadata: dict[str, object] = {"resourceVersion": str(version), "creationTimestamp": None}
    if annotations:
        metadata["annotations"] = annotations
    kind = selection.kind
    return _event("BOOKMARK", orjson.dumps({"kind": kind.name, "apiVersion": kind.api_version, "metadata": metadata}))


def present_state(store: Store, selection: Selection) -> Iterator[bytes]:
    """Give aDDED events of all that is there."""
    for stored in store.all(selection.kind, selection.namespace):
        if selection.covers(stored):
            yield _event("ADDED", selection.text(stored.raw))


def event_of(selection: Selection, change: Change) -> bytes | None:
    """Give the event of one change within a selection: an object may enter or leave it by its labels."""
    was = change.old is not None and selection.covers(change.old)
    if change.new is None:
        return _event("DELETED", selection.text(change.gone)) if was else None
    now = selection.covers(change.new)
    if now:
        return _event("MODIFIED" if was else "ADDED", selection.text(change.new.raw))
    if was and change.old is not None:
        left = change.old.value()
        left["metadata"]["resourceVersion"] = str(change.version)
        return _event("DELETED", selection.text(orjson.dumps(left)))
    return None


def expired_event(version: int, oldest: int) -> bytes:
    """Give the ERROR event that ends a watch whose place in history is gone."""
    return _event("ERROR", orjson.dumps(errors.expired(version, oldest).status()))


async def watch(store: Store, selection: Selection, options: WatchOptions, switches: Switches) -> AsyncGenerator[bytes]:
    """Lines of a watch until its timeout, an ERROR event, or a switch that drops it."""
    shelf = store.shelf(selection.kind)
    waker = asyncio.Event()
    shelf.wakers.add(waker)
    epoch = switches.watch_epoch
    deadline = time.monotonic() + options.timeout_seconds
    try:
        version = options.version or store.version
        position = shelf.position_after(version)
        for line in _opening(store, selection, options, version):
            yield line
        while time.monotonic() < deadline and epoch == switches.watch_epoch:
            waker.clear()
            if not switches.silent:
                if position < shelf.dropped:
                    yield expired_event(version, store.oldest_version(selection.kind))
                    return
                batch = shelf.log[position - shelf.dropped :]
                position += len(batch)
                version = batch[-1].version if batch else version
                lines = b"".join(filter(None, (event_of(selection, each) for each in batch)))
                if lines:
                    yield lines
                    continue
            await _wait(waker, switches, min(options.bookmark_seconds, deadline - time.monotonic()))
            if options.bookmarks and not waker.is_set() and not switches.silent:
                yield bookmark(selection, store.version)
    finally:
        shelf.wakers.discard(waker)


def _opening(store: Store, selection: Selection, options: WatchOptions, version: int) -> Iterator[bytes]:
    if options.version == 0 or options.initial_events:
        yield from present_state(store, selection)
    if options.initial_events:
        yield bookmark(selection, version, INITIAL_EVENTS_END)


async def _wait(waker: asyncio.Event, switches: Switches, seconds: float) -> None:
    switches.wakers.add(waker)
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            await waker.wait()
    except TimeoutError:
        return
    finally:
        switches.wakers.discard(waker)
