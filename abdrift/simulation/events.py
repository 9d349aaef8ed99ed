"""Kubernetes Events as client-go's recorder writes them: counted, combined, and lost to its rate limit.

Its correlator combines more than ten similar events within ten minutes, and lets each source say 25 things about an
object in a burst and one more every five minutes. So Events are hints, never proof, here as there.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from abdrift.simulation.apiserver import ApiServer, Options, Target
from abdrift.simulation.objects import Object, name_of, namespace_of
from abdrift.simulation.schedule import NANOSECONDS, Schedule

_BURST = 25.0
_REFILL_SECONDS = 300.0
_SIMILAR_LIMIT = 10
_SIMILAR_SECONDS = 600.0
_KEYS_LIMIT = 4_096


@dataclass(slots=True)
class _Similar:
    """Messages of one kind about one object."""

    since_ns: int
    messages: set[str] = field(default_factory=set)


class EventRecorder:
    """Writes Events to one cluster."""

    def __init__(self, api: ApiServer, schedule: Schedule, random_source: random.Random) -> None:
        self._api = api
        self._schedule = schedule
        self._random = random_source
        self._tokens: dict[tuple[str, str], tuple[float, int]] = {}
        self._similar: dict[tuple[str, ...], _Similar] = {}
        self._written: dict[tuple[str, ...], str] = {}
        self.lost = 0
        """Events the rate limit swallowed."""

    def record(
        self, about: Object, component: str, reason: str, message: str, annotations: Mapping[str, str] | None = None
    ) -> None:
        """Say something about an object; Warning when the reason is a failure."""
        kind = "Warning" if reason.endswith("Failed") or reason == "DriftDetected" else "Normal"
        subject = str(about["metadata"]["uid"])
        similar = self._note((component, subject, kind, reason), message)
        combined = len(similar.messages) > _SIMILAR_LIMIT
        identity = (component, subject, kind, reason, "" if combined else message)
        text = f"(combined from similar events): {message}" if combined else message
        if not self._allowed((component, subject)):
            self.lost += 1
            return
        name = self._written.get(identity)
        if name is not None and self._count(namespace_of(about), name, text):
            return
        if len(self._written) > _KEYS_LIMIT:
            self._written.clear()
        self._written[identity] = self._create(
            about, component, (kind, reason, text), None if combined else annotations
        )

    def _note(self, key: tuple[str, ...], message: str) -> _Similar:
        now_ns = self._schedule.now_ns()
        similar = self._similar.get(key)
        if similar is None or now_ns - similar.since_ns > _SIMILAR_SECONDS * NANOSECONDS:
            similar = self._similar[key] = _Similar(now_ns)
        if len(similar.messages) <= _SIMILAR_LIMIT:
            similar.messages.add(message)
        return similar

    def _allowed(self, key: tuple[str, str]) -> bool:
        now_ns = self._schedule.now_ns()
        tokens, last_ns = self._tokens.get(key, (_BURST, now_ns))
        tokens = min(_BURST, tokens + (now_ns - last_ns) / NANOSECONDS / _REFILL_SECONDS)
        allowed = tokens >= 1
        self._tokens[key] = (tokens - allowed, now_ns)
        return allowed

    def _count(self, namespace: str, name: str, message: str) -> bool:
        kind = self._api.kinds.named("Event")
        event = self._api.find(kind, namespace, name)
        if event is None:
            return False
        event |= {"count": event["count"] + 1, "lastTimestamp": self._api.time(), "message": message}
        self._api.replace(Target(kind, namespace, name), event, Options(event["source"]["component"]))
        return True

    def _create(
        self, about: Object, component: str, said: tuple[str, str, str], annotations: Mapping[str, str] | None
    ) -> str:
        namespace = namespace_of(about) or "default"
        kind, reason, message = said
        now = self._api.time()
        name = f"{name_of(about)}.{self._random.getrandbits(64):016x}"
        event: Object = {
            "metadata": {
                "name": name,
                "namespace": namespace,
                **({"annotations": dict(annotations)} if annotations else {}),
            },
            "involvedObject": {
                "kind": about["kind"],
                "namespace": namespace_of(about),
                "name": name_of(about),
                "uid": about["metadata"]["uid"],
                "apiVersion": about["apiVersion"],
                "resourceVersion": about["metadata"].get("resourceVersion", ""),
            },
            "reason": reason,
            "message": message,
            "source": {"component": component},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
            "type": kind,
            "eventTime": None,
            "reportingComponent": component,
            "reportingInstance": "",
        }
        self._api.create(self._api.kinds.named("Event"), namespace, event, Options(component))
        return name
