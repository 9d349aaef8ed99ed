"""What the page is told of the fleet: rows of numbers and labels, and all that changed since a version. Pure.

A batch is one JSON object. `about` and `cells` are lists of arrays, named by a cluster's number: whole objects would
be five times the bytes for ten thousand clusters.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal

from abdrift.clock import parse_rfc3339_ms
from abdrift.fleetstate import STATUSES, Cluster, Fleet
from abdrift.latest import Change
from abdrift.topics import FLEET_COMMANDS, FLEET_INCIDENTS, FLEET_OUTCOMES
from sinks.web.versions import Versions

GONE_KEPT: Final = 10_000
"""How many clusters and incidents that are gone are remembered, to tell of."""
MEMBERS_TOLD: Final = 10_000
INCIDENTS_TOLD: Final = 200
"""Of closed ones, the newest; every open one is told of."""
_STATUS: Final[Mapping[str, int]] = {status: number for number, status in enumerate(STATUSES)}

_Kind = Literal["about", "cell", "gone", "incident"]
_Key = tuple[_Kind, str]


@dataclass(slots=True)
class Reading:
    """How the page's server stands with Kafka."""

    phase: Literal["reading", "live", "lost"] = "reading"
    left: int = 0
    total: int = 0
    """Records still to read of those there were at the start, at most."""
    since_ms: int = 0
    """When this phase began."""


@dataclass(slots=True)
class Model:
    """The fleet as the page shows it. `epoch` names this process's versions: another's mean nothing here."""

    epoch: str
    fleet: Fleet = field(default_factory=Fleet)
    reading: Reading = field(default_factory=Reading)
    _versions: Versions[_Key] = field(default_factory=Versions)
    _numbers: dict[str, int] = field(default_factory=dict)
    _next: int = 0
    _gone: OrderedDict[str, None] = field(default_factory=OrderedDict)
    _floor: int = 0
    """Who knows less than this version is told everything: what is gone since then is not remembered."""
    _labels: dict[str, Mapping[str, str]] = field(default_factory=dict)
    _summaries: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def version(self) -> int:
        """Counts up with every change."""
        return self._versions.now

    def take(self, change: Change, cluster: str | None) -> None:
        """Take a change in, and which cluster it is about, where it is about one."""
        # A fact that changes nothing on the map may still be news on a cluster's panel, and of when it was seen.
        for name in self.fleet.take(change) | ({cluster} if cluster in self.fleet.clusters else set()):
            self._touch(name)
        if change.topic == FLEET_INCIDENTS.name:
            self._incident(change.key)

    def overtaken(self, topic: str, key: str) -> None:
        """Let go of a command or an outcome that is too old to be shown."""
        if topic == FLEET_COMMANDS.name:
            self.fleet.commands.pop(key, None)
        elif topic == FLEET_OUTCOMES.name:
            self.fleet.outcomes.pop(key, None)

    def become(self, other: "Model") -> None:
        """Be another model from here on: one that was read anew, under an epoch of its own."""
        assert other.epoch != self.epoch, "versions of one epoch are of one model"
        for each in fields(self):
            setattr(self, each.name, getattr(other, each.name))

    def told(self) -> None:
        """Have the next batch go out although no fact changed: `reading` did."""
        self._versions.now += 1

    def since(self, epoch: str, version: int, now_ms: int) -> dict[str, Any]:
        """Return what changed after a version of an epoch, as one batch; everything where that is not known."""
        whole = epoch != self.epoch or version < self._floor or version > self.version
        found: dict[_Kind, list[str]] = {"about": [], "cell": [], "gone": [], "incident": []}
        for kind, key in self._versions.since(0 if whole else version):
            found[kind].append(key)
        batch: dict[str, Any] = {
            "epoch": self.epoch,
            "version": self.version,
            "now": now_ms,
            "newest": self.fleet.newest_ms,
            "reading": [self.reading.phase, self.reading.left, self.reading.total, self.reading.since_ms],
            "unreadable": self.fleet.unreadable,
        }
        parts = {
            "about": [[self._numbers[name], name, self._labels[name]] for name in found["about"]],
            "cells": [self._cell(name) for name in found["cell"]],
            "incidents": [self._summaries[key] for key in found["incident"]],
        }
        batch |= {name: part for name, part in parts.items() if part}
        if whole:
            batch["whole"] = True
        elif found["gone"]:
            batch["gone"] = found["gone"]
        if self.fleet.breaker and self.fleet.breaker.is_open:
            breaker = self.fleet.breaker
            batch["breaker"] = {"by": breaker.frozen_by, "why": breaker.reasons, "since": breaker.since_ms}
        return batch

    def _touch(self, name: str) -> None:
        cluster = self.fleet.clusters.get(name)
        if cluster is None:
            self._forget("cluster", name)
            return
        if name not in self._numbers:
            self._numbers[name] = self._next
            self._next += 1
        if self._labels.get(name) != cluster.labels:
            self._labels[name] = cluster.labels
            self._versions.touch(("about", name))
        self._versions.touch(("cell", name))

    def _forget(self, what: Literal["cluster", "incident"], name: str) -> None:
        if what == "cluster":
            if self._numbers.pop(name, None) is None:
                return
            self._labels.pop(name, None)
            self._versions.drop(("about", name))
            self._versions.drop(("cell", name))
        else:
            if self._summaries.pop(name, None) is None:
                return
            self._versions.drop(("incident", name))
        key = f"{what}/{name}"
        self._gone.pop(key, None)
        self._gone[key] = None
        self._versions.touch(("gone", key))
        if len(self._gone) > GONE_KEPT:
            oldest, _ = self._gone.popitem(last=False)
            self._floor = max(self._floor, self._versions.drop(("gone", oldest)))

    def _incident(self, key: str) -> None:
        if key not in self.fleet.incidents:
            self._forget("incident", key)
            return
        try:
            self._summaries[key] = summary(key, self.fleet.incidents[key])
        except (KeyError, TypeError, AttributeError):
            self.fleet.unreadable += 1
            return
        self._versions.touch(("incident", key))
        closed = [k for k, each in self.fleet.incidents.items() if each["state"] != "open"]
        for old in sorted(closed, key=lambda k: str(self.fleet.incidents[k]["changed_at"]))[:-INCIDENTS_TOLD]:
            self.fleet.incidents.pop(old)
            self._forget("incident", old)

    def _cell(self, name: str) -> list[int]:
        """Return a cluster's row; `CELL` in static/model.js names its columns."""
        cluster = self.fleet.clusters[name]
        drifted = sum(1 for kind in cluster.open.values() if kind != "alert")
        return [
            self._numbers[name],
            _STATUS[cluster.status],
            drifted,
            len(cluster.open) - drifted,
            _seconds(cluster.last_seen_ms),
            _seconds(cluster.since_ms),
            _flags(cluster),
        ]


def summary(key: str, incident: Mapping[str, Any]) -> dict[str, Any]:
    """Return an incident as it stands on the list: with its members' names, and without their stories."""
    members = incident.get("members", ())
    lasting = [member for member in members if not member.get("until")] or members
    return {
        "id": key,
        "title": incident.get("title", ""),
        "open": incident["state"] == "open",
        "cause": incident["cause"],
        "radius": incident["blast_radius"],
        "members": list(dict.fromkeys(each["cluster"]["name"] for each in lasting[:MEMBERS_TOLD])),
        "omitted": incident.get("members_omitted", 0),
        "opened": parse_rfc3339_ms(incident["opened_at"]),
        "closed": parse_rfc3339_ms(incident.get("closed_at")),
        "because": incident.get("closed_because"),
        "outcomes": incident.get("outcomes", {}),
    }


def _flags(cluster: Cluster) -> int:
    """Return 1 where a health fact tells of it at all, 2 where its evidence is complete, 4 where it is silent."""
    return (cluster.since_ms is not None) | cluster.is_complete << 1 | cluster.is_silent << 2


def _seconds(time_ms: int | None) -> int:
    return 0 if time_ms is None else time_ms // 1000
