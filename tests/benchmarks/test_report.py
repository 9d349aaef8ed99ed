"""Lines, tables and plots say what the series hold, an engine a line."""

import xml.etree.ElementTree as ET

import pytest

from benchmarks import engines, report
from benchmarks.firehose import Series
from benchmarks.measuring import Measured


def series(key: str, rows_per_frame: int, *rates: float) -> Series:
    runs = [Measured(1_000_000, rate, 1e6 / rate, 100 << 20) for rate in rates]
    return Series(engines.ALL[key], rows_per_frame, 6.8125, runs)


MEASURED = [
    series("abdrift", 10_000, 6e6, 9e6, 8e6),
    series("kafka-streams", 10_000, 100_000, 90_000, 110_000),
    series("flink", 10_000, 80_000),
    series("flink-heap", 10_000, 150_000),
    series("abdrift", 500, 1e6),
]


def test_one_line_an_engine_with_medians_and_variants() -> None:
    abdrift, kafka_streams, flink = report.lines(MEASURED)
    assert abdrift["engine"] == "abdrift"
    assert abdrift["rows_per_second_core"] == 8_000_000
    assert abdrift["cpu_seconds_per_million_rows"] == 0.125
    assert abdrift["bytes_per_row"] == 6.81
    assert abdrift["ratio_to_kafka_streams"] == 80
    assert [(v["rows_per_frame"], v["ratio_to_kafka_streams"]) for v in abdrift["variants"]] == [(500, 10)]
    assert kafka_streams["ratio_to_kafka_streams"] == 1
    assert kafka_streams["rows_per_frame"] is None
    assert flink["state"].startswith("RocksDB")
    assert [v["state"] for v in flink["variants"]] == ["heap"]


def test_without_kafka_streams_there_are_no_ratios() -> None:
    (line,) = report.lines(MEASURED[:1])
    assert line["ratio_to_kafka_streams"] is None
    assert report.table([line]).count("\n") == 2


def test_a_table_has_a_row_a_line_and_variant() -> None:
    rows = report.table(report.lines(MEASURED)).splitlines()
    assert len(rows) == 2 + len(MEASURED)
    assert rows[2].startswith("| abdrift, frames of 10,000 | 8,000,000 | 6,000,000 to 9,000,000 | 80 | 0.125 |")
    assert len({row.count("|") for row in rows}) == 1


def test_a_plot_is_xml_with_longer_bars_for_faster_engines() -> None:
    root = ET.fromstring(report.plot(report.lines(MEASURED)))
    bars = [float(e.attrib["width"]) for e in root.iter() if e.tag.endswith("rect") and e.attrib.get("x")]
    by_name = dict(zip([s.engine.key + str(s.rows_per_frame) for s in _in_order()], bars, strict=True))
    assert by_name["abdrift10000"] > by_name["abdrift500"] > by_name["flink-heap10000"] > by_name["flink10000"]


def _in_order() -> list[Series]:
    return [MEASURED[0], MEASURED[4], MEASURED[1], MEASURED[2], MEASURED[3]]


@pytest.mark.parametrize("name", engines.NAMES)
def test_every_engine_is_named_as_the_contract_has_it(name: str) -> None:
    assert name in {
        *("abdrift", "kafka-streams", "kafka-streams-frames", "flink", "quixstreams", "bytewax", "faust"),
        *("fetch-only", "decode-only", "encode"),
    }
