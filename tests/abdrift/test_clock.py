"""Times as milliseconds, there and back."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abdrift.clock import parse_rfc3339_ms, to_datetime, to_ms, wall_clock_ms
from abdrift.facts.base import rfc3339


@given(st.integers(0, 4_102_444_800_000))
def test_milliseconds_survive_text(time_ms: int) -> None:
    text = rfc3339(to_datetime(time_ms))
    assert to_ms(to_datetime(time_ms)) == time_ms
    assert parse_rfc3339_ms(text) == time_ms
    assert len(text) == len("2023-11-14T22:13:20.000Z")
    assert text.endswith("Z")


@pytest.mark.parametrize(
    ("text", "time_ms"),
    [
        pytest.param("2023-11-14T22:13:20Z", 1_700_000_000_000, id="kubernetes-time"),
        pytest.param("2023-11-14T22:13:20.123456Z", 1_700_000_000_123, id="kubernetes-micro-time"),
        pytest.param("2023-11-14T22:13:20.123456789Z", 1_700_000_000_123, id="go-nanoseconds"),
        pytest.param("2023-11-15T00:13:20+02:00", 1_700_000_000_000, id="offset"),
        pytest.param("2023-11-14T22:13:20", 1_700_000_000_000, id="no-offset-is-utc"),
        pytest.param("", None, id="empty"),
        pytest.param("yesterday", None, id="no-time"),
        pytest.param(None, None, id="absent"),
        pytest.param(1_700_000_000, None, id="a-number"),
        pytest.param({}, None, id="an-object"),
    ],
)
def test_rfc3339(text: object, time_ms: int | None) -> None:
    assert parse_rfc3339_ms(text) == time_ms


def test_the_wall_clock_tells_milliseconds() -> None:
    assert abs(to_datetime(wall_clock_ms()) - datetime.now(UTC)).total_seconds() < 60
