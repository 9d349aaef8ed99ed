"""Token buckets on a clock of the test's own, and bodies within a size."""

from __future__ import annotations

import gzip
import zlib

import pytest

from collectors.receiving import RefusedError
from collectors.receiving.bodies import unpacked
from collectors.receiving.config import Rate
from collectors.receiving.limits import Allowance, Bucket


def test_what_is_taken_flows_back_up_to_the_capacity() -> None:
    bucket = Bucket(per_second=10, capacity=20, level=20, filled_seconds=0)
    bucket.take(20, 0)
    assert bucket.wait_seconds(0) == pytest.approx(0.1)
    assert bucket.wait_seconds(0.1) == 0
    bucket.take(21, 1_000)
    assert bucket.wait_seconds(1_000) == pytest.approx(0.2)


def test_more_than_the_capacity_passes_once_and_is_waited_off() -> None:
    bucket = Bucket(per_second=10, capacity=20, level=20, filled_seconds=0)
    bucket.take(120, 0)
    assert bucket.wait_seconds(0) == pytest.approx(10.1)


def test_a_clock_that_stands_or_goes_back_gives_nothing() -> None:
    bucket = Bucket(per_second=10, capacity=20, level=0, filled_seconds=100)
    assert bucket.wait_seconds(50) == pytest.approx(0.1)
    assert bucket.wait_seconds(100) == pytest.approx(0.1)


@pytest.mark.parametrize("field", ["requests", "size"])
def test_each_of_its_rates_holds_a_client_back(field: str) -> None:
    allowance = Allowance.of(Rate(requests_per_second=1, bytes_per_second=1, burst_seconds=2), 0)
    getattr(allowance, field).take(2, 0)
    assert allowance.wait_seconds(0) == pytest.approx(1)


PLAIN = b"some text " * 100
RAW = zlib.compressobj(wbits=-15)
BARE = RAW.compress(PLAIN) + RAW.flush()


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        pytest.param(PLAIN, "", id="none"),
        pytest.param(PLAIN, "identity", id="identity"),
        pytest.param(gzip.compress(PLAIN), "gzip", id="gzip"),
        pytest.param(gzip.compress(PLAIN[:500]) + gzip.compress(PLAIN[500:]), "GZIP", id="gzip-in-members"),
        pytest.param(zlib.compress(PLAIN), "deflate", id="deflate"),
        pytest.param(BARE, "deflate", id="deflate-without-header"),
    ],
)
def test_a_body_is_unpacked(body: bytes, encoding: str) -> None:
    assert unpacked(body, encoding, len(PLAIN)) == PLAIN


@pytest.mark.parametrize(
    ("body", "encoding", "status"),
    [
        pytest.param(gzip.compress(bytes(10_000_000)), "gzip", 413, id="bomb"),
        pytest.param(gzip.compress(PLAIN[:600]) * 2, "gzip", 413, id="bomb-in-members"),
        pytest.param(zlib.compress(PLAIN + b"!"), "deflate", 413, id="one-byte-more"),
        pytest.param(gzip.compress(PLAIN)[:-9], "gzip", 400, id="cut-short"),
        pytest.param(b"no gzip", "gzip", 400, id="no-gzip"),
        pytest.param(gzip.compress(PLAIN) + b"rest", "gzip", 400, id="something-behind"),
        pytest.param(PLAIN, "br", 415, id="unknown"),
    ],
)
def test_a_body_that_cannot_be_unpacked_is_refused(body: bytes, encoding: str, status: int) -> None:
    with pytest.raises(RefusedError) as refused:
        unpacked(body, encoding, len(PLAIN))
    assert refused.value.status == status
