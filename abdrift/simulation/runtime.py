"""What controllers of one simulated cluster share: time, the API, Git, Events, and how a reconciler is queued."""

import math
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from abdrift.simulation.apiserver import ApiServer, Options, Target
from abdrift.simulation.events import EventRecorder
from abdrift.simulation.git import SimGit
from abdrift.simulation.kinds import Kind
from abdrift.simulation.objects import Object, annotations_of, clone, condition, name_of, namespace_of
from abdrift.simulation.schedule import Schedule, parse_duration_seconds
from abdrift.simulation.storage import Change, Key

REQUESTED_AT = "reconcile.fluxcd.io/requestedAt"
FORCE_AT = "reconcile.fluxcd.io/forceAt"
RESET_AT = "reconcile.fluxcd.io/resetAt"
FINALIZER = "finalizers.fluxcd.io"
_REQUEST_SECONDS = (0.004, 0.015)
"""How long one request of a controller to its API server takes."""


@dataclass(slots=True)
class Runtime:
    """One cluster's world, as its controllers see it."""

    api: ApiServer
    schedule: Schedule
    git: SimGit
    random: random.Random
    events: EventRecorder

    def kind(self, name: str) -> Kind:
        """Give a served kind by its name."""
        return self.api.kinds.named(name)


def set_condition(obj: Object, kind: str, status: str, reason: str, message: str, *, time: str) -> None:
    """Set a condition at the object's generation; its transition time moves only with its status."""
    conditions = obj["status"].setdefault("conditions", [])
    old = condition(obj, kind)
    new = {
        "lastTransitionTime": old["lastTransitionTime"] if old.get("status") == status else time,
        "message": message,
        "observedGeneration": obj["metadata"].get("generation", 1),
        "reason": reason,
        "status": status,
        "type": kind,
    }
    if old:
        conditions[conditions.index(old)] = new
    else:
        conditions.append(new)


def drop_conditions(obj: Object, kinds: Iterable[str]) -> None:
    """Remove conditions by type."""
    gone = frozenset(kinds)
    obj["status"]["conditions"] = [each for each in obj["status"].get("conditions", []) if each["type"] not in gone]


def _without_conditions(status: Object) -> Object:
    return {key: value for key, value in status.items() if key != "conditions"}


def _trigger(obj: Object) -> tuple[Any, ...]:
    """Tell what makes a Flux controller look at an object again."""
    notes = annotations_of(obj)
    metadata = obj["metadata"]
    asked = tuple(notes.get(each) for each in (REQUESTED_AT, FORCE_AT, RESET_AT))
    return (metadata["uid"], metadata.get("generation"), metadata.get("deletionTimestamp"), asked)


class Reconciler:
    """A controller of one kind: a queue of keys, one reconcile at a time for each, an interval between them."""

    kind_name = ""
    manager = ""
    status_manager = ""
    """Field manager of what it writes to its own objects: statuses and finalizers."""
    interval_of: Callable[[Object], str] = staticmethod(lambda obj: str(obj["spec"].get("interval", "10m")))

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.kind = runtime.kind(self.kind_name)
        self._busy: set[Key] = set()
        self._again: set[Key] = set()
        self._timers: dict[Key, int] = {}
        runtime.api.store.listen(self.observe)

    def observe(self, kind: Kind, change: Change) -> None:
        """Queue an object whose spec or request changed."""
        if kind is not self.kind or change.new is None:
            return
        if change.old is None or _trigger(change.old.value()) != _trigger(change.new.value()):
            self.enqueue(change.new.key)

    def enqueue(self, key: Key, delay_seconds: float = 0.02) -> None:
        """Reconcile soon; once more afterwards if one is under way."""
        if key in self._busy:
            self._again.add(key)
            return
        self._busy.add(key)
        self.runtime.schedule.after(delay_seconds, lambda: self._begin(key))

    def _begin(self, key: Key) -> None:
        obj = self.runtime.api.find(self.kind, *key)
        if obj is None:
            self._busy.discard(key)
            return
        self.begin(key, obj)

    def begin(self, key: Key, obj: Object) -> None:
        """Start a reconcile; must lead to `done`."""
        raise NotImplementedError

    def done(self, key: Key, after_seconds: float | None = None) -> None:
        """End a reconcile; the next comes after the object's interval, after what is given, or never if that is inf."""
        self._busy.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.enqueue(key)
        obj = self.runtime.api.find(self.kind, *key)
        if obj is None:
            self._timers.pop(key, None)
            return
        turn = self._timers[key] = self._timers.get(key, 0) + 1
        seconds = parse_duration_seconds(self.interval_of(obj)) if after_seconds is None else after_seconds
        if seconds == math.inf:
            return
        if turn == 1:
            # A fleet's clusters did not all start at once: spread their first turns.
            seconds *= self.runtime.random.uniform(0.5, 1.0)
        self.runtime.schedule.after(seconds, lambda: self._due(key, turn))

    def _due(self, key: Key, turn: int) -> None:
        if self._timers.get(key) == turn:
            self.enqueue(key)

    def time(self) -> str:
        """Now, as the cluster's clock has it."""
        return self.runtime.api.time()

    def write_status(self, obj: Object, then: Callable[[], None] | None = None) -> None:
        """Write a status as Flux's patch helper does, then go on: conditions first, the rest by a second request.

        So for a moment Ready=True stands beside the revision and the inventory of before. Nothing is written of what
        is as it was, nor once the object is gone.
        """
        status = clone(obj["status"])
        live = self._same_object(obj)
        old = (live.get("status") or {}) if live else {}
        if live is not None and status.get("conditions", []) != old.get("conditions", []):
            self._put_status(live, {**old, "conditions": status["conditions"]})
        if live is None or _without_conditions(status) == _without_conditions(old):
            if then:
                then()
            return
        seconds = self.runtime.random.uniform(*_REQUEST_SECONDS)
        self.runtime.schedule.after(seconds, lambda: self._write_rest(obj, status, then))

    def _write_rest(self, obj: Object, status: Object, then: Callable[[], None] | None) -> None:
        live = self._same_object(obj)
        if live is not None:
            found = (live.get("status") or {}).get("conditions")
            self._put_status(live, {**_without_conditions(status), **({"conditions": found} if found else {})})
        if then:
            then()

    def _same_object(self, obj: Object) -> Object | None:
        live = self.runtime.api.find(self.kind, namespace_of(obj), name_of(obj))
        return live if live is not None and live["metadata"]["uid"] == obj["metadata"]["uid"] else None

    def _put_status(self, live: Object, status: Object) -> None:
        target = Target(self.kind, namespace_of(live), name_of(live), "status")
        self.runtime.api.replace(target, {**live, "status": status}, Options(self.status_manager))

    def handle_request(self, obj: Object) -> None:
        """Note in the status that the request in the annotations was handled."""
        asked = annotations_of(obj).get(REQUESTED_AT)
        if asked:
            obj["status"]["lastHandledReconcileAt"] = asked

    def set_finalizer(self, obj: Object, *, present: bool) -> None:
        """Add or remove Flux's finalizer."""
        live = self.runtime.api.find(self.kind, namespace_of(obj), name_of(obj))
        if live is None:
            return
        finalizers = [each for each in live["metadata"].get("finalizers", []) if each != FINALIZER]
        live["metadata"]["finalizers"] = [*finalizers, FINALIZER] if present else finalizers or None
        target = Target(self.kind, namespace_of(obj), name_of(obj))
        self.runtime.api.replace(target, live, Options(self.status_manager))
