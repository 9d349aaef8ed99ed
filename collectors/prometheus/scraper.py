"""All jobs: their targets as they come and go, each scraped by a task of its own."""

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Final

from abdrift.clock import ClockMs, wall_clock_ms
from collectors import telemetry
from collectors.prometheus.catalogue import Catalogue, ClusterOf
from collectors.prometheus.discovery import Discovery, DiscoveryError, of_job
from collectors.prometheus.fetching import JobClient
from collectors.prometheus.labels import SeriesRefusedError
from collectors.prometheus.relabelling import Rules
from collectors.prometheus.scrape_config import Discovered, ScrapeConfig
from collectors.prometheus.scraping import Outlet, Scraping, TargetScraper
from collectors.prometheus.targets import Target, targets
from collectors.prometheus.telemetry import Offenders

if TYPE_CHECKING:
    from collections.abc import Sequence

log = logging.getLogger(__name__)

_TOLD_AT_ONCE: Final = 5


class _Room:
    """How many targets there may be in all."""

    def __init__(self, targets: int) -> None:
        self.left = targets


async def run(config: ScrapeConfig, source: str, outlet: Outlet, *, clock: ClockMs = wall_clock_ms) -> None:
    """Scrape until cancelled.

    Raises:
        ConfigurationError: a certificate cannot be read.

    """
    room, offenders = _Room(config.max_targets), Offenders()
    async with contextlib.AsyncExitStack() as stack:
        jobs = []
        for job in config.scrape_configs:
            rules = Rules(job.metric_relabel_configs)
            scraping = Scraping(
                job=job,
                source=source,
                outlet=outlet,
                fetch=await stack.enter_async_context(JobClient(job)),
                clock=clock,
                cluster_of=_cluster_of(config),
                external_labels=config.global_.external_labels,
                catalogue=Catalogue(config.series, rules, config.cluster_label, told=offenders),
                reports=Catalogue(config.series, Rules(), config.cluster_label, told=offenders),
            )
            jobs.append(_Job(config, scraping, room))
        async with asyncio.TaskGroup() as group:
            for each in jobs:
                group.create_task(each.run())


class _Job:
    """The targets of one job."""

    def __init__(self, config: ScrapeConfig, scraping: Scraping, room: _Room) -> None:
        self._config = config
        self._scraping = scraping
        self._room = room
        self._scrapers: dict[Target, tuple[TargetScraper, asyncio.Task[None]]] = {}
        self._discovered: dict[int, Sequence[Discovered]] = {}
        self._told: list[str] = []

    async def run(self) -> None:
        """Follow the job's discoveries until cancelled."""
        async with asyncio.TaskGroup() as group:
            for number, discovery in enumerate(of_job(self._scraping.job)):
                group.create_task(self._follow(number, discovery, group))

    async def _follow(self, number: int, discovery: Discovery, group: asyncio.TaskGroup) -> None:
        while True:
            try:
                self._discovered[number] = await discovery.discovered()
            except DiscoveryError as error:
                telemetry.SUPPRESSED.labels(self._scraping.source, "discovery").inc()
                log.warning("job %s: targets stay as they were: %s", self._scraping.job.job_name, error)
            await self._apply(group)
            await asyncio.sleep(discovery.refresh_seconds)

    async def _apply(self, group: asyncio.TaskGroup) -> None:
        """Start to scrape what is new, and end what is gone."""
        discovered = [each for some in self._discovered.values() for each in some]
        wanted, wrong = targets(self._config, self._scraping.job, discovered)
        if wrong != self._told:
            for each in wrong[:_TOLD_AT_ONCE]:
                log.warning("no target: %s", each)
            self._told = wrong
        for target in self._scrapers.keys() - wanted:
            scraper, task = self._scrapers.pop(target)
            self._room.left += 1
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await scraper.end()
        for target in sorted(wanted - self._scrapers.keys(), key=lambda each: each.url):
            if not self._room.left:
                telemetry.SUPPRESSED.labels(self._scraping.source, "max-targets").inc()
                log.warning("%s is not scraped: max_targets is %d", target.url, self._config.max_targets)
                continue
            self._room.left -= 1
            scraper = TargetScraper(self._scraping, target)
            self._scrapers[target] = scraper, group.create_task(scraper.run(), name=target.url)


def _cluster_of(config: ScrapeConfig) -> ClusterOf:
    def cluster_of(named: str | None) -> str:
        cluster = config.cluster or named
        if not cluster:
            raise SeriesRefusedError(
                "cluster",
                f"a series names no cluster: set cluster, or the label {config.cluster_label} by external_labels or "
                "relabel_configs",
            )
        return cluster

    return cluster_of
