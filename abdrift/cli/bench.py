"""`abdrift bench`: the same job here and on peers, side by side, on a real broker of its own."""

import contextlib
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.table import Table

from abdrift.broker import BrokerError
from benchmarks import remote_write as receivers
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
    group.command("remote-write")(remote_write)
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
    with _told(errors):
        measured = report.lines(run(spec, errors.print))
    if plot:
        plot.write_text(report.plot(measured))
    if as_json:
        for line in measured:
            typer.echo(orjson.dumps(line))
        return
    _print(measured)


def remote_write(
    engines: Annotated[
        str, typer.Option(help=f"Which, by comma: {', '.join(receivers.NAMES)}. Ratios need prometheus.")
    ] = ",".join(receivers.NAMES),
    repeats: Annotated[int, typer.Option(min=1, help="Runs of each engine; medians are reported.")] = 5,
    seconds: Annotated[float, typer.Option(min=0.1, help="About how long one run takes.")] = 10.0,
    rows: Annotated[int | None, typer.Option(min=1, help="Rows of each run, instead of --seconds.")] = None,
    samples_per_request: Annotated[int, typer.Option(min=1, max=20_000, help="As Prometheus sends them.")] = 2_000,
    flame: Annotated[
        Path | None, typer.Option(help="Write a flame graph of Abdrift's receiver there, as SVG. It slows it.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a line of JSON an engine.")] = False,
) -> None:
    """Receive the same captured remote-write requests here and in Prometheus, one core each, and compare.

    Needs the program prometheus.
    """
    spec = receivers.RemoteWriteSpec(
        engines=[name for name in receivers.NAMES if name in _chosen(engines, receivers.NAMES)],
        repeats=repeats,
        seconds=seconds,
        rows=rows,
        samples_per_request=samples_per_request,
        profile=flame,
    )
    errors = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    with _told(errors):
        measured = receivers.run(spec, errors.print)
    if as_json:
        for line in measured:
            typer.echo(orjson.dumps(line))
        return
    table = Table(*measured[0])
    for line in measured:
        table.add_row(*map(str, line.values()))
    Console().print(table)


@contextlib.contextmanager
def _told(errors: Console) -> Iterator[None]:
    """Show what a run may fail of in a line. A SIGTERM ends it as Ctrl-C does, so that nothing is left on the disk."""
    former = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except (BrokerError, CompileError, PeersMissingError, RunError, WrongCountsError) as error:
        errors.print(f"Error: {error}")
        raise typer.Exit(1) from error
    finally:
        signal.signal(signal.SIGTERM, former)


def _chosen(engines: str, names: Sequence[str] = NAMES) -> set[str]:
    chosen = {name.strip() for name in engines.split(",") if name.strip()}
    if unknown := sorted(chosen - set(names)):
        raise typer.BadParameter(f"no engine {unknown[0]!r}; there are: {', '.join(names)}", param_hint="--engines")
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
