"""`abdrift worker`: stream steps as Faust workers."""
# ruff: noqa: PLC0415  steps are imported where they are wanted, see `_step`

from pathlib import Path
from typing import Annotated

import typer

from abdrift import paths
from abdrift.cli.kafka import with_kafka
from abdrift.cli.service import LogLevelOption, MetricsOption, prepare
from abdrift.kafka import KafkaSettings
from abdrift.keyring import Keyring
from abdrift.processes import tell_ready
from streams.memory import collect_seldom, return_what_is_freed
from streams.running import EngineError, run_process
from streams.settings import EngineSettings
from streams.step import AnyStep

STEPS = ("drift", "rates", "levels", "health", "reduce", "governor", "rollup", "incidents")


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("worker")(with_kafka(worker))


def worker(
    kafka: KafkaSettings,
    steps: Annotated[list[str] | None, typer.Argument(help=f"Which: {', '.join(STEPS)}. Absent: all.")] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Local copies of state; made anew from Kafka.", show_default="worker/ in the data"),
    ] = None,
    keys: Annotated[Path | None, typer.Option(help="The governor's key and those it trusts.")] = None,
    replication: Annotated[int, typer.Option(min=1, help="Of changelog topics that are made.")] = 1,
    tick_seconds: Annotated[float, typer.Option(min=0.05, help="A silent partition's clock goes on this often.")] = 1.0,
    session_timeout_seconds: Annotated[float, typer.Option(min=1, help="Silent this long, it loses its work.")] = 15.0,
    metrics: MetricsOption = None,
    log_level: LogLevelOption = "info",
) -> None:
    """Run stream steps: signals in, facts out. As many workers as partitions share the work."""
    prepare(log_level, metrics)
    return_what_is_freed()
    wanted = steps or list(STEPS)
    if unknown := [name for name in wanted if name not in STEPS]:
        raise typer.BadParameter(f"no step {unknown[0]!r}; there are: {', '.join(STEPS)}", param_hint="STEPS")
    settings = EngineSettings(
        kafka=kafka,
        data_dir=data or paths.data_dir() / "worker",
        replication_factor=replication,
        tick_interval_seconds=tick_seconds,
        session_timeout_seconds=session_timeout_seconds,
    )
    keyring = Keyring.open(keys or paths.data_dir() / "keys", create=True)
    try:
        running = [_step(name, keyring) for name in wanted]
        # Only now are all libraries loaded that it need not look through.
        collect_seldom()
        run_process(running, settings, on_ready=tell_ready)
    except EngineError as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from error


def _step(name: str, keyring: Keyring) -> AnyStep:
    """Import a step and return it: a worker of one step should not hold the others' tables and models."""
    match name:
        case "drift":
            from streams.drift.step import DriftStep

            return DriftStep(verify=keyring.trust_operators.verify)
        case "rates":
            from streams.rates import RatesStep

            return RatesStep()
        case "levels":
            from streams.levels import LevelsStep

            return LevelsStep(verify=keyring.trust_operators.verify)
        case "health":
            from streams.health import HealthStep

            return HealthStep()
        case "reduce":
            from streams.reduce import ReduceStep

            return ReduceStep()
        case "governor":
            from streams.governor import GovernorStep

            return GovernorStep(keyring.signer_governor, keyring.trust_operators)
        case "incidents":
            from streams.incidents import IncidentsStep

            return IncidentsStep(verify=keyring.trust_operators.verify)
        case _:
            from streams.rollup import RollupStep

            return RollupStep()
