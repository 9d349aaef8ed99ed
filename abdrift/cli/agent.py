"""`abdrift agent`: collectors of Kubernetes and Git, for one cluster or for many in one process."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from abdrift import paths
from abdrift.cli.clusters import ClusterOption, ContextOption, FleetOption, KubeconfigOption, LabelsOption, clusters
from abdrift.cli.kafka import with_kafka
from abdrift.cli.service import LogLevelOption, MetricsOption, prepare, run_until_stopped
from abdrift.cli.uplink import (
    BudgetOption,
    GatewayCaOption,
    GatewayCertOption,
    GatewayOption,
    GatewayTokenOption,
    SpoolOption,
    UplinkOptions,
    uplink,
)
from abdrift.fleet import Member
from abdrift.kafka import KafkaSettings
from abdrift.masking import Masker
from abdrift.processes import tell_ready
from collectors.framing import FramerSettings
from collectors.kubernetes import KubernetesConfig
from collectors.kubernetes.hub import run_many

log = logging.getLogger(__name__)


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("agent")(with_kafka(agent))


def agent(
    kafka: KafkaSettings,
    cluster: ClusterOption = None,
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = None,
    label: LabelsOption = None,
    fleet: FleetOption = None,
    data: Annotated[
        Path | None, typer.Option(help="Where epochs and the masking key are kept.", show_default="agent/ in the data")
    ] = None,
    secrets: Annotated[bool, typer.Option(help="Watch Secrets that an inventory names; values are masked.")] = False,
    heartbeat_seconds: Annotated[float, typer.Option(min=0.2, help="Between heartbeats.")] = 5.0,
    linger_ms: Annotated[
        int, typer.Option(min=0, max=10_000, help="How long a change waits for others, so that fewer bytes are sent.")
    ] = 10,
    spool_bytes: SpoolOption = 0,
    budget_bytes: BudgetOption = None,
    gateway: GatewayOption = None,
    gateway_token: GatewayTokenOption = None,
    gateway_ca: GatewayCaOption = None,
    gateway_cert: GatewayCertOption = None,
    metrics: MetricsOption = None,
    log_level: LogLevelOption = "info",
) -> None:
    """Watch clusters and stream what they show into Kafka. Needs read rights only."""
    prepare(log_level, metrics)
    named = clusters(fleet, cluster, kubeconfig, context, label)
    directory = data or paths.data_dir() / "agent"
    options = UplinkOptions(spool_bytes, budget_bytes, gateway, gateway_token, gateway_ca, gateway_cert)
    options.check()
    configs = [
        _config(member, directory, secrets=secrets, heartbeat_seconds=heartbeat_seconds) for member in named.clusters
    ]
    run_until_stopped(_run(configs, kafka, options, directory, linger_ms))


async def _run(
    configs: Sequence[KubernetesConfig], kafka: KafkaSettings, options: UplinkOptions, directory: Path, linger_ms: int
) -> None:
    masker = Masker(masking_key(directory))
    source = configs[0].source if len(configs) == 1 else "kubernetes"
    async with uplink(kafka, options, directory, source) as up:
        tell_ready()
        log.info("watching %d clusters", len(configs))
        settings = FramerSettings(partitions=up.partitions, linger_ms=linger_ms)
        await run_many(configs, up.send, masker=masker, settings=settings, spooled=up.spooled)


def _config(member: Member, directory: Path, *, secrets: bool, heartbeat_seconds: float) -> KubernetesConfig:
    return KubernetesConfig(
        cluster=member.name,
        labels=member.labels,
        kubeconfig=member.kubeconfig,
        context=member.context,
        secrets=secrets,
        heartbeat_seconds=heartbeat_seconds,
        state_dir=directory,
    )


def masking_key(directory: Path) -> bytes:
    """Return the key by which secrets are hashed here, made at the first start and never shown.

    It stays with the agent: whoever has it could test guesses of a secret against its hash.
    """
    path = directory / "masking.key"
    directory.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        unfinished = path.with_suffix(f".{os.getpid()}")
        unfinished.touch(mode=0o600)
        unfinished.write_bytes(os.urandom(32))
        unfinished.rename(path)
    return path.read_bytes()
