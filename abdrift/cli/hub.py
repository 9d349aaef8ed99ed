"""`abdrift hub`: many clusters from one process, as their kubeconfigs come and go."""

import asyncio
import logging
import resource
import socket
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import orjson
import pyarrow as pa
import typer
from rich.console import Console
from rich.table import Table

from abdrift import paths
from abdrift.cli import printing
from abdrift.cli.agent import masking_key
from abdrift.cli.kafka import with_kafka
from abdrift.cli.service import LogLevelOption, MetricsOption, beside, prepare, run_until_stopped
from abdrift.kafka import KafkaSettings, partition_count, producer
from abdrift.masking import Masker
from abdrift.processes import tell_ready
from abdrift.topics import OBJECTS
from collectors.delivery import Reconnecting
from collectors.hub import Alone, Hub, HubConfig, KafkaGroup, Membership, Source
from collectors.hub.cluster_api import ClusterApi
from collectors.hub.directory import Directory
from collectors.hub.flux import FluxRemotes
from collectors.hub.management import Management
from collectors.kubernetes.config import KubernetesConfig

log = logging.getLogger(__name__)

STATUS_FILE = "hub.json"
_STATUS_SECONDS = 5.0
_STALE_SECONDS = 30.0
_PANEL = "Which clusters"

DataOption = Annotated[
    Path | None, typer.Option(help="Where epochs and the status are kept.", show_default="hub/ in the data")
]


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the clusters come from."""

    kubeconfigs: Path | None
    cluster_api: bool
    flux: bool
    management: KubernetesConfig
    namespaces: tuple[str, ...]


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    group = typer.Typer(help="Watch many clusters from one process.", no_args_is_help=True)
    group.command("run")(with_kafka(run))
    group.command("status")(status)
    app.add_typer(group, name="hub")


def run(
    kafka: KafkaSettings,
    kubeconfigs: Annotated[
        Path | None,
        typer.Option(
            help="A folder: each file is a cluster of that name.",
            exists=True,
            file_okay=False,
            rich_help_panel=_PANEL,
        ),
    ] = None,
    cluster_api: Annotated[
        bool, typer.Option("--cluster-api", help="Cluster API's <cluster>-kubeconfig Secrets.", rich_help_panel=_PANEL)
    ] = False,
    flux: Annotated[
        bool,
        typer.Option("--flux", help="Secrets that spec.kubeConfig of Flux's objects names.", rich_help_panel=_PANEL),
    ] = False,
    management_kubeconfig: Annotated[
        Path | None,
        typer.Option(
            help="Of the management cluster. Absent: the Pod's ServiceAccount.",
            exists=True,
            dir_okay=False,
            rich_help_panel=_PANEL,
        ),
    ] = None,
    namespace: Annotated[
        list[str] | None,
        typer.Option(help="Look there only; may be given often.", show_default="all", rich_help_panel=_PANEL),
    ] = None,
    group: Annotated[
        str | None, typer.Option(help="Share the clusters with the hubs of this Kafka consumer group.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="This hub's, the same at its next start.", show_default="the host's")
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option(
            "--masking-key",
            help="By which secrets are hashed; the same for all of a group.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    data: DataOption = None,
    secrets: Annotated[bool, typer.Option(help="Watch Secrets that an inventory names; values are masked.")] = False,
    heartbeat_seconds: Annotated[float, typer.Option(min=1, help="Between heartbeats of one cluster.")] = 10.0,
    metrics: MetricsOption = None,
    log_level: LogLevelOption = "info",
) -> None:
    """Watch clusters until stopped, and stream what they show into Kafka. Needs read rights only."""
    if not (kubeconfigs or cluster_api or flux):
        raise typer.BadParameter("name at least one of --kubeconfigs, --cluster-api and --flux", param_hint="hub run")
    if group and key is None:
        raise typer.BadParameter(
            "hubs of a group take each other's clusters over, so all need the same key: give --masking-key",
            param_hint="--group",
        )
    prepare(log_level, metrics)
    pa.set_memory_pool(pa.system_memory_pool())  # as an agent does
    directory = data or paths.data_dir() / "hub"
    directory.mkdir(parents=True, exist_ok=True)
    config = HubConfig(secrets=secrets, heartbeat_seconds=heartbeat_seconds, state_dir=directory / "epochs")
    management = KubernetesConfig(cluster="management", kubeconfig=management_kubeconfig)
    sources = Sources(kubeconfigs, cluster_api, flux, management, tuple(namespace or ()))
    try:
        masker = Masker(key.read_bytes() if key else masking_key(directory))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--masking-key") from error
    named = (group, name or socket.gethostname()) if group else None
    run_until_stopped(_run(kafka, config, sources, masker, directory, named))


async def _run(
    kafka: KafkaSettings,
    config: HubConfig,
    sources: Sources,
    masker: Masker,
    directory: Path,
    named: tuple[str, str] | None,
) -> None:
    partitions = await partition_count(kafka, OBJECTS.name)
    membership: Membership = KafkaGroup(kafka, *named, partitions) if named else Alone()
    async with AsyncExitStack() as stack:
        reached = await stack.enter_async_context(Reconnecting(partial(producer, kafka, linger_ms=0)))
        found: list[Source] = [Directory(sources.kubeconfigs)] if sources.kubeconfigs else []
        if sources.cluster_api or sources.flux:
            management = await stack.enter_async_context(Management(sources.management))
            found += [ClusterApi(management, sources.namespaces)] if sources.cluster_api else []
            found += [FluxRemotes(management, sources.namespaces)] if sources.flux else []
        hub = Hub(config, reached.send, masker=masker, framing=config.framing(partitions), membership=membership)
        log.info("room for about %d clusters: each watch holds a connection", _raise_limit() // 40)
        tell_ready()
        async with beside(_tell(hub, directory / STATUS_FILE)):
            await hub.run(found)


def _raise_limit() -> int:
    """Let this process have as many connections as it may; return how many."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


async def _tell(hub: Hub, path: Path) -> None:
    while True:
        draft = path.with_suffix(".draft")
        draft.write_bytes(orjson.dumps(hub.status()))
        draft.replace(path)
        await asyncio.sleep(_STATUS_SECONDS)


def status(
    data: DataOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show how each cluster of the hub that runs here fares, and which kubeconfigs it refuses."""
    path = (data or paths.data_dir() / "hub") / STATUS_FILE
    try:
        told: dict[str, Any] = orjson.loads(path.read_bytes())
    except OSError:
        printing.fail(f"{path} can't be read: no hub has run with this --data")
    age_seconds = time.time() - told["at_ms"] / 1000
    if as_json:
        typer.echo(orjson.dumps({**told, "age_seconds": round(age_seconds, 1)}))
        return
    _print(told)
    if age_seconds > _STALE_SECONDS:
        printing.fail(f"that was {age_seconds:.0f} seconds ago: the hub does not run any more, or hangs")


def _print(told: dict[str, Any]) -> None:
    table = Table("cluster", "state", "objects", "from", "why", box=None, pad_edge=False)
    for each in told["clusters"]:
        table.add_row(
            each["cluster"], each["state"], str(each.get("objects", "")), each["origin"], each.get("reason", "")
        )
    console = Console(highlight=False)
    console.print(table)
    counts = Counter(each["state"] for each in told["clusters"])
    console.print(", ".join(f"{number} {state}" for state, number in sorted(counts.items())) or "no clusters")
    for each in told["refused"]:
        console.print(f"refused: {each['origin']}: {each['reason']}", style="yellow")
