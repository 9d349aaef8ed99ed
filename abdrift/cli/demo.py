"""`abdrift demo`: the whole pipeline on a simulated fleet, judged against the simulator's own plan of faults."""

import asyncio
import contextlib
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.live import Live

from abdrift.broker import BrokerError
from abdrift.cli.broker import download_progress
from abdrift.cli.facts import follow, rows
from abdrift.cli.pipeline import Pipeline, PipelineSpec, running
from abdrift.cli.steering import approve, publish_policy
from abdrift.cli.view import render
from abdrift.clock import parse_rfc3339_ms
from abdrift.facts.commands import Verb
from abdrift.facts.governance import Backoff, Breaker, Budget, Budgets, DriftAllowance, Limits, Mode, Policy, Rule
from abdrift.fleet import Fleet, Member
from abdrift.kubeapi import Credentials, KubeApi, Resource
from abdrift.observed import Observed, percentiles
from abdrift.processes import ChildFailed
from abdrift.simulation import FaultInjector, FleetSpec, Ledger, SimulatedFleet, Verdict, plan

_BASELINE_SECONDS = 60.0
_SETTLE_SECONDS = 30.0
_QUIET_SECONDS = 6.0
_EVENT_LINES = 14
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
)


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("demo")(demo)


@dataclass(slots=True)
class _Show:
    """What the demonstration has seen so far."""

    seen: Observed = field(default_factory=Observed)
    rows_in: int = 0
    phase: str = "starting"
    faults: int = 0
    changed: float = field(default_factory=time.monotonic)


def demo(
    clusters: Annotated[int, typer.Option(min=1, max=1000, help="How many clusters to simulate.")] = 50,
    seconds: Annotated[float, typer.Option(min=5, help="How long faults are made.")] = 90.0,
    seed: Annotated[int, typer.Option(help="The same seed makes the same fleet and the same faults.")] = 1,
    data: Annotated[
        Path | None, typer.Option(help="Keep Kafka's data, state and logs here instead of a temporary folder.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="No view; one JSON object at the end.")] = False,
) -> None:
    """Run everything on a simulated fleet: Kafka, collectors, streams, governor and sinks, and faults to find.

    Hand edits, deletions, suspends, bad commits, silence and event storms are made by plan; at the end what was found
    is judged against that plan.
    """
    errors = Console(stderr=True)
    directory = data or Path(tempfile.mkdtemp(prefix="abdrift-demo-"))
    try:
        summary = asyncio.run(_demo(clusters, seconds, seed, directory, quiet=as_json, errors=errors))
    except KeyboardInterrupt:
        errors.print("stopped; nothing was left running")
        raise typer.Exit(130) from None
    except (BrokerError, ChildFailed) as error:
        errors.print(f"[red]Error:[/red] {error}\nLogs: {directory}/logs", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from error
    finally:
        if data is None:
            shutil.rmtree(directory, ignore_errors=True)
    if as_json:
        typer.echo(orjson.dumps(summary).decode())
    else:
        _print(summary)
    if summary["missed"] or summary["false_alarms"] or summary["lost"]:
        raise typer.Exit(3)


async def _demo(
    clusters: int, seconds: float, seed: int, directory: Path, *, quiet: bool, errors: Console
) -> dict[str, Any]:
    spec = FleetSpec(clusters=clusters, seed=seed)
    show = _Show(phase="starting Kafka and the simulated fleet")
    async with SimulatedFleet(spec) as fleet:
        members = _members(fleet, directory)
        people = [c.write_kubeconfig(directory / "kubeconfigs" / f"{c.name}-alice", "alice") for c in fleet.clusters]
        with download_progress(errors) as progress:
            wanted = PipelineSpec(
                fleet=members,
                data_dir=directory,
                heartbeat_seconds=2,
                tick_seconds=0.2,
                git_interval_seconds=1,
                hourly_cap=200,
                download_progress=progress,
            )
            async with running(wanted) as pipeline, _viewed(show, pipeline, clusters, quiet=quiet):
                injector = FaultInjector(fleet)
                await publish_policy(pipeline.kafka, pipeline.keyring, POLICY)
                show.phase = "learning what Git last applied"
                await _settle_baselines(people, show)
                show.phase = f"making faults for {seconds:g} s"
                operator = asyncio.create_task(_operate(show, pipeline))
                faults = plan(seed, spec, seconds)
                show.faults = len(faults)
                await injector.run(faults)
                show.phase = "letting the last corrections finish"
                await _settle(show, injector.ledger)
                operator.cancel()
                return summary(show.seen, injector.ledger, clusters=clusters, rows_in=show.rows_in)


def _members(fleet: SimulatedFleet, directory: Path) -> Fleet:
    folder = directory / "kubeconfigs"
    folder.mkdir(parents=True, exist_ok=True)
    return Fleet(
        clusters=tuple(
            Member(
                name=cluster.name,
                labels=cluster.labels,
                kubeconfig=cluster.write_kubeconfig(folder / f"{cluster.name}-agent", "agent"),
                acting_kubeconfig=cluster.write_kubeconfig(folder / f"{cluster.name}-actor", "actor"),
            )
            for cluster in fleet.clusters
        )
    )


@contextlib.asynccontextmanager
async def _viewed(show: _Show, pipeline: Pipeline, clusters: int, *, quiet: bool) -> AsyncIterator[None]:
    """Follow the topics, and draw what is seen unless told to be quiet."""

    async def facts() -> None:
        async for event in follow(pipeline.kafka):
            show.seen.absorb(event)
            show.changed = time.monotonic()

    async def count() -> None:
        async for number in rows(pipeline.kafka):
            show.rows_in += number

    tasks = [asyncio.create_task(facts()), asyncio.create_task(count())]
    tasks.append(asyncio.create_task(pipeline.supervisor.failed()))
    if not quiet:
        tasks.append(asyncio.create_task(_draw(show, clusters)))
    failed = asyncio.gather(*tasks)
    body = asyncio.current_task()
    assert body
    failed.add_done_callback(lambda done: None if done.cancelled() or not done.exception() else body.cancel())
    try:
        yield
    except asyncio.CancelledError:
        if failed.done() and not failed.cancelled() and (error := failed.exception()):
            raise error from None
        raise
    finally:
        failed.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await failed


async def _draw(show: _Show, clusters: int) -> None:
    console = Console()
    begun = time.monotonic()
    with Live(console=console, auto_refresh=False, transient=False) as live:
        while True:
            figures = {
                "phase": f"{show.phase} ({time.monotonic() - begun:.0f} s)",
                "signals": f"{show.rows_in:,} rows",
                "faults planned": str(show.faults),
            }
            view = render(
                show.seen,
                title=f"Abdrift: {clusters} simulated clusters",
                figures=figures,
                latencies=latencies(show.seen),
                lines=max(4, min(_EVENT_LINES, console.height - 20)),
            )
            live.update(view, refresh=True)
            await asyncio.sleep(0.25)


def latencies(seen: Observed) -> dict[str, list[float]]:
    """Return, in milliseconds, how long findings and commands took by their own times."""
    found = [_between(finding["times"], "observed_at", "opened_at") for finding in seen.findings.values()]
    done = [_between(outcome, "issued_at", "corrected_at") for outcome in seen.outcomes.values()]
    return {
        "seen to found": [value for value in found if value is not None],
        "command to corrected": [value for value in done if value is not None],
    }


def _between(times: Mapping[str, Any], first: str, second: str) -> float | None:
    began, ended = parse_rfc3339_ms(times.get(first)), parse_rfc3339_ms(times.get(second))
    return float(ended - began) if began is not None and ended is not None else None


async def _settle_baselines(people: list[Path], show: _Show) -> None:
    """Have every owner reconciled once, as its interval would in time.

    Only a reconcile that was seen proves a baseline.
    """
    deadline = time.monotonic() + _BASELINE_SECONDS
    clusters = len(people)
    await _until(lambda: len(show.seen.clusters) >= clusters, deadline)
    await _reconcile_everything(people, "baseline")
    verdicts = show.seen.verdicts
    await _until(lambda: len(verdicts) >= clusters and set(verdicts.values()) == {"in-sync"}, deadline)


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
            if finding_id not in approved:
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


async def _settle(show: _Show, ledger: Ledger) -> None:
    """Wait until nothing is under way any more, or nothing moves."""
    deadline = time.monotonic() + _SETTLE_SECONDS
    while time.monotonic() < deadline:
        verdict = ledger.judge(observed_findings(show.seen))
        running_commands = [o for o in show.seen.outcomes.values() if o["result"] == "accepted"]
        if not (verdict.missed or verdict.lost or running_commands):
            return
        await asyncio.sleep(0.5)


def observed_findings(seen: Observed) -> list[dict[str, Any]]:
    """Return the findings as the simulator's ledger takes them."""
    found = []
    for finding in seen.findings.values():
        opened_ms = parse_rfc3339_ms(finding["times"]["opened_at"]) or 0
        found.append(
            {
                "cluster": finding["cluster"]["name"],
                "kind": finding["kind"],
                "object": finding["object"],
                "opened_at_ns": opened_ms * 1_000_000,
            }
        )
    return found


def summary(seen: Observed, ledger: Ledger, *, clusters: int, rows_in: int) -> dict[str, Any]:
    """Return the figures, judged against the simulator's own plan."""
    verdict: Verdict = ledger.judge(observed_findings(seen))
    return {
        "clusters": clusters,
        "rows_in": rows_in,
        "faults_injected": sum(1 for entry in ledger.entries.values() if not entry.error),
        "findings": seen.finding_kinds(),
        "commands": len(seen.commands),
        "outcomes": seen.outcome_results(),
        "edit_to_finding_ms": percentiles(list(verdict.edit_to_finding_ms)),
        "edit_to_corrected_ms": percentiles(list(verdict.edit_to_corrected_ms)),
        "missed": len(verdict.missed),
        "false_alarms": len(verdict.false_alarms),
        "lost": len(verdict.lost),
        "details": {
            "missed": list(verdict.missed),
            "false_alarms": list(verdict.false_alarms),
            "lost": list(verdict.lost),
            "not_injected": [f"{i}: {entry.error}" for i, entry in ledger.entries.items() if entry.error],
        },
    }


def _print(figures: Mapping[str, Any]) -> None:
    console = Console()
    console.print("\n[bold]Judged against the simulator's plan[/bold]")
    for name, value in figures.items():
        if name != "details":
            shown = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else value
            console.print(f"  {name:22}{shown}", highlight=False)
    for name, items in figures["details"].items():
        for item in items:
            console.print(f"  {name}: {item}", highlight=False, style="yellow")
