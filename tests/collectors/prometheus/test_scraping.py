"""One target scraped: what becomes of its answers, and of those it does not give."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from abdrift.signals import samples
from abdrift.signals.samples import labels_of
from collectors.framing import Framer, FramerSettings
from collectors.prometheus import exposition
from collectors.prometheus.cardinality import SeriesLimits
from collectors.prometheus.catalogue import Catalogue
from collectors.prometheus.fetching import ScrapeError
from collectors.prometheus.relabelling import Rules
from collectors.prometheus.scrape_config import ScrapeConfig
from collectors.prometheus.scraping import Scraping, TargetScraper
from collectors.prometheus.targets import Target
from tests.collectors.recording import RecordingTopic

NOW_MS = 1_795_000_000_000
TARGET = Target("http://a:9100/metrics", (("instance", "a:9100"), ("job", "node")), 15, 10)
TEXT, OPENMETRICS = "text/plain", "application/openmetrics-text"
OWN = {"instance": "a:9100", "job": "node"}
REPORTS = {"up", "scrape_duration_seconds", "scrape_samples_scraped", "scrape_samples_post_metric_relabeling"}
REPORTS |= {"scrape_series_added"}

PIECES = [
    "x",
    "{",
    "}",
    'a="b"',
    ",",
    '"',
    "\\",
    " 1",
    " NaN",
    " 1e3",
    "\n",
    "# TYPE x counter\n",
    "# EOF",
    " # {} 1",
    "_total",
]


class World:
    """A target that answers what it is told to, and what came of it."""

    def __init__(self, **given: Any) -> None:
        series = SeriesLimits(**given.pop("series", {}))
        config = ScrapeConfig.model_validate({"scrape_configs": [{"job_name": "node", **given}]})
        self.job = config.scrape_configs[0]
        self.answer: bytes | ScrapeError = b""
        self.media_type = TEXT
        self.now_ms = NOW_MS
        self.topic = RecordingTopic()
        self.framer = Framer("scrape/test", 1, self.topic, FramerSettings(linger_ms=0))
        self.scraper = TargetScraper(
            Scraping(
                job=self.job,
                source="scrape/test",
                outlet=self.framer,
                fetch=self._fetch,
                clock=lambda: self.now_ms,
                cluster_of=lambda named: named or "edge-1",
                external_labels={},
                catalogue=Catalogue(series, Rules(self.job.metric_relabel_configs), "cluster"),
                reports=Catalogue(series, Rules(), "cluster"),
            ),
            TARGET,
        )

    async def _fetch(self, target: Target) -> tuple[bytes, str]:
        assert target == TARGET
        if isinstance(self.answer, ScrapeError):
            raise self.answer
        return self.answer, self.media_type

    async def scraped(self, answer: str | ScrapeError) -> dict[str, list[Any]]:
        """Scrape once; return rows by metric as labels, value and time."""
        self.answer = answer.encode() if isinstance(answer, str) else answer
        return await self.after(self.scraper.scrape())

    async def after(self, work: Any) -> dict[str, list[Any]]:
        self.now_ms += 15_000
        self.topic.frames.clear()
        await work
        await self.framer.flush()
        found: dict[str, list[Any]] = {}
        for _, _, frame in self.topic.frames:
            for row in samples.rows_of(frame.batch):
                value = "stale" if math.isnan(row.value) else row.value
                found.setdefault(row.metric, []).append((labels_of(row.labels), value, row.time_ms - self.now_ms))
        return found


def of_target(found: dict[str, list[Any]]) -> dict[str, list[Any]]:
    return {metric: rows for metric, rows in found.items() if metric not in REPORTS}


async def test_samples_get_their_targets_labels() -> None:
    found = await World().scraped('# TYPE hits counter\nhits{code="200"} 3\nhits_total 4\n')
    assert of_target(found) == {"hits": [({**OWN, "code": "200"}, 3, 0)], "hits_total": [(OWN, 4, 0)]}
    assert {metric: rows[0][1] for metric, rows in found.items() if metric != "scrape_duration_seconds"} == {
        "hits": 3,
        "hits_total": 4,
        "up": 1,
        "scrape_samples_scraped": 2,
        "scrape_samples_post_metric_relabeling": 2,
        "scrape_series_added": 2,
    }


async def test_openmetrics_with_times_and_exemplars() -> None:
    world = World()
    world.media_type = OPENMETRICS
    found = await world.scraped(
        "# TYPE hits counter\n"
        f'hits_total{{a="b"}} 3 {NOW_MS / 1000} # {{trace="x"}} 1\n'
        "# TYPE up_since gauge\nup_since 5\n# EOF\n"
    )
    assert of_target(found) == {"hits_total": [({**OWN, "a": "b"}, 3, -15_000)], "up_since": [(OWN, 5, 0)]}


@pytest.mark.parametrize(
    ("honor", "labels"),
    [
        pytest.param(False, {**OWN, "exported_job": "other", "exported_exported_job": "first"}, id="renamed"),
        pytest.param(True, {"instance": "a:9100", "job": "other", "exported_job": "first"}, id="honored"),
    ],
)
async def test_labels_that_the_target_has_too(honor: bool, labels: dict[str, str]) -> None:
    found = await World(honor_labels=honor).scraped('x{job="other",exported_job="first"} 1\n')
    if not honor:
        labels = {**OWN, "exported_job": "first", "exported_exported_job": "other"}
    assert of_target(found) == {"x": [(labels, 1, 0)]}


@pytest.mark.parametrize(("honor", "age_ms"), [pytest.param(True, -15_000, id="on"), pytest.param(False, 0, id="off")])
async def test_a_targets_times(honor: bool, age_ms: int) -> None:
    world = World(honor_timestamps=honor)
    assert of_target(await world.scraped(f"x 1 {NOW_MS}\n")) == {"x": [(OWN, 1, age_ms)]}
    gone = of_target(await world.scraped(""))
    assert gone == ({} if honor else {"x": [(OWN, "stale", 0)]})


@pytest.mark.parametrize("time", ["1", "1e300", "-1e300", "99999999999999999999", str(NOW_MS + 10**9)])
async def test_times_that_cannot_be_are_left_out(time: str) -> None:
    found = await World().scraped(f"x 1 {time}\ny 1\n")
    assert of_target(found) in ({"y": [(OWN, 1, 0)]}, {})
    assert found["up"][0][1] == (1 if "y" in found else 0)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(text=st.text(max_size=60) | st.lists(st.sampled_from(PIECES), max_size=20).map("".join), strict=st.booleans())
def test_any_answer_is_read_or_unreadable(text: str, strict: bool) -> None:
    with suppress(exposition.UnreadableError):
        for sample in exposition.samples(text.encode(), OPENMETRICS if strict else TEXT):
            assert sample.labels["__name__"] is not None


async def test_a_series_that_goes_away_is_stale_once() -> None:
    world = World()
    await world.scraped("x 1\ny 2\n")
    assert of_target(await world.scraped("x 1\n")) == {"x": [(OWN, 1, 0)], "y": [(OWN, "stale", 0)]}
    assert of_target(await world.scraped("x 1\n")) == {"x": [(OWN, 1, 0)]}


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(ScrapeError("timeout", "no answer"), id="no-answer"),
        pytest.param("x{ 1\n", id="unreadable"),
        pytest.param("x 1\ny 1\nz 1\n", id="sample-limit"),
        pytest.param(f'x{{l="{"v" * 50}"}} 1\n', id="label-value-limit"),
    ],
)
async def test_a_scrape_that_fails_is_down_and_all_is_stale(answer: Any) -> None:
    world = World(sample_limit=2, label_value_length_limit=20)
    await world.scraped("x 1\ny 2\n")
    found = await world.scraped(answer)
    assert found["up"] == [(OWN, 0, 0)]
    assert of_target(found) == {"x": [(OWN, "stale", 0)], "y": [(OWN, "stale", 0)]}
    assert (await world.scraped("x 1\n"))["up"] == [(OWN, 1, 0)]


async def test_a_target_that_is_no_more_ends_with_all_its_series() -> None:
    world = World()
    await world.scraped("x 1\n")
    found = await world.after(world.scraper.end())
    assert {metric for metric, rows in found.items() if rows[0][1] == "stale"} == {"x", *REPORTS}


async def test_rules_for_metrics_leave_reports_alone() -> None:
    world = World(metric_relabel_configs=[{"action": "keep", "source_labels": ["__name__"], "regex": "x"}])
    found = await world.scraped("x 1\ny 2\n")
    assert of_target(found) == {"x": [(OWN, 1, 0)]}
    assert found["scrape_samples_post_metric_relabeling"][0][1] == 1
    assert found["scrape_samples_scraped"][0][1] == 2


async def test_too_many_series_leave_those_that_are_in(caplog: pytest.LogCaptureFixture) -> None:
    world = World(series={"metric_series": 2})
    for _ in range(2):
        found = await world.scraped("".join(f'x{{pod="p{n}"}} {n}\n' for n in range(5)))
        assert [rows[0]["pod"] for rows in found["x"]] == ["p0", "p1"]
        assert found["up"] == [(OWN, 1, 0)]
    assert sum("'pod'" in record.message for record in caplog.records) == 2  # the bound's own line, and the target's
