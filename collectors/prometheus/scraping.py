"""One target: fetched at its interval, its samples put into an outlet, and said to be stale when it or they end."""

import asyncio
import logging
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
import orjson

from abdrift.clock import ClockMs
from collectors import telemetry as collectors_telemetry
from collectors.blocks import SampleBlock, size_of
from collectors.prometheus import exposition, telemetry
from collectors.prometheus.catalogue import UNKNOWN, Catalogue, ClusterOf, Key
from collectors.prometheus.exposition import Exposed
from collectors.prometheus.fetching import ScrapeError
from collectors.prometheus.labels import METRIC_NAME, Labels, SeriesRefusedError, shown
from collectors.prometheus.samples import STALE
from collectors.prometheus.scrape_config import ScrapeJob
from collectors.prometheus.targets import Target, merged

log = logging.getLogger(__name__)

_SAMPLES_AT_ONCE: Final = 500
"""So many are read before others get their turn."""

_MOST_PAST_MS: Final = 7 * 24 * 3_600_000
_MOST_FUTURE_MS: Final = 600_000
"""Samples of other times are left out, as by the receiver of remote write."""


class Outlet(Protocol):
    """Where samples go; `collectors.framing.Framer` is one."""

    async def put(self, row: SampleBlock, *, urgent: bool = False) -> None:
        """Take a block; waits while the buffer is full."""


class Fetch(Protocol):
    """How a job's targets are asked; raises `ScrapeError`."""

    async def __call__(self, target: Target) -> tuple[bytes, str]:
        """Return an answer's body, unpacked, and its media type."""


@dataclass(frozen=True, slots=True)
class Scraping:
    """What the targets of one job share."""

    job: ScrapeJob
    source: str
    outlet: Outlet
    fetch: Fetch
    clock: ClockMs
    cluster_of: ClusterOf
    external_labels: Mapping[str, str]
    catalogue: Catalogue
    reports: Catalogue
    """Of `up` and its like, which no rule of the job's touches."""


@dataclass(slots=True)
class _Found:
    """What one scrape gave."""

    samples: dict[bytes, tuple[Exposed | None, float, int]] = field(default_factory=dict)
    """By what names the series: what was exposed, value and time. Stale ones are not exposed."""
    ends: set[bytes] = field(default_factory=set)
    """Series without a time of their own: those that are stale when they are not seen again."""
    scraped: int = 0
    kept: int = 0
    added: int = 0
    refusal: str = ""
    """Why the scrape, or else its first refused series, is not taken."""


class TargetScraper:
    """Scrapes one target until cancelled."""

    def __init__(self, scraping: Scraping, target: Target) -> None:
        self._scraping = scraping
        self._target = target
        identity = f"{scraping.job.job_name} {target.url} {dict(target.labels)}"
        self._key: Key = (identity, "scrape")
        self._offset = zlib.crc32(identity.encode()) / 2**32
        self._alive: set[bytes] = set()
        self._told = ""

    async def run(self) -> None:
        """Scrape at the interval, offset by the target's name so that not all are scraped at once."""
        loop = asyncio.get_running_loop()
        interval_seconds = self._target.interval_seconds
        due = (loop.time() // interval_seconds + self._offset) * interval_seconds
        while True:
            # What took longer than the interval leaves scrapes out, as Prometheus does.
            while due < loop.time():
                due += interval_seconds
            await asyncio.sleep(due - loop.time())
            await self.scrape()

    async def scrape(self) -> None:
        """Scrape once; a target that fails is `up` 0, and its series are stale."""
        loop = asyncio.get_running_loop()
        begun, now_ms = loop.time(), self._scraping.clock()
        try:
            body, media_type = await self._scraping.fetch(self._target)
            found = await self._read(body, media_type, now_ms)
            block = self._block(found, now_ms)
            reason = ""
        except ScrapeError as error:
            found, reason = _Found(), error.reason
            self._stale_into(found, now_ms)
            block = self._block(found, now_ms)
            found.refusal = str(error)
        telemetry.SCRAPES.labels(self._scraping.source, reason or "up").inc()
        self._tell(found.refusal)
        reported = self._report(found, now_ms, is_up=not reason, seconds=loop.time() - begun)
        self._alive = found.ends
        await self._put(block, reported)

    async def end(self) -> None:
        """Say that the target is no more: all its series are stale."""
        now_ms, found = self._scraping.clock(), _Found()
        self._stale_into(found, now_ms)
        self._alive = set()
        reports = dict.fromkeys(("up", *_REPORTS), STALE)
        await self._put(self._block(found, now_ms), self._reports_block(reports, now_ms))

    async def _read(self, body: bytes, media_type: str, now_ms: int) -> _Found:
        found = _Found()
        job, suppressed = self._scraping.job, Counter[str]()
        try:
            for sample in exposition.samples(body, media_type):
                found.scraped += 1
                named = orjson.dumps(sample.labels, option=orjson.OPT_SORT_KEYS)
                suppressed["exemplar"] += sample.has_exemplar
                if named in found.samples:
                    suppressed["twice"] += 1
                    continue
                has_time = job.honor_timestamps and sample.time_ms is not None
                time_ms = sample.time_ms if has_time and sample.time_ms is not None else now_ms
                if not now_ms - _MOST_PAST_MS <= time_ms <= now_ms + _MOST_FUTURE_MS:
                    suppressed["time"] += 1
                    continue
                found.samples[named] = sample, sample.value, time_ms
                if not has_time:
                    found.ends.add(named)
                if not found.scraped % _SAMPLES_AT_ONCE:
                    await asyncio.sleep(0)
        except exposition.UnreadableError as error:
            raise ScrapeError("unreadable", str(error)) from error
        for reason, count in suppressed.items():
            collectors_telemetry.SUPPRESSED.labels(self._scraping.source, reason).inc(count)
        self._stale_into(found, now_ms)
        return found

    def _stale_into(self, found: _Found, now_ms: int) -> None:
        """Add the series that the scrape before had, and this one has not."""
        for named in self._alive - found.samples.keys():
            found.samples[named] = None, STALE, now_ms

    def _block(self, found: _Found, now_ms: int) -> SampleBlock | None:
        """Return the samples as columns. Not interrupted, so that all numbers are of one table."""
        catalogue = self._scraping.catalogue
        catalogue.turn(now_ms)
        known, series, refused = catalogue.known(self._key), [], Counter[str]()
        for named, (sample, value, time_ms) in found.samples.items():
            number = known.get(named, UNKNOWN)
            if number == UNKNOWN:
                number = self._new(named, sample, found, refused)
            if number >= 0:
                series.append((number, value, time_ms))
                found.kept += sample is not None
        if self._scraping.job.sample_limit and found.kept > self._scraping.job.sample_limit:
            limit = self._scraping.job.sample_limit
            raise ScrapeError("sample-limit", f"{found.kept} samples; sample_limit is {limit}")
        for reason, count in refused.items():
            collectors_telemetry.SUPPRESSED.labels(self._scraping.source, reason).inc(count)
        return _columns(catalogue, series, now_ms, sum(map(len, found.samples)))

    def _new(self, named: bytes, sample: Exposed | None, found: _Found, refused: Counter[str]) -> int:
        scraping = self._scraping
        if sample is None:
            return scraping.catalogue.seen(self._key, named)
        labels = merged(sample.labels, self._target, honor_labels=scraping.job.honor_labels)
        _check(labels, scraping.job)
        found.added += 1
        try:
            return scraping.catalogue.add(
                self._key, named, lambda: {**scraping.external_labels, **labels}, scraping.cluster_of
            )
        except SeriesRefusedError as error:
            found.refusal = found.refusal or str(error)
            refused[error.reason] += 1
            found.ends.discard(named)
            return UNKNOWN

    def _report(self, found: _Found, now_ms: int, *, is_up: bool, seconds: float) -> SampleBlock | None:
        values = (seconds, float(found.scraped), float(found.kept), float(found.added))
        return self._reports_block({"up": float(is_up), **dict(zip(_REPORTS, values, strict=True))}, now_ms)

    def _reports_block(self, reports: Mapping[str, float], now_ms: int) -> SampleBlock | None:
        scraping, own = self._scraping, dict(self._target.labels)
        scraping.reports.turn(now_ms)
        known, series = scraping.reports.known(self._key), []
        for name, value in reports.items():
            labels = {**scraping.external_labels, **own, METRIC_NAME: name}
            number = known.get(name.encode(), UNKNOWN)
            try:
                if number == UNKNOWN:
                    number = scraping.reports.add(self._key, name.encode(), lambda: labels, scraping.cluster_of)  # noqa: B023  called at once
            except SeriesRefusedError as error:
                collectors_telemetry.SUPPRESSED.labels(scraping.source, error.reason).inc()
                continue
            series.append((number, value, now_ms))
        return _columns(scraping.reports, series, now_ms, 100 * len(series))

    async def _put(self, *blocks: SampleBlock | None) -> None:
        for block in blocks:
            for one in block.by_cluster() if block else ():
                await self._scraping.outlet.put(one)

    def _tell(self, what: str) -> None:
        """Log what is wrong with a target when it changes."""
        if what != self._told:
            if what:
                log.warning("%s: %s", self._target.url, what)
            else:
                log.info("%s: all of it is scraped again", self._target.url)
            self._told = what


_REPORTS: Final = (
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
)


def _check(labels: Labels, job: ScrapeJob) -> None:
    """See to it that labels are within the job's limits: one that is not fails its scrape, as in Prometheus."""
    if job.label_limit and len(labels) > job.label_limit:
        raise ScrapeError("label-limit", f"{shown(labels[METRIC_NAME])} has {len(labels)} labels")
    for limit, texts in ((job.label_name_length_limit, labels.keys()), (job.label_value_length_limit, labels.values())):
        if limit and (long := _longer(texts, limit)):
            raise ScrapeError("label-limit", f"{shown(labels[METRIC_NAME])} has a label with {shown(long)}")


def _longer(texts: Iterable[str], limit: int) -> str:
    return next((text for text in texts if len(text.encode()) > limit), "")


def _columns(
    catalogue: Catalogue, series: list[tuple[int, float, int]], now_ms: int, text_bytes: int
) -> SampleBlock | None:
    if not series:
        return None
    numbers, values, times_ms = zip(*series, strict=True)
    return SampleBlock(
        cluster="",
        table=catalogue.table,
        series=np.array(numbers, dtype=np.int32),
        values=np.array(values, dtype=np.float64),
        times_ms=np.array(times_ms, dtype=np.int64),
        observed_ms=now_ms,
        size_bytes=size_of(len(series), text_bytes),
    )
