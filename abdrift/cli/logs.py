"""`abdrift logs`: log events from Kafka topics that Logstash, Vector, Fluent Bit or rsyslog write."""

import logging
import socket
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from abdrift import paths
from abdrift.cli.configured import ExampleOption, InstanceOption, chosen, configured, epochs_option
from abdrift.cli.kafka import with_kafka
from abdrift.cli.service import LogLevelOption, MetricsOption, prepare, run_until_stopped
from abdrift.clock import wall_clock_ms
from abdrift.kafka import KafkaSettings, consumer, partition_count, producer
from abdrift.processes import tell_ready
from abdrift.topics import LOGS
from collectors.dead_letters import DeadLetters
from collectors.delivery import Reconnecting
from collectors.epochs import next_epoch
from collectors.framing import Framer, FramerSettings
from collectors.logs.topics import Parts, TopicReader, TopicsConfig

log = logging.getLogger(__name__)

EXAMPLE = """\
# abdrift logs from-kafka --config logs.yaml --kafka kafka:9092
group_id: abdrift-logs              # any number of processes share the topics' partitions
# kafka_config: /etc/abdrift/logs-kafka.properties   # the Kafka to read from, where it is another one

topics:                             # events in JSON: one a record, an array, or one a line
  - topic: logstash                 # its events name their cluster: orchestrator.cluster.name, k8s.cluster.name, …
    clusters: ["edge-*"]            # and may name these
    sender: logstash
  - topic: syslog-site-7
    cluster: edge-0007              # all of it is of this cluster, whatever an event names
    sender: rsyslog

# cluster_fields: [labels.k8s_cluster]   # further fields that name the cluster, asked first
severity_from_message: true         # where no field says how bad a line is
max_message_bytes: 16384            # longer lines are cut
max_fields_bytes: 8192              # what no column takes is kept up to this
max_past_seconds: 2592000           # times beyond these bounds are set to them
max_future_seconds: 600
secrets:
  enabled: true                     # what looks secret becomes a keyed hash
  # key_file: /etc/abdrift/logs-masking.key          # absent: a new key at each start
  # disabled_patterns: [url]
  # patterns: {iban: '\\b[A-Z]{2}\\d{2}(?: ?[A-Z0-9]{4}){3,7}\\b'}
  # keys: [pin]                     # ends of fields' names whose values are secret, too
"""


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    group = typer.Typer(help="Take in log events that others have put into Kafka.", no_args_is_help=True)
    group.callback()(_logs)
    group.command("from-kafka")(with_kafka(from_kafka))
    app.add_typer(group, name="logs")


def _logs() -> None:
    """Keep `from-kafka` a subcommand although it is the only one."""


def from_kafka(
    kafka: KafkaSettings,
    config: Annotated[Path | None, typer.Option(help="Which topics; --example prints one.")] = None,
    example: ExampleOption = False,
    instance: InstanceOption = None,
    data: Annotated[Path | None, epochs_option("logs")] = None,
    metrics: MetricsOption = None,
    log_level: LogLevelOption = "info",
) -> None:
    """Read log events from topics, and commit their offsets once Kafka has the rows."""
    path = chosen(config, EXAMPLE, wants_example=example)
    prepare(log_level, metrics)
    source = f"logs-from-kafka/{instance or socket.gethostname()}"
    with configured(TopicsConfig, path) as settings:
        run_until_stopped(_run(settings, kafka, source, data or paths.data_dir() / "logs"))


async def _run(config: TopicsConfig, kafka: KafkaSettings, source: str, directory: Path) -> None:
    # What the environment says of Kafka is about the one that is written to.
    theirs = KafkaSettings.load(properties=config.kafka_config, environ={}) if config.kafka_config else kafka
    for each in config.topics:
        await partition_count(theirs, each.topic)
    framing = FramerSettings(partitions=await partition_count(kafka, LOGS.name))
    reading = consumer(
        theirs,
        group_id=config.group_id,
        max_partition_fetch_bytes=config.fetch_bytes,
        fetch_max_bytes=2 * config.fetch_bytes,
    )
    async with Reconnecting(partial(producer, kafka, linger_ms=0)) as reached, reading as reader:
        send = reached.send
        letters = DeadLetters(send, framing.partitions, "collectors.logs", wall_clock_ms)
        async with Framer(source, next_epoch(source, directory, wall_clock_ms), send, framing) as framer:
            parts = Parts(reader, framer, letters, wall_clock_ms, source)
            tell_ready()
            log.info("reading %s", ", ".join(each.topic for each in config.topics))
            await TopicReader(config, parts).run()
