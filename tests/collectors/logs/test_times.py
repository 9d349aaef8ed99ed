"""Times in every form that senders give them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collectors.logs import times
from tests.collectors.logs.events import OBSERVED_MS, TIME_MS


@pytest.mark.parametrize(
    "value",
    [
        "2026-11-23T13:42:13.250Z",
        "2026-11-23T13:42:13.250123456Z",
        "2026-11-23T13:42:13,250Z",
        "2026-11-23T14:42:13.250+01:00",
        "2026-11-23T14:42:13.250+0100",
        "2026-11-23 13:42:13.250",
        "2026-11-23 13:42:13.250 UTC",
        "2026-11-23 08:42:13.250 -0500",
        1795441333.25,
        "1795441333.25",
        1795441333250,
        "1795441333250",
        1795441333250000,
        1795441333250000123,
        "1795441333250000123",
        "Nov 23 13:42:13.250",
    ],
)
def test_a_moment_in_many_forms(value: Any) -> None:
    assert times.parse_ms(value, OBSERVED_MS) == TIME_MS


@pytest.mark.parametrize(
    ("value", "near", "read"),
    [
        pytest.param("23/Nov/2026:14:42:13 +0100", None, "2026-11-23T13:42:13", id="common-log-format"),
        pytest.param("Nov  3 01:02:03", None, "2026-11-03T01:02:03", id="syslog-pads-days"),
        pytest.param("Dec 31 23:59:59", "2027-01-01T00:00:05", "2026-12-31T23:59:59", id="syslog-last-year"),
        pytest.param("Jan  1 00:00:05", "2026-12-31T23:59:59", "2027-01-01T00:00:05", id="syslog-next-year"),
        pytest.param("Feb 29 12:00:00", "2027-03-01T00:00:00", "2024-02-29T12:00:00", id="syslog-leap-day"),
        pytest.param(1795441333, None, "2026-11-23T13:42:13", id="whole-seconds"),
    ],
)
def test_forms_of_their_own(value: Any, near: str | None, read: str) -> None:
    def in_ms(text: str) -> int:
        return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)

    assert times.parse_ms(value, in_ms(near) if near else OBSERVED_MS) == in_ms(read)


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, "", "soon", 0, -1, 12, float("nan"), float("inf"), 10**30, "9" * 40, "x" * 10_000, [], {}),
        *("Foo 99 13:42:13", "Nov 31 13:42:13", "2026-13-45T99:99:99Z", "23/Zzz/2026:14:42:13 +0100"),
    ],
)
def test_what_is_no_time(value: Any) -> None:
    assert times.parse_ms(value, OBSERVED_MS) is None


@given(st.one_of(st.text(max_size=70), st.integers(), st.floats(), st.datetimes().map(str)), st.integers(0, 4 * 10**12))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_value_is_a_time_or_none(value: Any, near_ms: int) -> None:
    assert isinstance(times.parse_ms(value, near_ms), int | None)
