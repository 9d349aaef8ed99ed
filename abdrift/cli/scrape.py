"""`abdrift scrape`: Prometheus targets and `/federate`, scraped into Kafka."""

import logging
import socket
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from abdrift import paths
from abdrift.cli.configured import InstanceOption, configured, epochs_option
from abdrift.cli.kafka import with_kafka
from abdrift.cli.service import LogLevelOption, MetricsOption, prepare, run_until_stopped
from abdrift.clock import wall_clock_ms
from abdrift.kafka import KafkaSettings, partition_count, producer
from abdrift.processes import tell_ready
from abdrift.topics import SAMPLES
from collectors.delivery import Reconnecting
from collectors.epochs import next_epoch
from collectors.framing import Framer, FramerSettings
from collectors.prometheus import scraper
from collectors.prometheus.scrape_config import ScrapeConfig

log = logging.getLogger(__name__)


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("scrape")(with_kafka(scrape))


def scrape(
    kafka: KafkaSettings,
    config: Annotated[Path, typer.Option(help="What is scraped, in Prometheus's own words: deploy/prometheus.")],
    instance: InstanceOption = None,
    data: Annotated[Path | None, epochs_option("scrape")] = None,
    metrics: MetricsOption = None,
    log_level: LogLevelOption = "info",
) -> None:
    """Scrape Prometheus targets, /federate among them, and stream their samples into Kafka."""
    prepare(log_level, metrics)
    source = f"scrape/{instance or socket.gethostname()}"
    with configured(ScrapeConfig, config) as settings:
        run_until_stopped(_run(settings, kafka, source, data or paths.data_dir() / "scrape"))


async def _run(config: ScrapeConfig, kafka: KafkaSettings, source: str, data: Path) -> None:
    framing = FramerSettings(partitions=await partition_count(kafka, SAMPLES.name))
    epoch = next_epoch(source, data, wall_clock_ms)
    async with (
        Reconnecting(partial(producer, kafka, linger_ms=0)) as reached,
        Framer(source, epoch, reached.send, framing) as framer,
    ):
        tell_ready()
        log.info("scraping %d jobs", len(config.scrape_configs))
        await scraper.run(config, source, framer)
