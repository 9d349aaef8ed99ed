"""`abdrift inventory`: which clusters there are and what they are, as somebody declares them."""

import asyncio
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.table import Table

from abdrift.cli import printing, stored
from abdrift.cli.kafka import with_kafka
from abdrift.clock import wall_clock_ms
from abdrift.configuration import ConfigurationError
from abdrift.facts.inventory import ClusterInventory
from abdrift.kafka import KafkaSettings, partition_count, producer
from abdrift.signals.objects import ObjectRow
from abdrift.topics import FLEET_INVENTORY, OBJECTS
from abdrift.urls import masked
from collectors.delivery import kafka_send
from collectors.framing import Framer, FramerSettings
from collectors.git.checkouts import checked_out
from collectors.git.config import GitConfig
from collectors.git.remotes import RemoteError
from collectors.inventory import (
    SOURCE,
    Plan,
    Record,
    cluster_api,
    das_schiff,
    fleet_file,
    merged,
    planned,
    withdrawals,
)
from collectors.kubernetes.config import KubernetesConfig
from streams.forgetting import WITHDRAWN_MS

_JSON = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_FETCH_SECONDS = 300.0
"""For each of git's commands."""
_MAX_REASON_CHARACTERS = 200
_UNSOUND = 2
"""Exit status where something was declared that could not be used."""


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    group = typer.Typer(help="Declare which clusters there are, and see them.", no_args_is_help=True)
    group.command("sync")(with_kafka(sync))
    group.command("withdraw")(with_kafka(withdraw))
    group.command("show")(with_kafka(show))
    app.add_typer(group, name="inventory")


def sync(
    kafka: KafkaSettings,
    file: Annotated[
        list[Path] | None, typer.Option(help="A fleet file; its names and labels.", exists=True, dir_okay=False)
    ] = None,
    git: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH|URL", help="A repository in Das Schiff's layout: checked out, or fetched by git."),
    ] = None,
    kubeconfig: Annotated[
        list[Path] | None,
        typer.Option(help="Of a management cluster with Cluster API's objects.", exists=True, dir_okay=False),
    ] = None,
    withdraw: Annotated[
        bool, typer.Option("--withdraw", help="Even if more than a tenth of the clusters is not named any more.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be said, and say nothing.")] = False,
    as_json: _JSON = False,
) -> None:
    """Say which clusters there are. What is given together is the whole inventory: others are withdrawn."""
    records = _records(file or [], git or [], kubeconfig or [])
    known = asyncio.run(_known(kafka))
    plan = planned(merged(records), {name for name, each in known.items() if each.declared})
    if plan.is_sweeping and not withdraw:
        named = ", ".join(plan.withdrawn[:5])
        printing.fail(
            f"{len(plan.withdrawn)} declared clusters are not named any more ({named}, ...). "
            "If that is meant, say so by --withdraw"
        )
    if not dry_run:
        asyncio.run(_say(kafka, plan.rows))
    if as_json:
        typer.echo(orjson.dumps(plan.facts()))
    else:
        _tell(plan)
    if plan.inventory.refused or plan.inventory.contradictions:
        raise typer.Exit(_UNSOUND)


def withdraw(
    kafka: KafkaSettings,
    names: Annotated[list[str], typer.Argument(metavar="NAME", help="Clusters, as `abdrift inventory show` says.")],
    reason: Annotated[str, typer.Option(help="Why, for people who look at the inventory until it is forgotten.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be said, and say nothing.")] = False,
    as_json: _JSON = False,
) -> None:
    """Say that clusters are gone for good. Each is forgotten once it is silent, with all that was found of it.

    Stop its agent, or take it off its hub, and take it out of what `abdrift inventory sync` reads: that would declare
    it again. Until it is forgotten declaring it takes this back; one that reports later starts afresh.
    """
    if len(reason) > _MAX_REASON_CHARACTERS:
        raise typer.BadParameter(f"say it in {_MAX_REASON_CHARACTERS} characters", param_hint="--reason")
    names = sorted(set(names))
    known = asyncio.run(_known(kafka))
    if strangers := [name for name in names if name not in known]:
        printing.fail(
            f"no inventory names {', '.join(strangers)}, and no agent ever spoke for it: nothing is said. "
            "`abdrift inventory show` lists the clusters there are"
        )
    if not dry_run:
        asyncio.run(_say(kafka, partial(withdrawals, names, reason)))
    if as_json:
        typer.echo(orjson.dumps({"withdrawn": names, "reason": reason}))
    else:
        _tell_withdrawn([known[name] for name in names])


def show(kafka: KafkaSettings, as_json: _JSON = False) -> None:
    """Show every cluster that is declared or was heard of, with its labels and when it was last seen."""
    known = asyncio.run(_known(kafka))
    if as_json:
        typer.echo(orjson.dumps([each.model_dump(mode="json", exclude_none=True) for each in known.values()]))
        return
    table = Table("cluster", "declared", "last seen", "labels", box=None, pad_edge=False)
    for name, each in sorted(known.items()):
        labels = " ".join(f"{label}={value}" for label, value in each.labels.items())
        declared = "yes" if each.declared else "no" if each.withdrawn is None else "withdrawn"
        table.add_row(name, declared, _last_seen(each), labels)
    console = Console(highlight=False)
    console.print(table)
    for name, each in sorted(known.items()):
        if each.withdrawn:
            console.print(f"{name}: withdrawn, {each.withdrawn}", style="yellow")
        for said in each.contradictions:
            words = f"{name}: {said.label} is {said.inventory!r} by the inventory and {said.agent!r} by the agent"
            console.print(words, style="yellow")


def _records(files: list[Path], repositories: list[str], kubeconfigs: list[Path]) -> list[Record]:
    if not (files or repositories or kubeconfigs):
        raise typer.BadParameter("give at least one of --file, --git and --kubeconfig", param_hint="inventory sync")
    try:
        found = [record for path in files for record in fleet_file.read(path)]
        found += [record for each in repositories for record in _repository(each)]
        for path in kubeconfigs:
            found += asyncio.run(cluster_api.read(KubernetesConfig(cluster="management", kubeconfig=path)))
    except (ConfigurationError, das_schiff.LayoutError, cluster_api.ClusterApiError) as error:
        printing.fail(str(error))
    return found


def _repository(named: str) -> list[Record]:
    """Return what a repository says; one that is no folder here is fetched, and kept no longer than it is read.

    Raises:
        LayoutError: it can't be read or fetched, or holds no cluster.

    """
    if "://" not in named:
        return das_schiff.read(Path(named))
    shown = masked(named)
    with tempfile.TemporaryDirectory(prefix="abdrift-inventory-") as folder:
        config = GitConfig(timeout_seconds=_FETCH_SECONDS)
        try:
            with Console(stderr=True).status(f"Fetching {shown}"):
                paths = asyncio.run(checked_out(named, das_schiff.METADATA, Path(folder), config))
        except RemoteError as error:
            raise das_schiff.LayoutError(f"{shown} can't be fetched: {error}") from error
        return das_schiff.read(Path(folder), paths, name=shown)


async def _known(kafka: KafkaSettings) -> Mapping[str, ClusterInventory]:
    """Return the newest inventory fact of each cluster."""
    found: dict[str, ClusterInventory] = {}
    for record in (await stored.read(kafka, [FLEET_INVENTORY])).records:
        if record.event is not None:
            found[record.event.subject] = ClusterInventory.model_validate(record.event.data)
        elif record.key is not None:
            found.pop(record.key, None)
    return found


async def _say(kafka: KafkaSettings, rows: Callable[[int], Sequence[ObjectRow]]) -> None:
    """Deliver the rows that are made for now."""
    now_ms = wall_clock_ms()
    settings = FramerSettings(partitions=await partition_count(kafka, OBJECTS.name))
    async with (
        producer(kafka, linger_ms=0) as client,
        Framer(SOURCE, now_ms, kafka_send(client), settings) as framer,
    ):
        await framer.deliver(rows(now_ms))


def _tell(plan: Plan) -> None:
    typer.echo(f"{len(plan.inventory.clusters)} clusters declared, {len(plan.withdrawn)} withdrawn")
    for line in (*map(str, plan.inventory.contradictions), *plan.inventory.refused):
        typer.echo(f"left out: {line}", err=True)


def _tell_withdrawn(clusters: Sequence[ClusterInventory]) -> None:
    for each in clusters:
        typer.echo(f"{each.cluster.name} is withdrawn; it was last seen {_last_seen(each)}")
    typer.echo(f"Each is forgotten {WITHDRAWN_MS // 60_000} minutes after it is silent")


def _last_seen(cluster: ClusterInventory) -> str:
    return f"{cluster.last_seen:%Y-%m-%d %H:%M:%S}" if cluster.last_seen else "never"
