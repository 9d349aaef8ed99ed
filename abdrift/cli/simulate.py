"""`abdrift simulate`: a simulated fleet by itself, for agents and sinks that run elsewhere."""

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from abdrift import paths
from abdrift.cli.service import LogLevelOption, prepare, run_until_stopped
from abdrift.fleet import Fleet, Member
from abdrift.processes import tell_ready
from abdrift.simulation import Fault, FaultInjector, FleetSpec, SimulatedFleet, plan

log = logging.getLogger(__name__)

FLEET_FILE = "fleet.yaml"
EARLY_PERCENT = 40
"""Of the clusters, that get a change of the shared repository first: 80 of 200."""


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("simulate")(simulate)


def simulate(
    clusters: Annotated[int, typer.Option(min=1, max=1000, help="How many clusters to simulate.")] = 50,
    after_seconds: Annotated[
        float, typer.Option(min=0, help="When faults begin, so that agents have seen first what Git sets.")
    ] = 120.0,
    seconds: Annotated[float, typer.Option(min=5, help="Over how long faults are made, once.")] = 600.0,
    seed: Annotated[int, typer.Option(help="The same seed makes the same fleet and the same faults.")] = 1,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of the API servers and Git, on loopback; 0: any.")] = 0,
    data: Annotated[
        Path | None, typer.Option(help="Where fleet.yaml and kubeconfigs go.", show_default="simulate/ in the data")
    ] = None,
    log_level: LogLevelOption = "info",
) -> None:
    """Serve a simulated fleet until stopped, and make faults in it: API servers, Flux and Git on one loopback port.

    `abdrift agent --fleet` and `abdrift sink gitops --fleet` take the file fleet.yaml; `abdrift git` finds the
    repositories by what Flux follows. `abdrift demo` runs all of it together and judges what was found.
    """
    prepare(log_level, None)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    spec = FleetSpec(clusters=clusters, seed=seed, early=clusters * EARLY_PERCENT // 100)
    faults = Faults(after_seconds, plan(spec.seed, spec, seconds))
    run_until_stopped(run(spec, faults, data or paths.data_dir() / "simulate", port=port))


@dataclass(frozen=True, slots=True)
class Faults:
    """What is done to the fleet, and from when on."""

    after_seconds: float
    plan: Sequence[Fault]


async def run(spec: FleetSpec, faults: Faults, directory: Path, *, port: int = 0) -> None:
    """Serve the fleet until cancelled; its fleet file is in the directory while it is served."""
    async with SimulatedFleet(spec, port=port) as fleet:
        file = directory / FLEET_FILE
        fleet_of(fleet, directory).write(file)
        try:
            log.info("%d clusters at %s; for agents and sinks: --fleet %s", spec.clusters, fleet.base_url, file)
            tell_ready()
            await asyncio.sleep(faults.after_seconds)
            ledger = await FaultInjector(fleet).run(faults.plan)
            made = sum(1 for entry in ledger.entries.values() if entry.done_at_ns is not None)
            log.info("%d faults made of %d planned; the fleet goes on until it is stopped", made, len(faults.plan))
            await asyncio.Event().wait()
        finally:
            # Its addresses are gone with it.
            with contextlib.suppress(FileNotFoundError):
                file.unlink()


def fleet_of(simulated: SimulatedFleet, directory: Path) -> Fleet:
    """Write kubeconfigs of every cluster, to observe and to act, and return the fleet that they make."""
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
            for cluster in simulated.clusters
        )
    )
