"""`abdrift receive`: the receivers of what other systems push, in one process."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from abdrift import paths
from abdrift.cli.configured import ExampleOption, chosen, configured, epochs_option
from abdrift.cli.kafka import with_kafka
from abdrift.cli.service import LogLevelOption, MetricsOption, prepare, run_until_stopped
from abdrift.clock import wall_clock_ms
from abdrift.configuration import ConfigurationError
from abdrift.kafka import KafkaSettings, partition_count, producer
from abdrift.processes import tell_ready
from abdrift.topics import ALERTS
from collectors import alertmanager, flux
from collectors.dead_letters import DeadLetters
from collectors.delivery import Reconnecting
from collectors.epochs import next_epoch
from collectors.framing import Framer, FramerSettings
from collectors.gateway import relay
from collectors.logs import http, lumberjack
from collectors.prometheus import receiver as remote_write
from collectors.receiving import Handler, Receiver, ReceiverConfig, Wiring

log = logging.getLogger(__name__)

Build = Callable[[Mapping[str, Any], Wiring], Handler]

HANDLERS: dict[str, Build] = {
    "alertmanager": alertmanager.build,
    "flux": flux.build,
    "gateway": relay.build,
    "logs": http.build,
    "lumberjack": lumberjack.build,
    "remote-write": remote_write.build,
}
"""Every receiver, by its section of the configuration: see `collectors.receiving` for how one is added."""

EXAMPLE = """\
# abdrift receive --config receive.yaml --kafka kafka:9092
# Two processes behind one address take over from each other; each has an instance of its own.
listen: 0.0.0.0:8480
# instance: receiver-0            # in the names of lanes; the host's name by default

# tls:                            # without it, put a proxy in front: tokens and passwords go in the clear
#   certificate: /etc/abdrift/tls/tls.crt
#   key: /etc/abdrift/tls/tls.key
#   client_ca: /etc/abdrift/tls/ca.crt
#   require_client_certificate: false

limits:                           # for all clients together; beyond them 413, 408 and 503
  body_bytes: 8388608
  decoded_bytes: 67108864
  buffered_bytes: 67108864
  concurrent_requests: 64
  body_seconds: 10
  answer_seconds: 30
  drain_seconds: 10

clients:                          # who may send; each proves itself by one of the ways shown
  - name: alertmanager-mgmt
    clusters: ["edge-*"]          # may name these, by the label cluster of each alert
    bearer_sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08   # printf %s "$TOKEN" | sha256sum
    rate: {requests_per_second: 50, bytes_per_second: 4194304}
  - name: site-7
    cluster: edge-0007            # all it sends is of this cluster, whatever it names
    basic: {username: site-7, password_sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08}
  # - name: site-8
  #   cluster: edge-0008
  #   bearer_file: /etc/abdrift/clients/site-8.token
  # - name: site-9
  #   cluster: edge-0009
  #   common_name: site-9         # of its certificate, signed by tls.client_ca
  # - name: flux-edge-0010        # Flux's Provider of type generic-hmac: …/flux?client=flux-edge-0010
  #   cluster: edge-0010
  #   hmac_key_file: /etc/abdrift/clients/flux-edge-0010.key
  #   handlers: [flux]            # which it may use; all by default

handlers:                         # which receivers there are, each with its settings
  alertmanager:                   # receivers: [{name: abdrift, webhook_configs: [{url: …/alertmanager, …}]}]
    path: /alertmanager
    cluster_label: cluster        # names an alert's cluster where its client speaks for several
  flux:                           # Provider of type generic or generic-hmac with the address …/flux
    path: /flux
    cluster_key: cluster          # likewise, in an event's metadata
  gateway:                        # abdrift agent --gateway, where Kafka's port can't be reached
    path: /frames
  logs:                           # the HTTP outputs of Logstash, Vector and Fluent Bit: deploy/logs
    paths: [/logs]
    cluster_fields: []            # name an event's cluster, besides orchestrator.cluster.name, k8s.cluster.name, …
  remote-write:                   # Prometheus, protocols 1.0 and 2.0: deploy/prometheus
    path: /api/v1/write
    cluster_label: cluster        # names a series' cluster where its client speaks for several
    # metric_relabel_configs:     # Prometheus's own; series that a rule drops are not sent on
    #   - {action: drop, source_labels: [__name__], regex: "go_.*"}
    series: {cluster_series: 500000, metric_series: 50000, window_seconds: 3600}
  lumberjack:                     # Filebeat, Elastic Agent, Logstash's lumberjack output: deploy/logs
    listen: 0.0.0.0:5044          # under tls above; clients prove themselves by common_name or addresses
"""


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("receive")(with_kafka(receive))


def receive(
    kafka: KafkaSettings,
    config: Annotated[Path | None, typer.Option(help="Who may send what; --example prints one.")] = None,
    example: ExampleOption = False,
    data: Annotated[Path | None, epochs_option("receive")] = None,
    metrics: MetricsOption = None,
    log_level: LogLevelOption = "info",
) -> None:
    """Receive what other systems push, and acknowledge it once Kafka has it."""
    path = chosen(config, EXAMPLE, wants_example=example)
    prepare(log_level, metrics)
    with configured(ReceiverConfig, path) as settings:
        run_until_stopped(_run(settings, kafka, data or paths.data_dir() / "receive"))


async def _run(config: ReceiverConfig, kafka: KafkaSettings, directory: Path) -> None:
    if unknown := sorted(set(config.handlers) - set(HANDLERS)):
        raise ConfigurationError(f"handlers: there is no {unknown[0]!r}; there are {', '.join(sorted(HANDLERS))}")
    framing = FramerSettings(partitions=await partition_count(kafka, ALERTS.name))
    async with contextlib.AsyncExitStack() as stack:
        reached = await stack.enter_async_context(Reconnecting(partial(producer, kafka, linger_ms=0)))
        send, handlers = reached.send, []
        for name, settings in config.handlers.items():
            source = f"{name}/{config.instance}"
            # A framer each, so that a flood of one signal holds up no other.
            framer = Framer(source, next_epoch(source, directory, wall_clock_ms), send, framing)
            await stack.enter_async_context(framer)
            letters = DeadLetters(send, framing.partitions, f"collectors.{name}", wall_clock_ms)
            wiring = Wiring(name, source, framer, letters, config.limits, wall_clock_ms, send, framing.partitions)
            handlers.append(HANDLERS[name](settings, wiring))
        receiver = await stack.enter_async_context(_listening(Receiver(config, handlers, reached.answers)))
        tell_ready()
        log.info("receiving %s at %s:%d", ", ".join(config.handlers), *receiver.address)
        for name, address in receiver.stream_addresses.items():
            log.info("receiving %s at %s:%d", name, *address)
        await asyncio.Event().wait()


@contextlib.asynccontextmanager
async def _listening(receiver: Receiver) -> AsyncIterator[Receiver]:
    try:
        await receiver.__aenter__()
    except OSError as error:
        raise ConfigurationError(f"cannot listen: {error.strerror or error}; choose another address") from error
    try:
        yield receiver
    finally:
        await receiver.__aexit__()
