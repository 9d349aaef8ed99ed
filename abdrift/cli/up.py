"""`abdrift up`: all of Abdrift in one process tree, for a cluster of the user's own; it observes unless told to act."""

import asyncio
import contextlib
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live

from abdrift import paths, policies
from abdrift.broker import BrokerError
from abdrift.cli.broker import download_progress
from abdrift.cli.clusters import ContextOption, LabelsOption, clusters
from abdrift.cli.facts import follow
from abdrift.cli.kafka import with_kafka
from abdrift.cli.pipeline import Pipeline, PipelineSpec, running
from abdrift.cli.service import run_until_stopped
from abdrift.cli.steering import publish_policy
from abdrift.cli.view import render
from abdrift.facts.governance import Policy
from abdrift.kafka import KafkaSettings
from abdrift.observed import Observed
from abdrift.processes import ChildFailed


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("up")(with_kafka(up))


def up(
    kafka: KafkaSettings,
    kubeconfig: Annotated[
        Path, typer.Option(help="Who observes; read rights are enough.", exists=True, dir_okay=False)
    ],
    context: ContextOption = None,
    name: Annotated[
        str | None, typer.Option(help="The cluster's name in the fleet.", show_default="the file's")
    ] = None,
    label: LabelsOption = None,
    acting_kubeconfig: Annotated[
        Path | None, typer.Option(help="Who acts. Needed with --policy.", exists=True, dir_okay=False)
    ] = None,
    policy: Annotated[
        Path | None, typer.Option(help="What may be done. Absent: nothing, Abdrift only observes.", exists=True)
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Where everything is kept.", show_default="up/ in the data")] = None,
    secrets: Annotated[bool, typer.Option(help="Watch Secrets that an inventory names; values are masked.")] = False,
    view: Annotated[bool, typer.Option("--view/--no-view", help="Show what happens in the terminal.")] = True,
) -> None:
    """Run everything against one cluster until Ctrl-C: collectors, Kafka, streams and sinks.

    Without --kafka it runs a Kafka of its own. Without --policy it only observes. With one it does what the policy
    allows, as --acting-kubeconfig.
    """
    errors = Console(stderr=True)
    wanted = _policy(policy)
    if wanted is not None and acting_kubeconfig is None:
        raise typer.BadParameter("a policy needs --acting-kubeconfig, apart from who observes", param_hint="--policy")
    fleet = clusters(None, name or kubeconfig.stem, kubeconfig, context, label)
    member = fleet.clusters[0].model_copy(update={"acting_kubeconfig": acting_kubeconfig})
    fleet = fleet.model_copy(update={"clusters": (member,)})
    directory = data or paths.data_dir() / "up"
    with download_progress(errors) as progress:
        spec = PipelineSpec(
            fleet=fleet,
            data_dir=directory,
            kafka=kafka if "bootstrap_servers" in kafka.model_fields_set else None,
            secrets=secrets,
            act=acting_kubeconfig is not None,
            download_progress=progress,
        )
        try:
            run_until_stopped(_up(spec, wanted, view=view))
        except (BrokerError, ChildFailed) as error:
            errors.print(f"[red]Error:[/red] {error}\nLogs: {directory}/logs", highlight=False, soft_wrap=True)
            raise typer.Exit(1) from error


def _policy(path: Path | None) -> Policy | None:
    try:
        return policies.load(path) if path else None
    except policies.PolicyError as error:
        raise typer.BadParameter(str(error), param_hint="--policy") from error


async def _up(spec: PipelineSpec, policy: Policy | None, *, view: bool) -> None:
    async with running(spec) as pipeline:
        if policy is not None:
            await publish_policy(pipeline.kafka, pipeline.keyring, policy)
        Console(stderr=True).print(
            f"Kafka at {pipeline.kafka.bootstrap_servers}; logs in {spec.data_dir}/logs; "
            f"{'acting by policy ' + policy.name if policy else 'observing only'}. Ctrl-C stops it.",
            highlight=False,
        )
        watching = asyncio.create_task(_watch(pipeline, spec, view=view))
        failing = asyncio.create_task(pipeline.supervisor.failed())
        try:
            await asyncio.wait({watching, failing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (watching, failing):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task


async def _watch(pipeline: Pipeline, spec: PipelineSpec, *, view: bool) -> None:
    seen = Observed()
    console = Console()
    title = f"Abdrift: {spec.fleet.clusters[0].name}"

    async def draw() -> None:
        with Live(console=console, auto_refresh=False) as live:
            while True:
                live.update(
                    render(seen, title=title, figures={}, latencies={}, lines=console.height - 16), refresh=True
                )
                await asyncio.sleep(0.5)

    drawing = asyncio.create_task(draw()) if view else None
    try:
        async for event in follow(pipeline.kafka):
            seen.absorb(event)
    finally:
        if drawing:
            drawing.cancel()
