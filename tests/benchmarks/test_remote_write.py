"""Captured requests are the same at later times; lines say what the runs gave."""

from __future__ import annotations

import numpy as np

from benchmarks import remote_write
from benchmarks.captured import Body, Captured, body_of, chained
from benchmarks.measuring import Measured
from benchmarks.remote_write import _Runs
from collectors.prometheus import snappy, write_v1
from collectors.prometheus.cardinality import SeriesLimits
from collectors.prometheus.catalogue import Catalogue
from collectors.prometheus.relabelling import Rules
from tests.collectors.prometheus.writing import Series, request_v1

NOW_MS = 1_795_000_000_000


def body(*samples: tuple[float, int]) -> Body:
    series = [Series({"__name__": f"m{n}"}, [sample]) for n, sample in enumerate(samples)]
    found = body_of(request_v1(series))
    assert found
    return found


def decoded(body: bytes) -> tuple[list[float], list[int]]:
    raw = snappy.decompressed(body, 1 << 20)
    found = write_v1.decode(raw, "bench", Catalogue(SeriesLimits(), Rules()), lambda _: "bench", 1_000)
    return found.values.tolist(), found.times_ms.tolist()


def test_a_body_is_moved_in_time_and_nothing_else() -> None:
    found = body((1.5, NOW_MS), (0.0, NOW_MS + 7), (-2.0, NOW_MS - 400))
    assert decoded(found.moved(123_456)) == ([1.5, 0.0, -2.0], [NOW_MS + t + 123_456 for t in (0, 7, -400)])


def test_requests_of_another_layout_are_left_out() -> None:
    assert body_of(request_v1([Series({"__name__": "m"}, [(1.0, 5)])])) is None
    assert body_of(b"") is None


def test_there_is_enough_of_what_was_captured_and_it_goes_on_in_time() -> None:
    captured = Captured((body((1.0, NOW_MS), (2.0, NOW_MS + 1)), body((3.0, NOW_MS + 2))), span_ms=1_000)
    bodies = list(captured.enough(7))
    assert [body.rows for _, body in bodies] == [2, 1, 2, 1, 2]
    times = np.array([time for request, _ in bodies for time in decoded(request)[1]])
    assert (np.diff(times) > 0).all()
    assert times[3] - times[0] == 1_000


def test_requests_with_a_series_in_common_are_a_chain() -> None:
    def of(*names: str) -> Body:
        found = body_of(request_v1([Series({"__name__": name}, [(1.0, NOW_MS)]) for name in names]))
        assert found
        return found

    chains = [each.chain for each in chained([of("a"), of("b"), of("c"), of("d", "a"), of("c", "d"), of("b")])]
    assert chains[0] == chains[2] == chains[3] == chains[4]
    assert chains[1] == chains[5] != chains[0]


def test_a_line_an_engine() -> None:
    abdrift, prometheus = (
        _Runs(name, [Measured(10, rate, 2.0, 3 << 20) for rate in rates], [20.0], [0.5])
        for name, rates in (("abdrift", (3.0, 9.0, 6.0)), ("prometheus", (2.0, 4.0, 3.0)))
    )
    first, second = remote_write.lines([abdrift, prometheus])
    assert (first["engine"], first["rows_per_second_core"], first["ratio_to_prometheus"]) == ("abdrift", 6, 2.0)
    assert (second["engine"], second["rows_per_second_core"], second["ratio_to_prometheus"]) == ("prometheus", 3, 1.0)
    assert first["cpu_seconds_per_million_rows"] == 2.0
    assert first["bytes_per_row"] == 20.0
    assert remote_write.lines([abdrift])[0]["ratio_to_prometheus"] is None
