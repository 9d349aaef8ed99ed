"""Owners, read after an object of theirs has changed: so that it is known which of their rows came before.

Watches of different kinds are not ordered against each other. Whoever judges a change that Flux may have made has to
know whether the owner was at work, of which the word may come later. So the owner is read after the change, and what
was found is reported: its resourceVersion says up to which row of it to wait. An owner that is known to be at work is
left alone, since the row of its end will tell as much.
"""

import asyncio
from collections.abc import Callable

from collectors.kubernetes.api import METADATA_OF_ONE, Api, ApiRefusedError, UnreachableError
from collectors.kubernetes.discovery import Served
from collectors.kubernetes.inventories import OwnerKey
from collectors.kubernetes.reporter import Reporter

ServedOf = Callable[[OwnerKey], Served | None]


class Reads:
    """Reads owners when asked to, one request at a time for each, and reports what it found."""

    def __init__(self, api: Api, reporter: Reporter, served: ServedOf, lookups: asyncio.Semaphore) -> None:
        self._api = api
        self._reporter = reporter
        self._served = served
        self._lookups = lookups
        self._versions: dict[OwnerKey, int] = {}
        self._busy: set[OwnerKey] = set()
        self._wanted: dict[OwnerKey, int] = {}
        self._asked = asyncio.Event()

    def saw(self, owner: OwnerKey, version: str, *, busy: bool) -> None:
        """Note a row of an owner, already reported, and whether the owner is at work."""
        self._versions[owner] = int(version) if version.isdigit() else 0
        (self._busy.add if busy else self._busy.discard)(owner)

    def forget(self, owner: OwnerKey) -> None:
        """Forget an owner that is gone."""
        self._versions.pop(owner, None)
        self._wanted.pop(owner, None)
        self._busy.discard(owner)

    def want(self, owner: OwnerKey, version: str) -> None:
        """Have an owner read, since an object of it, already reported, was written at that resourceVersion."""
        if not version.isdigit() or owner in self._busy or int(version) < self._versions.get(owner, 0):
            return
        self._wanted[owner] = max(int(version), self._wanted.get(owner, 0))
        self._asked.set()

    async def run(self) -> None:
        """Read what is wanted until cancelled. What comes in meanwhile for the same owner is answered by the next."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            wanted, self._wanted = self._wanted, {}
            await asyncio.gather(*(self._read(owner, as_of) for owner, as_of in wanted.items()))

    async def _read(self, owner: OwnerKey, as_of: int) -> None:
        served = self._served(owner)
        if served is None:
            return
        path = served.resource.path(owner.namespace or None, owner.name)
        try:
            async with self._lookups:
                found = await self._api.get(path, accept=METADATA_OF_ONE)
        except (ApiRefusedError, UnreachableError):
            return  # counted there; who judges waits a little longer and then goes by what it has
        version = str((found.get("metadata") or {}).get("resourceVersion") or "")
        await self._reporter.read(served, (owner.namespace, owner.name), version, as_of)
