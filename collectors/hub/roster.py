"""Which clusters there are to watch, as sources claim them: a name, where it comes from, and how to reach it."""

import asyncio
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from abdrift.kubeapi import Credentials

Key = tuple[str, str]
"""Source and origin."""

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True)
class Claim:
    """A cluster that a source names. Its credentials are in memory only, and in no text of this object."""

    name: str
    """Unique in the fleet."""
    origin: str
    """Where it comes from, e.g. `file edge.yaml` or `secret clusters/edge-kubeconfig`; unique among claims."""
    load: Callable[[], Credentials] = field(repr=False, compare=False)
    """Reads the credentials as they are now. Raises KubeConfigError."""
    stamp: str = field(repr=False)
    """Differs where the credentials do."""

    @classmethod
    def embedded(cls, name: str, origin: str, kubeconfig: bytes) -> "Claim":
        """Return the claim of a kubeconfig that a Secret holds."""
        stamp = hashlib.sha256(kubeconfig).hexdigest()
        return cls(name, origin, lambda: Credentials.embedded(kubeconfig), stamp)


class Roster:
    """Claims by source and origin. Of several that name one cluster the first stands; the others are said to conflict.

    Two sources may find the same Secret, which is no conflict.
    """

    def __init__(self) -> None:
        self.changed = asyncio.Event()
        self._claims: dict[Key, Claim] = {}
        self._refused: dict[Key, str] = {}

    def put(self, source: str, claim: Claim) -> None:
        """Take a source's claim, or a newer one of the same origin."""
        key = (source, claim.origin)
        if not _NAME.fullmatch(claim.name):
            self.refuse(source, claim.origin, f"{claim.name!r} is no name of a cluster")
            return
        before = self._claims.get(key)
        if before == claim and key not in self._refused:
            return
        self._refused.pop(key, None)
        if before is not None and before.name != claim.name:
            del self._claims[key]  # it names another cluster now: whoever named that one first keeps it
        self._claims[key] = claim
        self.changed.set()

    def refuse(self, source: str, origin: str, why: str) -> None:
        """Note that a source names something that can't be used. What it named before stands no longer."""
        key = (source, origin)
        known = self._claims.pop(key, None) is not None
        if known or self._refused.get(key) != why:
            self._refused[key] = why
            self.changed.set()

    def remove(self, source: str, origin: str) -> None:
        """Forget a claim."""
        known = self._claims.pop((source, origin), None) is not None
        if self._refused.pop((source, origin), None) is not None or known:
            self.changed.set()

    def clusters(self) -> dict[str, Claim]:
        """Return the claims that stand, by the cluster's name."""
        standing: dict[str, Claim] = {}
        for claim in self._claims.values():
            standing.setdefault(claim.name, claim)
        return standing

    def problems(self) -> dict[str, str]:
        """Return by origin why it names no cluster that is watched."""
        standing = self.clusters()
        conflicts = {
            claim.origin: f"{claim.name} is named by {standing[claim.name].origin} already; names are unique"
            for claim in self._claims.values()
            if standing[claim.name].origin != claim.origin
        }
        return {origin: why for (_, origin), why in self._refused.items()} | conflicts
