"""`abdrift git`: the collector of remote Git heads, one for the whole fleet."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from abdrift import paths
from abdrift.cli.kafka import with_kafka
from abdrift.cli.service import LogLevelOption, MetricsOption, prepare, run_until_stopped
from abdrift.kafka import KafkaSettings, consumer, partition_count, producer
from abdrift.processes import tell_ready
from abdrift.topics import OBJECTS
from collectors.delivery import Reconnecting
from collectors.framing import FramerSettings
from collectors.git import GitConfig
from collectors.git import run as run_git
from collectors.git.followed import inventories
from collectors.git.suspects import suspects


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("git")(with_kafka(git))


def git(
    kafka: KafkaSettings,
    interval_seconds: Annotated[float, typer.Option(min=0.2, help="How often each remote is asked.")] = 30.0,
    concurrency: Annotated[int, typer.Option(min=1, help="Remotes asked at the same time.")] = 8,
    credential_helper: Annotated[
        str | None, typer.Option(help="git's credential.helper, e.g. store --file=/etc/abdrift/git-credentials")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Where the epoch is kept between starts.", show_default="git/ in the data")
    ] = None,
    metrics: MetricsOption = None,
    log_level: LogLevelOption = "info",
) -> None:
    """Ask each Git remote that the fleet follows for its heads, once for all clusters. Needs the program git."""
    prepare(log_level, metrics)
    config = GitConfig(
        interval_seconds=interval_seconds,
        concurrency=concurrency,
        credential_helper=credential_helper,
        state_dir=data or paths.data_dir() / "git",
    )
    run_until_stopped(_run(config, kafka))


async def _run(config: GitConfig, kafka: KafkaSettings) -> None:
    partitions = await partition_count(kafka, OBJECTS.name)
    framing = FramerSettings(partitions=partitions)
    async with (
        Reconnecting(partial(producer, kafka, linger_ms=0)) as reached,
        consumer(kafka) as reader,
        consumer(kafka) as other,
    ):
        tell_ready()
        told = inventories(reader, partitions), suspects(other, partitions)
        await run_git(config, reached.send, *told, settings=framing)
