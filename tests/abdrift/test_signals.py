"""Rows, columns and details of each signal agree with one another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from abdrift import frames
from abdrift.signals import alerts, events, levels, logs, objects, rates, samples
from abdrift.signals.objects import (
    HeartbeatDetail,
    LostDetail,
    ObjectRow,
    RemoteDetail,
    RemoteHead,
    SyncDetail,
    decode_detail,
    encode_detail,
)

if TYPE_CHECKING:
    from abdrift.signals.schema import Signal

ROWS = {
    "alerts": alerts.AlertRow,
    "events": events.EventRow,
    "levels": levels.LevelRow,
    "logs": logs.LogRow,
    "objects": objects.ObjectRow,
    "rates": rates.RateRow,
    "samples": samples.SampleRow,
}


@pytest.mark.parametrize("signal", frames.SIGNALS.values(), ids=lambda s: s.name)
def test_a_signals_columns_are_its_rows_fields(signal: Signal) -> None:
    assert tuple(column.name for column in signal.columns) == ROWS[signal.name].__struct_fields__
    assert signal.column(signal.event_time_column).required
    assert all(column.default is not None for column in signal.columns if not column.required)
    with pytest.raises(KeyError):
        signal.column("weather")


@pytest.mark.parametrize(
    "detail",
    [
        SyncDetail(began_ms=1, objects=2, gap_since_ms=3, gap_reason="watch-expired", selector="a=b"),
        LostDetail(reason="forbidden", message="m", since_ms=1),
        HeartbeatDetail(cluster_uid="u", interval_ms=1, started_ms=2, labels={"site": "ber"}, dropped={"full": 1}),
        RemoteDetail(heads={"refs/heads/main": RemoteHead(sha="abc", time_ms=1)}),
        RemoteDetail(error="timeout"),
    ],
    ids=lambda d: type(d).__name__,
)
def test_a_detail_survives_its_row(detail: msgspec.Struct) -> None:
    row = ObjectRow(cluster="c", op="synced", observed_ms=1, detail=encode_detail(detail))
    assert decode_detail(row, type(detail)) == detail


def test_a_detail_of_another_kind_is_refused() -> None:
    row = ObjectRow(cluster="c", op="synced", observed_ms=1, detail=b'{"reason":"x"}')
    with pytest.raises(msgspec.ValidationError):
        decode_detail(row, SyncDetail)
    with pytest.raises(msgspec.DecodeError):
        decode_detail(ObjectRow(cluster="c", op="synced", observed_ms=1), SyncDetail)


def test_an_object_is_parsed_or_refused() -> None:
    assert ObjectRow(cluster="c", op="added", observed_ms=1, object=b'{"a":1}').parsed() == {"a": 1}
    for broken in (b"", b"{", b"[1]", b"null"):
        with pytest.raises(ValueError, match=r".+"):
            ObjectRow(cluster="c", op="added", observed_ms=1, object=broken).parsed()
