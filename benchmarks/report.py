"""What was measured, as lines of JSON, as tables and as a plot. Pure.

`python -m benchmarks.report FILE` prints the Markdown tables of lines that `abdrift bench firehose --json` printed.
"""

import json
import math
import statistics
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.engines import NAMES
from benchmarks.firehose import Series

REFERENCE: Final = "kafka-streams"
Line = Mapping[str, Any]

_MIB: Final = 1 << 20
_DIGITS: Final = 4


def lines(series: Iterable[Series]) -> list[dict[str, Any]]:
    """Return a line an engine: medians on the first shape, and under `variants` those on others or with other state."""
    measured = [_line(one) for one in series if one.runs]
    by_name: dict[str, list[dict[str, Any]]] = {}
    for line in measured:
        by_name.setdefault(line["engine"], []).append(line)
    reference = next(
        (of_name[0]["rows_per_second_core"] for name, of_name in by_name.items() if name == REFERENCE), None
    )
    for line in measured:
        ratio = line["rows_per_second_core"] / reference if reference else None
        line["ratio_to_kafka_streams"] = None if ratio is None else _rounded(ratio)
    return [
        {**by_name[name][0], **({"variants": by_name[name][1:]} if by_name[name][1:] else {})}
        for name in NAMES
        if name in by_name
    ]


def _line(series: Series) -> dict[str, Any]:
    rates = [run.rows_per_second for run in series.runs]
    return {
        "engine": series.engine.name,
        "rows_per_second_core": round(statistics.median(rates)),
        "cpu_seconds_per_million_rows": _rounded(
            statistics.median(run.cpu_seconds_per_million_rows for run in series.runs)
        ),
        "bytes_per_row": round(series.bytes_per_row, 2),
        "ratio_to_kafka_streams": None,
        "state": series.engine.state,
        "rows_per_frame": series.rows_per_frame if series.engine.reads.has_frames else None,
        "memory_mib": round(statistics.median(run.memory_bytes for run in series.runs) / _MIB),
        "broker_cpu_seconds_per_million_rows": _rounded(
            statistics.median(series.broker_cpu_seconds or (0.0,)) / series.runs[0].rows * 1e6
        ),
        "rows": series.runs[0].rows,
        "core_taken_by_others": _rounded(statistics.median(run.foreign_share for run in series.runs)),
        "runs": [round(rate) for rate in rates],
    }


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


_HEADINGS: Final = (
    "engine",
    "rows/s on a core",
    "slowest and fastest run",
    "to Kafka Streams",
    "CPU s a million rows",
    "bytes a row",
    "MiB",
)


def table(measured: Sequence[Line]) -> str:
    """Return the lines as a Markdown table, an engine or variant a row."""
    rows = ["| " + " | ".join(_HEADINGS) + " |", "| --- |" + " ---: |" * (len(_HEADINGS) - 1)]
    for line in measured:
        rows += [_row(one) for one in (line, *line.get("variants", ()))]
    return "\n".join(rows)


def _row(line: Line) -> str:
    name = line["engine"]
    if line["rows_per_frame"]:
        name += f", frames of {line['rows_per_frame']:,}"
    elif line["state"] == "heap":
        name += ", state on the heap"
    ratio = line["ratio_to_kafka_streams"]
    runs = line["runs"]
    return (
        f"| {name} | {line['rows_per_second_core']:,} | {min(runs):,} to {max(runs):,} "
        f"| {'' if ratio is None else f'{ratio:,.4g}'} | {line['cpu_seconds_per_million_rows']:,.4g} "
        f"| {line['bytes_per_row']:.4g} | {line['memory_mib']:,} |"
    )


_WIDTH, _BAR, _LEFT, _RIGHT = 860, 22, 250, 110
_COLOURS: Final = {"abdrift": "#1f6feb", "limits": "#b9c2cc", "peers": "#6e7781"}
_LIMITS: Final = ("fetch-only", "decode-only", "encode")


def plot(measured: Sequence[Line]) -> str:
    """Return rows/s a core as an SVG of bars on a logarithmic axis."""
    flat = [one for line in measured for one in (line, *line.get("variants", ()))]
    rates = [one["rows_per_second_core"] for one in flat]
    low, high = 10 ** math.floor(math.log10(min(rates))), 10 ** math.ceil(math.log10(max(rates)))
    decades = max(1.0, math.log10(high / low))
    scale = (_WIDTH - _LEFT - _RIGHT) / decades
    height = _BAR * len(flat) + 60
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}">',
        "<style>text { font: 12px sans-serif }</style>",
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        '<text x="12" y="20" style="font-size: 14px">Rows a second on one core (logarithmic)</text>',
    ]
    for decade in range(round(decades) + 1):
        x = _LEFT + decade * scale
        parts.append(f'<line x1="{x:.1f}" y1="32" x2="{x:.1f}" y2="{height - 22}" stroke="#d0d7de"/>')
        parts.append(f'<text x="{x:.1f}" y="{height - 8}" text-anchor="middle">{_short(low * 10**decade)}</text>')
    for index, one in enumerate(flat):
        y = 38 + index * _BAR
        width = math.log10(one["rows_per_second_core"] / low) * scale
        colour = _COLOURS.get(one["engine"]) or _COLOURS["limits" if one["engine"] in _LIMITS else "peers"]
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 13}" text-anchor="end">{_row(one).split("|")[1].strip()}</text>')
        parts.append(f'<rect x="{_LEFT}" y="{y}" width="{width:.1f}" height="{_BAR - 6}" fill="{colour}"/>')
        parts.append(f'<text x="{_LEFT + width + 6:.1f}" y="{y + 13}">{one["rows_per_second_core"]:,}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _short(value: float) -> str:
    for size, suffix in ((1e9, " billion"), (1e6, " million"), (1e3, ",000")):
        if value >= size:
            return f"{value / size:g}{suffix}"
    return f"{value:g}"


def main() -> None:
    """Print the table of a file of lines."""
    measured = [json.loads(line) for line in Path(sys.argv[1]).read_text().splitlines()]
    sys.stdout.write(table(measured) + "\n")


if __name__ == "__main__":
    main()
