"""Real runs, short: every engine counts what the oracle counts, and nothing is left running."""

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from abdrift.cli import build

_HERE = ("abdrift", "fetch-only", "decode-only", "encode")
_PEERS = ("kafka-streams", "kafka-streams-frames", "flink", "quixstreams", "bytewax", "faust")


def _children() -> set[str]:
    return set(Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split())


@pytest.mark.parametrize(
    ("names", "rows"),
    [
        pytest.param(_HERE, 20_000, id="here", marks=pytest.mark.parts),
        pytest.param(_PEERS, 40_000, id="peers", marks=pytest.mark.soak),
    ],
)
def test_a_line_an_engine(names: tuple[str, ...], rows: int, tmp_path: Path) -> None:
    plot, affinity, before = tmp_path / "plot.svg", os.sched_getaffinity(0), _children()
    options = ("--rows", str(rows), "--repeats", "1", "--rows-per-frame", "500", "--plot", str(plot), "--json")
    ended = CliRunner().invoke(build(), ["bench", "firehose", "--engines", ",".join(names), *options])
    assert ended.exit_code == 0, ended.stderr
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [line["engine"] for line in lines] == [name for name in (*_HERE[:1], *_PEERS, *_HERE[1:]) if name in names]
    for line in lines:
        assert line["rows_per_second_core"] > 0
        assert line["cpu_seconds_per_million_rows"] >= 0
        assert line["bytes_per_row"] > 0
        assert line["rows"] >= rows
    assert plot.read_text().startswith("<svg")
    assert os.sched_getaffinity(0) == affinity
    assert not _children() - before


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param(("--engines", "storm"), "no engine 'storm'", id="engine"),
        pytest.param(("--rows-per-frame", "many"), "no list of sizes", id="sizes"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: tuple[str, ...], said: str) -> None:
    ended = CliRunner().invoke(build(), ["bench", "firehose", *options])
    assert ended.exit_code == 2
    assert said in ended.stderr


def test_a_machine_without_java_is_told_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ABDRIFT_JAVA", str(tmp_path / "nowhere"))
    ended = CliRunner().invoke(build(), ["bench", "firehose", "--engines", "kafka-streams"])
    assert ended.exit_code == 1
    assert "ABDRIFT_JAVA" in ended.stderr
