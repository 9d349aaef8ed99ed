"""`abdrift broker`: a real Kafka in the foreground, for whoever has no cluster at hand."""

import contextlib
import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from abdrift import paths
from abdrift.broker import BrokerError, EmbeddedBroker, jars


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("broker")(broker)


def broker(
    data: Annotated[
        Path | None,
        typer.Option(help="Where its data is kept between starts.", show_default="broker/ in Abdrift's data"),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65_535, help="The port on loopback; 0 has a new one chosen.", show_default="the last"),
    ] = None,
    heap_mb: Annotated[int, typer.Option(min=128, help="Java's largest heap, in MiB.")] = 512,
    as_json: Annotated[bool, typer.Option("--json", help="Say where it is as one line of JSON.")] = False,
) -> None:
    """Run a real Kafka broker on loopback until Ctrl-C or SIGTERM."""
    errors = Console(stderr=True)
    begun = time.monotonic()
    try:
        with _stopped_by_signals(), download_progress(errors) as progress:
            kafka = EmbeddedBroker(data or paths.data_dir() / "broker", port=port, heap_mb=heap_mb, progress=progress)
            with kafka:
                _announce(kafka, time.monotonic() - begun, as_json=as_json)
                status = kafka.wait()
    except BrokerError as error:
        errors.print(f"[red]Error:[/red] {type(error).__name__.removesuffix('Error')}", highlight=False)
        errors.print(str(error), markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        return
    errors.print(f"Kafka ended by itself (status {status}); {kafka.log_path} says why.", markup=False)
    raise typer.Exit(1)


def _announce(kafka: EmbeddedBroker, start_seconds: float, *, as_json: bool) -> None:
    facts = {
        "bootstrap_servers": kafka.bootstrap_servers,
        "data_dir": str(kafka.data_dir),
        "log": str(kafka.log_path),
        "pid": kafka.pid,
        "start_seconds": round(start_seconds, 2),
    }
    if as_json:
        typer.echo(json.dumps(facts))
        return
    console = Console()
    console.print(f"[bold]Kafka {jars.KAFKA_VERSION}[/bold] answers after {start_seconds:.1f} s")
    for name in ("bootstrap_servers", "data_dir", "log"):
        console.print(f"  {name:18}{facts[name]}", markup=False, highlight=False, soft_wrap=True)
    console.print("Ctrl-C stops it; what it holds is kept.")


@contextlib.contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """Make SIGTERM and SIGHUP end the command as Ctrl-C does, while it starts as well as later."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    former = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def download_progress(console: Console) -> Iterator[jars.Progress]:
    """Yield what draws the download of Kafka's jars; nothing is drawn while nothing is fetched."""
    bar = Progress(
        TextColumn("Fetching Kafka, once"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), console=console
    )
    task = bar.add_task("jars", total=None)

    def show(present_bytes: int, total_bytes: int) -> None:
        bar.start()
        bar.update(task, completed=present_bytes, total=total_bytes)
        if present_bytes >= total_bytes:
            bar.stop()

    try:
        yield show
    finally:
        bar.stop()
