"""Every fact that a panel may show, by the cluster that it is about; of what was commanded and decided, the newest."""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from abdrift.fleetstate import GOVERNOR, RECENT, wanted
from abdrift.latest import Change, Latest, decoded
from abdrift.timeline import Told
from abdrift.topics import FLEET_INCIDENTS

RECENT_KEPT: Final = 20_000
"""Commands, decisions and outcomes that are kept, of each: these topics hold weeks to a year of them."""

_RECENT: Final = frozenset(topic.name for topic in RECENT)

Place = tuple[str, str]
"""A topic's name and a key."""


@dataclass(slots=True)
class Archive:
    """Knows of each fact in `latest` whose it is. `recent_kept` bounds the topics that are not compacted."""

    recent_kept: int = RECENT_KEPT
    latest: Latest = field(default_factory=lambda: Latest(wanted=wanted))
    _cluster: dict[Place, str] = field(default_factory=dict)
    _places: dict[str, dict[Place, None]] = field(default_factory=dict)
    _recent: dict[str, OrderedDict[str, None]] = field(default_factory=dict)

    def take(self, change: Change) -> str | None:
        """Take a change in; return which cluster it is about, None where it is about none or about several."""
        place = change.topic, change.key
        if change.value is None:
            return self._drop(place)
        event = change.event() or {}
        cluster = event.get("cluster")
        if change.topic in _RECENT:
            newest = self._recent.setdefault(change.topic, OrderedDict())
            newest[change.key] = None
            newest.move_to_end(change.key)
        if not isinstance(cluster, str):
            return None
        self._cluster[place] = cluster
        self._places.setdefault(cluster, {})[place] = None
        return cluster

    def trim(self) -> Iterator[Place]:
        """Forget the oldest commands, decisions and outcomes beyond the bound; yield which."""
        for topic, newest in self._recent.items():
            while len(newest) > self.recent_kept:
                key, _ = newest.popitem(last=False)
                if key != GOVERNOR:
                    self.latest.values.get(topic, {}).pop(key, None)
                    self.latest.appended_ms.get(topic, {}).pop(key, None)
                    self._drop((topic, key))
                    yield topic, key

    def facts(self, cluster: str) -> list[Told]:
        """Return the facts about a cluster, and about the whole fleet, in the order in which Kafka took them."""
        everywhere = [(FLEET_INCIDENTS.name, key) for key in self.latest.values.get(FLEET_INCIDENTS.name, {})]
        everywhere += [(topic, GOVERNOR) for topic in _RECENT]
        found = []
        for topic, key in (*self._places.get(cluster, ()), *everywhere):
            event = decoded(self.latest.values.get(topic, {}).get(key))
            if event is not None and isinstance(event.get("data"), dict):
                found.append(Told(event, self.latest.appended_ms.get(topic, {}).get(key, 0)))
        return sorted(found, key=lambda told: told.append_ms)

    def _drop(self, place: Place) -> str | None:
        cluster = self._cluster.pop(place, None)
        if cluster is not None:
            places = self._places[cluster]
            places.pop(place, None)
            if not places:
                del self._places[cluster]
        return cluster
