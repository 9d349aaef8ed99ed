"""`abdrift sink elasticsearch`: facts, Events and chosen log lines into Elasticsearch."""

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import orjson
import typer
from elastic_transport import TransportError
from elasticsearch import ApiError, AsyncElasticsearch

from abdrift import latest
from abdrift.cli.configured import ExampleOption, chosen, configured
from abdrift.cli.kafka import with_kafka
from abdrift.cli.service import LogLevelOption, MetricsOption, beside, prepare, run_until_stopped
from abdrift.clock import wall_clock_ms
from abdrift.configuration import ConfigurationError
from abdrift.kafka import KafkaSettings, consumer, partition_count, producer
from abdrift.latest import Latest
from abdrift.processes import tell_ready
from abdrift.topics import DEAD_LETTERS, FLEET_INCIDENTS, FLEET_INVENTORY
from sinks.elasticsearch import features, setup
from sinks.elasticsearch.config import ElasticsearchConfig
from sinks.elasticsearch.features import Features
from sinks.elasticsearch.letters import Letters
from sinks.elasticsearch.places import Places
from sinks.elasticsearch.reading import FactsReader, SignalsReader
from sinks.elasticsearch.sink import Lane
from sinks.elasticsearch.writing import Writer

log = logging.getLogger(__name__)

_FETCH: Final = {"max_partition_fetch_bytes": 1 << 20, "fetch_max_bytes": 16 << 20}
_MOST_FACTS, _MOST_FRAMES = 2_000, 8
_RETRY_SECONDS: Final = 5.0
_OURS_TO_MEND: Final = frozenset({400, 401, 403})

EXAMPLE = """\
# abdrift sink elasticsearch --config elasticsearch.yaml --kafka kafka:9092
# Elasticsearch 9. What the server has (ILM, lifecycles, field types) is asked of it.
elasticsearch:
  urls: ["https://elasticsearch:9200"]
  api_key_file: /etc/abdrift/elasticsearch.key   # or username and password_file
  # username: abdrift
  # password_file: /etc/abdrift/elasticsearch.password
  # ca_file: /etc/abdrift/ca.crt
  # client_certificate: /etc/abdrift/tls.crt
  # client_key: /etc/abdrift/tls.key
  request_seconds: 60

# group: abdrift-elasticsearch    # consumer groups GROUP-facts, -incidents and -signals

indices:
  setup: true                     # install templates and policies at start; --setup does that and no more
  shards: 1
  replicas: 1                     # yours to add: a component template abdrift@custom, which is applied last

facts:                            # abdrift-facts-<topic>-<year>.<month>, and abdrift-current-<topic>
  # topics: [drift, incidents, commands, outcomes]      # all by default
  # only_current: [health]        # no history of these: 10,000 clusters tell their health 14 million times a day
  retention_days: 400

events:                           # logs-abdrift.events-<data_stream_namespace>
  types: [Warning]
  clusters: ["*"]
  namespaces: ["*"]
  data_stream_namespace: default
  retention_days: 14

logs:                             # logs-abdrift.logs-<data_stream_namespace>
  # enabled: false
  severity: error                 # this bad or worse: trace, debug, info, warn, error, fatal
  clusters: ["*"]
  namespaces: ["*"]
  data_stream_namespace: default
  retention_days: 14

bulk:
  documents: 2000                 # of one request, at most
  size_bytes: 5242880
  backoff_initial_seconds: 0.5
  backoff_max_seconds: 30
"""


@dataclass(frozen=True, slots=True)
class _Reads:
    """What one lane reads, in a group of its own."""

    name: str
    reader: FactsReader | SignalsReader
    topics: list[str]
    most_records: int
    refreshes: bool = False


def register(group: typer.Typer) -> None:
    """Add the command to `abdrift sink`."""
    group.command("elasticsearch")(with_kafka(elasticsearch))


def elasticsearch(
    kafka: KafkaSettings,
    config: Annotated[Path | None, typer.Option(help="Where to, and what; --example prints one.")] = None,
    example: ExampleOption = False,
    only_setup: Annotated[
        bool,
        typer.Option("--setup", help="Install templates, policies and indices, print what was done as JSON, and exit."),
    ] = False,
    metrics: MetricsOption = None,
    log_level: LogLevelOption = "info",
) -> None:
    """Write facts, Events and chosen log lines to Elasticsearch, each exactly once."""
    path = chosen(config, EXAMPLE, wants_example=example)
    prepare(log_level, metrics)
    logging.getLogger("elastic_transport").setLevel(logging.ERROR)  # each failure is told here, once
    with configured(ElasticsearchConfig, path) as settings:
        run_until_stopped(_set_up(settings) if only_setup else _run(settings, kafka))


async def _set_up(config: ElasticsearchConfig) -> None:
    async with config.elasticsearch.client() as client:
        has, names = await _prepared(client, config, installs=True)
    typer.echo(orjson.dumps({"server": has.as_json(), "installed": names}, option=orjson.OPT_INDENT_2).decode())


async def _run(config: ElasticsearchConfig, kafka: KafkaSettings) -> None:
    partitions = await partition_count(kafka, DEAD_LETTERS.name)
    async with contextlib.AsyncExitStack() as stack:
        client = await stack.enter_async_context(config.elasticsearch.client())
        has, _ = await _prepared(client, config, installs=config.indices.setup)
        places, known = Places(), Latest()
        inventory = await stack.enter_async_context(latest.opened(kafka, [FLEET_INVENTORY], known))
        async for _ in inventory.catch_up():
            pass
        places.take(known.changes(FLEET_INVENTORY))
        letters = Letters(await stack.enter_async_context(producer(kafka)), partitions, wall_clock_ms)
        lanes = []
        for one in _reads(config, places):
            group: dict[str, Any] = {"group_id": f"{config.group}-{one.name}", **_FETCH}
            records = await stack.enter_async_context(consumer(kafka, *one.topics, **group))
            writer = Writer(client, config.bulk, refreshes=one.refreshes)
            most: dict[str, Any] = {"clock": wall_clock_ms, "most_records": one.most_records}
            lanes.append(Lane(one.name, records, one.reader, writer, letters, **most))
        works = [places.follow(inventory.changes()), *(lane.run() for lane in lanes)]
        await stack.enter_async_context(beside(*works))
        tell_ready()
        await setup.keep_retention(client, config, has, wall_clock_ms)


def _reads(config: ElasticsearchConfig, places: Places) -> list[_Reads]:
    """Return what is read. Incidents are few, and wait neither for the facts of a whole fleet nor to be found."""
    facts, signals = FactsReader(config, places, wall_clock_ms), SignalsReader(config, places)
    urgent = [topic for topic in facts.topics if topic == FLEET_INCIDENTS.name]
    others = [topic for topic in facts.topics if topic not in urgent]
    found = (
        _Reads("incidents", facts, urgent, _MOST_FACTS, refreshes=True),
        _Reads("facts", facts, others, _MOST_FACTS),
        _Reads("signals", signals, signals.topics, _MOST_FRAMES),
    )
    return [one for one in found if one.topics]


async def _prepared(
    client: AsyncElasticsearch, config: ElasticsearchConfig, *, installs: bool
) -> tuple[Features, list[str]]:
    """Return what the server has, once it answers, and the names of what was installed.

    Raises:
        ConfigurationError: it does not let this client in, or takes no such templates.

    """
    urls = ", ".join(config.elasticsearch.urls)
    while True:
        try:
            has = await features.asked(client)
            if not installs:
                return has, []
            installed = await setup.install(client, config, has)
            return has, [*installed, *await setup.make_indices(client, config, wall_clock_ms())]
        except ApiError as error:
            if error.meta.status in _OURS_TO_MEND:
                raise ConfigurationError(
                    f"elasticsearch: {urls} refuses: {error}. Check the key or password and its role's privileges "
                    "(docs/operating.md), and that no other template has our patterns and priority."
                ) from error
            log.warning("%s answers %d, and is asked again", urls, error.meta.status)
        except TransportError as error:
            log.warning("%s does not answer, and is asked again: %s", urls, error)
        await asyncio.sleep(_RETRY_SECONDS)
