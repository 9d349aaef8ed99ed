"""Kafka is away under load from every kind of sender at once: what outage.py tells, in short and whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.outage import Load, run

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.parts

SHORT = Load(before_seconds=2, away_seconds=6, after_seconds=2, events_per_second=50, answer_seconds=3)
"""Shorter than it takes a receiver to call itself not ready."""
RESIDENT_MB = 400


@pytest.mark.parametrize(
    "load",
    [
        pytest.param(SHORT, id="short"),
        pytest.param(Load(), id="stopped", marks=pytest.mark.soak),
        pytest.param(Load(kill=True), id="killed", marks=pytest.mark.soak),
    ],
)
async def test_what_was_acknowledged_is_there_and_nothing_more_often_than_it_was_sent(
    load: Load, tmp_path: Path
) -> None:
    figures = await run(load, tmp_path)
    senders, receiver = figures["senders"], figures["receiver"]
    assert not figures["stuck"], figures
    assert all(each["acked"] for each in senders.values()), figures
    assert {name: each["missing"] for name, each in senders.items()} == dict.fromkeys(senders, 0), figures
    doubled = {
        name: each["doubled"] for name, each in senders.items() if each.get("doubled", 0) > each.get("sent_again", 0)
    }
    assert not doubled, figures
    by_us = ("logstash", "vector", "fluent-bit", "beats", "flux")
    assert {name: senders[name]["more_than_sent"] for name in by_us} == dict.fromkeys(by_us, 0), figures
    assert (figures["frames_missing"], figures["dead_letters"]) == (0, 0), figures
    assert (receiver["acked_while_away"], receiver["is_ready_at_last"]) == (0, True), figures
    assert receiver["resident_highest_mb"] <= RESIDENT_MB, figures
    if load is not SHORT:
        assert receiver["unready_after_seconds"] is not None, figures
