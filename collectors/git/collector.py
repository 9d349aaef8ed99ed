"""Follows the remotes that the fleet's inventories name, and tells where their heads are."""

import asyncio
import logging
import random
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Protocol

from abdrift.clock import ClockMs, wall_clock_ms
from abdrift.facts.inventory import ClusterInventory
from abdrift.signals.objects import ObjectRow, Op, RemoteDetail, RemoteHead, encode_detail
from abdrift.urls import masked
from collectors import telemetry
from collectors.epochs import next_epoch
from collectors.framing import Framer, FramerSettings, Row, Send
from collectors.git.config import GitConfig
from collectors.git.remotes import RemoteError, commit_of, heads_of, wanted_refs

log = logging.getLogger(__name__)

Inventories = AsyncIterator[tuple[str, ClusterInventory | None]]
"""Cluster name and its inventory as it stands now; None once the cluster is gone."""
Suspects = AsyncIterator[str]
"""URLs of remotes, without credentials, that people wait to hear of."""

_COMMITS_KEPT = 10_000
_HURRY_SECONDS = 2.0
"""A remote that people wait to hear of is asked no more often than this."""


class Broadcast(Protocol):
    """Where the rows go: to every partition, since a remote belongs to no cluster."""

    async def broadcast(self, row: Row, *, urgent: bool = False) -> None:
        """Take a row; waits while the buffer is full."""


@dataclass(slots=True)
class Followed:
    """Which remotes the fleet follows: refs by URL by cluster."""

    _by_cluster: dict[str, dict[str, frozenset[str]]] = field(default_factory=dict)

    def put(self, cluster: str, inventory: ClusterInventory | None) -> None:
        """Set what a cluster follows."""
        refs: dict[str, set[str]] = {}
        for source in inventory.git_sources if inventory else ():
            refs.setdefault(source.url, set()).add(source.ref)
        if refs:
            self._by_cluster[cluster] = {url: wanted_refs(found) for url, found in refs.items()}
        else:
            self._by_cluster.pop(cluster, None)

    def refs_by_url(self) -> dict[str, frozenset[str]]:
        """Return each distinct URL with all refs that any cluster follows there. A URL with none is left out."""
        merged: dict[str, frozenset[str]] = {}
        for remotes in self._by_cluster.values():
            for url, refs in remotes.items():
                if refs:
                    merged[url] = merged.get(url, frozenset()) | refs
        return merged


@dataclass(slots=True)
class _Remote:
    """What was told of a remote, and when it is to be asked next."""

    told: RemoteDetail | None = None
    told_ms: int = 0
    due_ms: int = 0
    asked_ms: int = 0


class GitCollector:
    """Asks each distinct URL once per interval for all clusters, and reports at once what moved."""

    def __init__(
        self,
        config: GitConfig,
        outlet: Broadcast,
        *,
        clock: ClockMs = wall_clock_ms,
        rng: random.Random | None = None,
    ) -> None:
        self._config = config
        self._outlet = outlet
        self._clock = clock
        self._rng = rng or random.Random()  # noqa: S311  jitter
        self._followed = Followed()
        self._remotes: dict[str, _Remote] = {}
        self._commits: OrderedDict[tuple[str, str], RemoteHead] = OrderedDict()
        self._changed = asyncio.Event()

    async def run(self, inventories: Inventories, suspects: Suspects | None = None) -> None:
        """Follow the inventories and ask their remotes until cancelled; suspects are asked before their time.

        Raises:
            ExceptionGroup: the inventories or suspects could not be read, or the outlet is closed.

        """
        async with asyncio.TaskGroup() as group:
            group.create_task(self._ask_all())
            if suspects is not None:
                group.create_task(self._hurry(suspects))
            async for cluster, inventory in inventories:
                self._followed.put(cluster, inventory)
                self._changed.set()

    async def ask(self, url: str, refs: frozenset[str]) -> None:
        """Ask one remote and report what it says, if that is new or was last told a while ago."""
        self._remotes.setdefault(url, _Remote()).asked_ms = self._clock()
        try:
            heads = await heads_of(url, refs, self._config)
            detail = RemoteDetail(heads={ref: await self._commit(url, ref, sha) for ref, sha in heads.items()})
        except RemoteError as error:
            telemetry.REMOTE_ERRORS.labels(self._config.source).inc()
            log.warning("git: %s: %s", masked(url), error)
            detail = RemoteDetail(error=str(error))
        remote = self._remotes.setdefault(url, _Remote())
        now_ms = self._clock()
        moved = detail != remote.told
        if not moved and now_ms - remote.told_ms < 1000 * self._config.report_seconds:
            telemetry.SUPPRESSED.labels(self._config.source, "unchanged").inc()
            return
        remote.told, remote.told_ms = detail, now_ms
        row = ObjectRow(
            cluster="", op=Op.REMOTE.value, name=masked(url), observed_ms=now_ms, detail=encode_detail(detail)
        )
        await self._outlet.broadcast(row, urgent=moved)

    async def _hurry(self, suspects: Suspects) -> None:
        """Ask suspects beside the rounds: of hundreds of remotes, one takes a while."""
        async for suspect in suspects:
            for url, refs in self._followed.refs_by_url().items():
                if masked(url) == suspect:
                    asked_ms = self._remotes.setdefault(url, _Remote()).asked_ms
                    await asyncio.sleep(max(0.0, _HURRY_SECONDS - (self._clock() - asked_ms) / 1000))
                    await self.ask(url, refs)

    async def _ask_all(self) -> None:
        slots = asyncio.Semaphore(self._config.concurrency)

        async def ask(url: str, refs: frozenset[str]) -> None:
            async with slots:
                await self.ask(url, refs)

        while True:
            self._changed.clear()
            due = self._due()
            await asyncio.gather(*(ask(url, refs) for url, refs in due.items()))
            await self._until_next()

    def _due(self) -> dict[str, frozenset[str]]:
        """Return the remotes to ask now, and set when they are next; forget those that nobody follows."""
        followed = self._followed.refs_by_url()
        for url in self._remotes.keys() - followed.keys():
            del self._remotes[url]
        now_ms = self._clock()
        due: dict[str, frozenset[str]] = {}
        for url, refs in followed.items():
            if url not in self._remotes and len(self._remotes) >= self._config.max_remotes:
                telemetry.DROPPED.labels(self._config.source, "too-many-remotes").inc()
                continue
            remote = self._remotes.setdefault(url, _Remote())
            if remote.due_ms <= now_ms:
                remote.due_ms = now_ms + round(1000 * self._config.interval_seconds * self._rng.uniform(0.9, 1))
                due[url] = refs
        return due

    async def _until_next(self) -> None:
        """Sleep until a remote is due or the fleet follows others."""
        next_ms = min((remote.due_ms for remote in self._remotes.values()), default=None)
        seconds = None if next_ms is None else max(0.05, (next_ms - self._clock()) / 1000)
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return

    async def _commit(self, url: str, ref: str, sha: str) -> RemoteHead:
        """Return a head with its commit's metadata, fetched once; without, where it can't be had."""
        known = self._commits.get((url, sha))
        if known is None:
            try:
                known = await commit_of(url, ref, sha, self._config)
            except RemoteError as error:
                # The head itself is known, which is what counts.
                log.info("git: %s: no metadata of %s: %s", masked(url), sha, error)
                return RemoteHead(sha=sha)
            self._commits[url, sha] = known
            if len(self._commits) > _COMMITS_KEPT:
                self._commits.popitem(last=False)
        return known


async def run(
    config: GitConfig,
    send: Send,
    inventories: Inventories,
    suspects: Suspects | None = None,
    *,
    settings: FramerSettings | None = None,
    clock: ClockMs = wall_clock_ms,
) -> None:
    """Run the Git collector until cancelled."""
    epoch = next_epoch(config.source, config.state_dir, clock)
    async with Framer(config.source, epoch, send, settings) as framer:
        await GitCollector(config, framer, clock=clock).run(inventories, suspects)
