"""`abdrift demo`: the whole pipeline on a simulated fleet, judged against the simulator's own plan of faults."""

import asyncio
import contextlib
import io
import logging
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console

from abdrift.broker import BrokerError
from abdrift.cli import demo_figures, printing
from abdrift.cli.facts import follow, rows
from abdrift.cli.live import Camera, drawn, fetching, is_drawable, program
from abdrift.cli.pipeline import Pipeline, PipelineSpec, running
from abdrift.cli.service import beside
from abdrift.cli.simulate import EARLY_PERCENT, fleet_of
from abdrift.cli.steering import approve, publish_policy
from abdrift.cli.view import Phase, Scene, View
from abdrift.cli.web import page_beside
from abdrift.clock import wall_clock_ms
from abdrift.facts.commands import Verb
from abdrift.facts.governance import (
    Backoff,
    Breaker,
    Budget,
    Budgets,
    DriftAllowance,
    IncidentThresholds,
    Limits,
    Mode,
    Policy,
    Rule,
)
from abdrift.kubeapi import Credentials, KubeApi, Resource
from abdrift.observed import Observed
from abdrift.processes import ChildFailed
from abdrift.simulation import (
    USUAL,
    FaultInjector,
    FaultKind,
    FleetSpec,
    Ledger,
    SimulatedFleet,
    Verdict,
    judge_incidents,
    plan,
)
from abdrift.simulation.spec import cluster_labels

_PARTITIONS = 4
"""Each costs ticks, fetches and commits of every step, and all of the demonstration is on one machine."""
_HEARTBEATS_A_SECOND = 20
"""One agent speaks for all clusters: of a large fleet on a small machine it would be late, and they would be silent."""
_BASELINE_SECONDS = (60.0, 1.2)
_SETTLE_SECONDS = (30.0, 0.6)
"""At most, and for each cluster where that is more: a small machine needs its time for a large fleet."""
_STOP_SECONDS = 35.0
_OWNERS = (
    Resource("kustomize.toolkit.fluxcd.io", "v1", "kustomizations"),
    Resource("helm.toolkit.fluxcd.io", "v2", "helmreleases"),
)

POLICY = Policy(
    name="default",
    rules=(
        Rule(
            name="bring everything back",
            mode=Mode.ACT,
            grace_seconds=0,
            verbs=(Verb.RECONCILE, Verb.RECONCILE_WITH_SOURCE),
        ),
    ),
    # A demonstration breaks half of its fleet within a minute, which a real policy should take for a surge.
    breaker=Breaker(surge_percent=100, surge_min_clusters=10_000, failed_outcomes=50),
    budgets=Budgets(
        cluster=Budget(in_flight=2, per_hour=100),
        site=Budget(in_flight=20, per_hour=10_000),
        fleet=Budget(in_flight=100, per_hour=10_000),
        source_host=Budget(in_flight=100, per_hour=10_000),
    ),
    backoff=Backoff(initial_seconds=1, max_seconds=10),
    limits=Limits(max_evidence_age_seconds=30),
    allowance=DriftAllowance(behind_after_seconds=1, suspended_after_seconds=1),
    incidents=IncidentThresholds(quiet_seconds=5),
)


class Plan(StrEnum):
    """What is done to the fleet."""

    EVERYTHING = "everything"
    BAD_REVISION = "bad-revision"
    BAD_IMAGE = "bad-image"

    @property
    def kinds(self) -> tuple[FaultKind, ...]:
        """The kinds of faults."""
        match self:
            case Plan.BAD_REVISION:
                return (FaultKind.BAD_REVISION, FaultKind.REVERTED)
            case Plan.BAD_IMAGE:
                return (FaultKind.BAD_IMAGE, FaultKind.REVERTED)
            case Plan.EVERYTHING:
                return USUAL

    @property
    def git_interval_seconds(self) -> float:
        """How often remotes are asked. Of an incident's author they are asked at once."""
        return 30.0 if self is Plan.BAD_REVISION else 1.0  # who applied what was pushed is behind a head that is old

    @property
    def wants_baselines(self) -> bool:
        """Whether it edits objects, of which must be known what Git last applied."""
        return self is Plan.EVERYTHING


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("demo")(demo)


@dataclass(slots=True)
class _Show:
    """What the demonstration does and has seen so far."""

    clusters: int
    sites: dict[str, str]
    plan: Plan
    announce: Callable[[str], None]
    """Told of each phase and of the hint, for where no view is drawn."""
    seen: Observed = field(default_factory=Observed)
    rows_in: int = 0
    planned: int = 0
    ledger: Ledger = field(default_factory=Ledger)
    web: bool = True
    """Whether the page is served."""
    stays: bool = False
    """Whether everything runs on, once all is judged, until it is stopped."""
    page: str = ""
    """Where it is."""
    hint: str = ""
    detail: str = ""
    _phase: Phase = field(default=Phase(""))
    _phase_began: float = 0.0
    _judged: Verdict | None = None
    _judge_after: float = 0.0

    def enter(self, name: str, limit_seconds: float | None = None, *, is_exact: bool = False) -> None:
        """Begin a phase."""
        self._phase = Phase(name, limit_seconds=limit_seconds, is_exact=is_exact)
        self._phase_began, self.detail = time.monotonic(), ""
        self.announce(name)

    def fetched(self, present_bytes: int, total_bytes: int) -> None:
        """Take how much of Kafka has been fetched; called from other threads."""
        self.detail = fetching(present_bytes, total_bytes)

    def scene(self) -> Scene:
        """Return what there is to see now."""
        made = sum(1 for entry in self.ledger.entries.values() if entry.done_at_ns is not None)
        judged = self._judgement()
        return Scene(
            title=f"Abdrift: {self.clusters} simulated clusters at {len(set(self.sites.values()))} sites",
            phase=replace(self._phase, elapsed_seconds=time.monotonic() - self._phase_began, detail=self.detail),
            seen=self.seen,
            sites=self.sites,
            now_ms=wall_clock_ms(),
            figures={"signals": f"{self.rows_in:,} rows", "faults": f"{made} made of {self.planned} planned"},
            latencies_ms={
                "edit to finding": judged.edit_to_finding_ms,
                "edit to corrected": judged.edit_to_corrected_ms,
            },
            hint=self.hint,
        )

    def _judgement(self) -> Verdict:
        """Judge again now and then: a twentieth of the time at most goes into it, however large the fleet."""
        began = time.monotonic()
        if self._judged is None or began >= self._judge_after:
            self._judged = self.ledger.judge(demo_figures.observed_findings(self.seen))
            ended = time.monotonic()
            self._judge_after = ended + max(1.0, 20 * (ended - began))
        return self._judged


def demo(
    clusters: Annotated[int, typer.Option(min=1, max=1000, help="How many clusters to simulate.")] = 50,
    seconds: Annotated[float, typer.Option(min=5, help="How long faults are made.")] = 90.0,
    chosen: Annotated[
        Plan,
        typer.Option(
            "--plan", help="Faults of every kind, or one bad revision, or one bad image, for two clusters of five."
        ),
    ] = Plan.EVERYTHING,
    seed: Annotated[int, typer.Option(help="The same seed makes the same fleet and the same faults.")] = 1,
    data: Annotated[
        Path | None, typer.Option(help="Keep Kafka's data, state and logs here instead of a temporary folder.")
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option(help="Write a picture (SVG) of the view at its fullest to this file.", dir_okay=False),
    ] = None,
    web: Annotated[bool, typer.Option("--web/--no-web", help="Show the fleet in a browser too, at 127.0.0.1.")] = True,
    stay: Annotated[
        bool, typer.Option("--stay", help="When all is judged, run on until Ctrl-C, to look around.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="No view and no page; one JSON object at the end.")] = False,
) -> None:
    """Run everything on a simulated fleet: Kafka, collectors, streams, governor and sinks, and faults to find.

    Hand edits, deletions, suspends, bad commits, silence and event storms are made by plan, and a bad revision is
    rolled out; at the end what was found is judged against that plan.

    Exit status: 0 where all was found and corrected, 1 where the demo could not run, 3 where a fault or an incident
    was missed, a finding or an incident was a false alarm or a correction was lost, 130 where it was stopped.
    """
    errors, console = Console(stderr=True), Console()
    directory = data or Path(tempfile.mkdtemp(prefix="abdrift-demo-"))
    keep = data is not None
    spec = FleetSpec(clusters=clusters, seed=seed, early=clusters * EARLY_PERCENT // 100)
    sites = {name: labels["site"] for name, labels in cluster_labels(spec).items()}
    show = _Show(clusters, sites, chosen, _announcer(errors), web=web and not as_json, stays=stay)
    if as_json or is_drawable(console):
        show.announce = lambda _: None
    camera = Camera(record, f"abdrift demo --clusters {clusters}") if record else None
    try:
        _log_to(directory / "logs")
        figures = asyncio.run(_shown(spec, seconds, directory, show, Stage(console, camera, quiet=as_json)))
    except (KeyboardInterrupt, asyncio.CancelledError):
        errors.print("Stopped; nothing was left running.")
        raise typer.Exit(130) from None
    except (BrokerError, ChildFailed, OSError) as error:
        keep = True
        printing.complain(str(error))
        raise typer.Exit(1) from error
    finally:
        if keep:
            _say_kept(errors, directory)
        else:
            shutil.rmtree(directory, ignore_errors=True)
    if as_json:
        typer.echo(orjson.dumps(figures).decode())
    else:
        demo_figures.show(console, figures)
    if any(figures[name] for name in demo_figures.FAULTY):
        raise typer.Exit(3)


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the demonstration is shown."""

    console: Console
    camera: Camera | None
    quiet: bool

    def drawn(self, show: _Show) -> contextlib.AbstractAsyncContextManager[None]:
        """Draw the view until left; quiet, only the camera sees it."""
        console = Console(file=io.StringIO()) if self.quiet else self.console
        return drawn(show.scene, console, camera=self.camera)


def _say_kept(errors: Console, directory: Path) -> None:
    kept = [f"Logs: {directory}/logs"] if (directory / "logs").is_dir() else []
    if (directory / "broker").is_dir():
        kept.append(f"Topics: `{program()} broker --data {directory}/broker` serves them again")
    for line in kept:
        errors.print(line, markup=False, highlight=False, soft_wrap=True)


def _announcer(errors: Console) -> Callable[[str], None]:
    begun = time.monotonic()
    return lambda what: errors.print(f"{time.monotonic() - begun:5.1f} s  {what}", highlight=False, soft_wrap=True)


def _log_to(directory: Path) -> None:
    """Keep this process's own log from the terminal, where the view is."""
    directory.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(
        filename=directory / "demo.log",
        level=logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        force=True,
    )


async def _shown(spec: FleetSpec, seconds: float, directory: Path, show: _Show, stage: Stage) -> dict[str, Any]:
    """Run the demonstration with its view. A signal to end is a cancellation, so that everything is stopped."""
    body = asyncio.current_task()
    assert body
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, body.cancel)
    show.enter("building the simulated fleet")
    async with stage.drawn(show):
        figures = await _demo(spec, seconds, directory, show)
    if not stage.quiet and is_drawable(stage.console):
        show.enter("finished")
        stage.console.print(View(show.scene()))
    return figures


async def _demo(spec: FleetSpec, seconds: float, directory: Path, show: _Show) -> dict[str, Any]:
    async with SimulatedFleet(spec) as fleet:
        members = fleet_of(fleet, directory)
        people = [c.write_kubeconfig(directory / "kubeconfigs" / f"{c.name}-alice", "alice") for c in fleet.clusters]
        wanted = PipelineSpec(
            fleet=members,
            data_dir=directory,
            partitions=_PARTITIONS,
            heartbeat_seconds=max(2.0, spec.clusters / _HEARTBEATS_A_SECOND),
            tick_seconds=0.2,
            git_interval_seconds=show.plan.git_interval_seconds,
            hourly_cap=200,
            download_progress=show.fetched,
            on_stage=show.enter,
        )
        async with running(wanted) as pipeline:
            try:
                async with (
                    page_beside(pipeline.kafka, wanted=show.web) as show.page,
                    beside(_absorb(show, pipeline), _count(show, pipeline), pipeline.supervisor.failed()),
                ):
                    return await _played(fleet, people, pipeline, show, seconds)
            finally:
                show.hint = ""
                show.enter("stopping Kafka and the programs", _STOP_SECONDS)


async def _played(
    fleet: SimulatedFleet, people: list[Path], pipeline: Pipeline, show: _Show, seconds: float
) -> dict[str, Any]:
    """Make the faults of the plan, and judge what was found."""
    spec = fleet.spec
    injector = FaultInjector(fleet)
    show.ledger = injector.ledger
    faults = plan(spec.seed, spec, seconds, kinds=show.plan.kinds)
    show.planned = len(faults)
    # What comes last is cut off where the terminal is narrow.
    kafka, look = f"export ABDRIFT_KAFKA={pipeline.kafka.bootstrap_servers}", f"then {program()} fleet status"
    show.hint = "   ".join(filter(None, (show.page, kafka, "Ctrl-C stops", look)))
    show.announce(show.hint)
    await publish_policy(pipeline.kafka, pipeline.keyring, POLICY)
    await _settle_baselines(people, show)
    operator = asyncio.create_task(_operate(show, pipeline))
    try:
        show.enter("making faults", seconds, is_exact=True)
        await injector.run(faults)
        await _settle(show, injector.ledger)
    finally:
        operator.cancel()
    figures = {
        "clusters": spec.clusters,
        "rows_in": show.rows_in,
        **demo_figures.summary(show.seen, injector.ledger, show.sites),
    }
    if show.stays:
        await _stay(show)
    return figures


async def _stay(show: _Show) -> None:
    """Wait to be stopped, which then is how the demonstration ends: with its figures."""
    show.enter("all is judged; everything runs on until Ctrl-C")
    body = asyncio.current_task()
    assert body
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        body.uncancel()


async def _absorb(show: _Show, pipeline: Pipeline) -> None:
    async for event, append_ms in follow(pipeline.kafka):
        show.seen.absorb(event, append_ms)


async def _count(show: _Show, pipeline: Pipeline) -> None:
    async for number in rows(pipeline.kafka):
        show.rows_in += number


async def _settle_baselines(people: list[Path], show: _Show) -> None:
    """Have every owner reconciled once, as its interval would in time.

    Only a reconcile that was seen proves a baseline.
    """
    clusters, verdicts = len(people), show.seen.verdicts
    limit_seconds = _patience(_BASELINE_SECONDS, clusters)
    deadline = time.monotonic() + limit_seconds

    def all_seen() -> bool:
        show.detail = f"{len(show.seen.clusters)} of {clusters} clusters seen"
        return len(show.seen.clusters) >= clusters

    def all_proven() -> bool:
        proven = sum(1 for verdict in verdicts.values() if verdict == "in-sync")
        show.detail = f"{proven} of {len(verdicts)} Kustomizations and HelmReleases proven"
        return len(verdicts) >= clusters and proven == len(verdicts)

    show.enter("learning what Git last applied", limit_seconds)
    await _until(all_seen, deadline)
    if not show.plan.wants_baselines:
        return
    await _reconcile_everything(people, "baseline")
    await _until(all_proven, deadline)


def _patience(seconds: tuple[float, float], clusters: int) -> float:
    least, for_each = seconds
    return max(least, for_each * clusters)


async def _until(true: Callable[[], bool], deadline: float) -> None:
    """Look now and then until something holds or the time (monotonic seconds) has come."""
    while not true() and time.monotonic() < deadline:  # noqa: ASYNC110  what is waited for comes from Kafka
        await asyncio.sleep(0.2)


async def _reconcile_everything(people: list[Path], request: str) -> None:
    """Ask Flux for every owner, as `flux reconcile` does; the simulated clusters know no more than real ones."""
    async with asyncio.TaskGroup() as tasks:
        for person in people:
            tasks.create_task(_reconcile_owners(person, request))


async def _reconcile_owners(person: Path, request: str) -> None:
    asked = {"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": request}}}
    async with KubeApi(Credentials.load(person), user_agent="flux") as api:
        for resource in _OWNERS:
            for owner in (await api.get(resource.path()))["items"]:
                metadata = owner["metadata"]
                path = resource.path(metadata["namespace"], metadata["name"])
                await api.merge_patch(path, asked, field_manager="flux")


async def _operate(show: _Show, pipeline: Pipeline) -> None:
    """Play the person who approves what the governor may not do by itself: a reconcile that also fetches."""
    approved: set[str] = set()
    while True:
        for finding_id, decision in list(show.seen.awaiting.items()):
            if finding_id not in approved and not _is_hopeless(show.seen, decision):
                approved.add(finding_id)
                await approve(
                    pipeline.kafka,
                    pipeline.keyring,
                    finding_id,
                    cluster=decision["cluster"]["name"],
                    verb=Verb(decision["verb"]),
                    reason="approved in the demonstration",
                )
        await asyncio.sleep(0.3)


def _is_hopeless(seen: Observed, decision: Mapping[str, Any]) -> bool:
    """Whether what a decision is about fails: trying the same revision again would not help."""
    about = seen.findings.get(decision["finding_ids"][0], {}).get("owner")
    return any(
        finding["kind"] == "failing" and finding["object"] == about and finding["cluster"] == decision["cluster"]
        for finding in seen.open_findings
    )


async def _settle(show: _Show, ledger: Ledger) -> None:
    """Wait until nothing is under way any more, or the time is over."""
    limit_seconds = _patience(_SETTLE_SECONDS, show.clusters)
    show.enter("letting the last corrections finish", limit_seconds)
    deadline = time.monotonic() + limit_seconds
    while time.monotonic() < deadline:
        verdict = ledger.judge(demo_figures.observed_findings(show.seen))
        missed = judge_incidents(ledger, list(show.seen.incidents.values()), show.sites).missed
        running_commands = [o for o in show.seen.outcomes.values() if o["result"] == "accepted"]
        if not (verdict.missed or verdict.lost or missed or running_commands):
            return
        await asyncio.sleep(0.5)
