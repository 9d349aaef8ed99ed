"""`abdrift sink alertmanager`: incidents as alerts."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from abdrift.cli.configured import ExampleOption, chosen, configured
from abdrift.cli.kafka import with_kafka
from abdrift.cli.service import LogLevelOption, MetricsOption, beside, prepare, run_until_stopped
from abdrift.clock import wall_clock_ms
from abdrift.configuration import ConfigurationError
from abdrift.kafka import KafkaSettings
from abdrift.processes import tell_ready
from sinks.alertmanager.book import Book
from sinks.alertmanager.config import EXAMPLE, AlertmanagerConfig
from sinks.alertmanager.following import follow
from sinks.alertmanager.sending import Sender


def register(group: typer.Typer) -> None:
    """Add the command to `abdrift sink`."""
    group.command("alertmanager")(with_kafka(alertmanager))


def alertmanager(
    kafka: KafkaSettings,
    config: Annotated[Path | None, typer.Option(help="Which Alertmanagers, and how; see --example.")] = None,
    example: ExampleOption = False,
    metrics: MetricsOption = None,
    log_level: LogLevelOption = "info",
) -> None:
    """Tell Alertmanagers of incidents: one alert for each cause, until it is over."""
    with configured(AlertmanagerConfig, chosen(config, EXAMPLE, wants_example=example)) as settings:
        prepare(log_level, metrics)
        try:
            senders = [Sender(target, settings, wall_clock_ms) for target in settings.alertmanagers]
        except OSError as error:
            raise ConfigurationError(f"{error.filename}: {error.strerror}") from error
    run_until_stopped(_run(kafka, Book(settings), senders))


async def _run(kafka: KafkaSettings, book: Book, senders: list[Sender]) -> None:
    caught_up = asyncio.Event()

    async def send() -> None:
        # Before all is known, an alert could be taken for one that has vanished.
        await caught_up.wait()
        tell_ready()
        async with asyncio.TaskGroup() as tasks:
            for sender in senders:
                tasks.create_task(sender.run(book))

    async with beside(send()):
        await follow(kafka, book, caught_up.set)
