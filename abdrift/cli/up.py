"""`abdrift up`: all of Abdrift in one process tree, for a cluster of the user's own; it observes unless told to act."""

import asyncio
import contextlib
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from abdrift import paths, policies
from abdrift.broker import BrokerError
from abdrift.cli import printing
from abdrift.cli.clusters import ContextOption, LabelsOption, clusters
from abdrift.cli.facts import follow
from abdrift.cli.kafka import with_kafka
from abdrift.cli.live import drawn, fetching, is_drawable, program
from abdrift.cli.pipeline import Pipeline, PipelineSpec, running
from abdrift.cli.service import beside, run_until_stopped
from abdrift.cli.steering import publish_policy
from abdrift.cli.view import Phase, Scene
from abdrift.cli.web import page_beside
from abdrift.clock import wall_clock_ms
from abdrift.facts.governance import Policy
from abdrift.kafka import KafkaSettings
from abdrift.kubeapi import Credentials
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
    web: Annotated[bool, typer.Option("--web/--no-web", help="Show it in a browser too, at 127.0.0.1.")] = True,
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
    for credentials in filter(None, (kubeconfig, acting_kubeconfig)):
        Credentials.load(credentials, context if credentials == kubeconfig else None)
    directory = data or paths.data_dir() / "up"
    spec = PipelineSpec(
        fleet=fleet,
        data_dir=directory,
        kafka=kafka if "bootstrap_servers" in kafka.model_fields_set else None,
        secrets=secrets,
        act=acting_kubeconfig is not None,
    )
    console = Console()
    try:
        run_until_stopped(_up(spec, wanted, console if view and is_drawable(console) else None, web=web))
    except (BrokerError, ChildFailed) as error:
        printing.complain(str(error))
        errors.print(f"Logs: {directory}/logs", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1) from error


@dataclass(slots=True)
class _Show:
    """What is shown of a running pipeline."""

    spec: PipelineSpec
    seen: Observed = field(default_factory=Observed)
    hint: str = ""
    _fetching: str = ""
    _phase: Phase = field(default=Phase("starting"))
    _phase_began: float = field(default_factory=time.monotonic)

    def enter(self, name: str, limit_seconds: float | None = None) -> None:
        """Begin a stage."""
        self._phase, self._phase_began = Phase(name, limit_seconds=limit_seconds), time.monotonic()

    def fetched(self, present_bytes: int, total_bytes: int) -> None:
        """Take how much of Kafka has been fetched; called from other threads."""
        self._fetching = fetching(present_bytes, total_bytes)

    def scene(self) -> Scene:
        """Return what there is to see now."""
        members = self.spec.fleet.clusters
        elapsed_seconds = time.monotonic() - self._phase_began
        return Scene(
            title=f"Abdrift: {', '.join(member.name for member in members)}",
            phase=replace(self._phase, elapsed_seconds=elapsed_seconds, detail=self._fetching),
            seen=self.seen,
            sites={member.name: member.labels.get("site", member.name) for member in members},
            now_ms=wall_clock_ms(),
            hint=self.hint,
        )


def _policy(path: Path | None) -> Policy | None:
    try:
        return policies.load(path) if path else None
    except policies.PolicyError as error:
        raise typer.BadParameter(str(error), param_hint="--policy") from error


async def _up(spec: PipelineSpec, policy: Policy | None, console: Console | None, *, web: bool) -> None:
    """Run it all; without a console nothing is drawn."""
    show = _Show(spec)
    async with contextlib.AsyncExitStack() as stack:
        if console is not None:
            await stack.enter_async_context(drawn(show.scene, console))
        told = replace(spec, on_stage=show.enter, download_progress=show.fetched)
        pipeline = await stack.enter_async_context(running(told))
        if policy is not None:
            await publish_policy(pipeline.kafka, pipeline.keyring, policy)
        show.enter(f"acting by policy {policy.name}" if policy else "observing only")
        page = await stack.enter_async_context(page_beside(pipeline.kafka, wanted=web))
        # What comes last is cut off where the terminal is narrow.
        kafka, look = f"export ABDRIFT_KAFKA={pipeline.kafka.bootstrap_servers}", f"then {program()} fleet status"
        show.hint = "   ".join(filter(None, (page, kafka, "Ctrl-C stops", look)))
        if console is None:
            where = f"{show.hint}\nLogs: {spec.data_dir}/logs"
            Console(stderr=True).print(where, markup=False, highlight=False, soft_wrap=True)
        async with beside(_absorb(show.seen, pipeline), pipeline.supervisor.failed()):
            await asyncio.Event().wait()


async def _absorb(seen: Observed, pipeline: Pipeline) -> None:
    async for event, append_ms in follow(pipeline.kafka):
        seen.absorb(event, append_ms)
