"""`abdrift bench`: the same job here and on peers, side by side, on a real broker of its own."""

import signal
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.table import Table

from abdrift.broker import BrokerError
from benchmarks import report
from benchmarks.engines import ALL, NAMES
from benchmarks.environment import PeersMissingError
from benchmarks.firehose import ROWS_PER_FRAME, FirehoseSpec, run
from benchmarks.java import CompileError
from benchmarks.measuring import RunError
from benchmarks.oracle import WrongCountsError


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    group = typer.Typer(help="Measure this machine: Abdrift and its peers, side by side.", no_args_is_help=True)
    group.callback()(_group)
    group.command("firehose")(firehose)
    app.add_typer(group, name="bench")


def _group() -> None:
    """Measure this machine: Abdrift and its peers, side by side."""


def firehose(
    engines: Annotated[
        str, typer.Option(help=f"Which, by comma: {', '.join(NAMES)}. Ratios need kafka-streams.")
    ] = ",".join(NAMES),
    repeats: Annotated[int, typer.Option(min=1, help="Runs of each engine; medians are reported.")] = 5,
    seconds: Annotated[float, typer.Option(min=0.1, help="About how long one run takes.")] = 10.0,
    rows: Annotated[int | None, typer.Option(min=1, help="Rows of each run, instead of --seconds.")] = None,
    rows_per_frame: Annotated[
        str, typer.Option(help="Sizes of frames, by comma; the first is what peers are compared with.")
    ] = ",".join(map(str, ROWS_PER_FRAME)),
    clusters_per_frame: Annotated[
        int | None, typer.Option(min=1, help="Of each frame; 1 is one cluster a record.", show_default="a lane's")
    ] = None,
    fleet_rows_per_second: Annotated[
        int, typer.Option(min=1_000, help="How fast the fleet speaks, by its own clock and the broker's.")
    ] = 5_000_000,
    seed: Annotated[int, typer.Option(help="Of the workload.")] = 1,
    plot: Annotated[Path | None, typer.Option(help="Write a plot there, as SVG.")] = None,
    flame: Annotated[
        Path | None, typer.Option(help="Write a flame graph of Abdrift's worker there, as SVG. It slows the worker.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a line of JSON an engine.")] = False,
) -> None:
    """Count a fleet's events from Kafka on every engine in turn, one core each, and compare.

    Kafka, the peers' libraries and their Java classes are fetched and compiled at the first run, and kept.
    """
    spec = FirehoseSpec(
        engines=[engine for engine in ALL.values() if engine.name in _chosen(engines)],
        repeats=repeats,
        seconds=seconds,
        rows=rows,
        rows_per_frame=_sizes(rows_per_frame),
        seed=seed,
        fleet_rows_per_second=fleet_rows_per_second,
        clusters_per_frame=clusters_per_frame,
        profile=flame,
    )
    errors = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    # A SIGTERM ends it as Ctrl-C does, so that its topics are not left on the disk.
    former = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        measured = report.lines(run(spec, errors.print))
    except (BrokerError, CompileError, PeersMissingError, RunError, WrongCountsError) as error:
        errors.print(f"Error: {error}")
        raise typer.Exit(1) from error
    finally:
        signal.signal(signal.SIGTERM, former)
    if plot:
        plot.write_text(report.plot(measured))
    if as_json:
        for line in measured:
            typer.echo(orjson.dumps(line))
        return
    _print(measured)


def _chosen(engines: str) -> set[str]:
    chosen = {name.strip() for name in engines.split(",") if name.strip()}
    if unknown := sorted(chosen - set(NAMES)):
        raise typer.BadParameter(f"no engine {unknown[0]!r}; there are: {', '.join(NAMES)}", param_hint="--engines")
    return chosen


def _sizes(text: str) -> list[int]:
    sizes = [part.strip() for part in text.split(",")]
    if not all(size.isdigit() and int(size) for size in sizes):
        raise typer.BadParameter(f"{text!r} is no list of sizes, as 10000,2000", param_hint="--rows-per-frame")
    return [int(size) for size in sizes]


def _print(measured: list[dict[str, object]]) -> None:
    heading, _, *rows = report.table(measured).splitlines()
    table = Table(*(cell.strip() for cell in heading.strip("|").split("|")))
    for row in rows:
        table.add_row(*(cell.strip() for cell in row.strip("|").split("|")))
    Console().print(table)
