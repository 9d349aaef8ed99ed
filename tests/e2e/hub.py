"""How soon one hub tells of edits in many clusters, and what sick ones do to it: `python -m tests.e2e.hub --json`.

500 simulated clusters of 30 kinds and 500 objects each, from a process of their own; 100 edits a second over all. Timed
from the edit in the cluster's store until its frame is closed and handed to the sender, by this machine's one clock.
First all are well; then one hangs, one has its token expire, and two join that flood and lie about versions. The hub
runs on one core (`--pin`), the clusters on another.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import resource
import sys
import tempfile
import time
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abdrift import frames
from abdrift.clock import wall_clock_ms
from abdrift.masking import Masker
from abdrift.observed import percentiles
from abdrift.signals.objects import CLUSTER, Op, rows_of
from abdrift.topics import OBJECTS
from collectors.hub import Hub, HubConfig
from collectors.hub.directory import Directory
from tests.parts.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from collectors.lanes import Headers

PARTITIONS = 64
SETTLE_SECONDS = 120.0


@dataclass(frozen=True)
class Load:
    """How much of everything."""

    clusters: int = 500
    objects: int = 500
    """Of each cluster."""
    edits_per_second: float = 100.0
    seconds: float = 60.0
    """Of each of the two stretches: all well, and some sick."""
    hub: HubConfig = field(default_factory=lambda: HubConfig(lost_after_seconds=3, max_objects=2_000))


class Kept:
    """A `Send` that keeps frames of objects with the time at which they were ready; they are read after a stretch."""

    def __init__(self) -> None:
        self.told: dict[tuple[str, str], int] = {}
        """By cluster and resourceVersion when a change was told first."""
        self.lost: set[str] = set()
        """Clusters that were said to be out of reach."""
        self._unread: list[tuple[int, bytes, Headers]] = []

    async def __call__(self, topic: str, _partition: int, _key: bytes, value: bytes, headers: Headers) -> None:
        if topic == OBJECTS.name:
            self._unread.append((wall_clock_ms(), value, headers))

    def read(self) -> None:
        """Read what was kept since the last time."""
        unread, self._unread = self._unread, []
        for at_ms, value, headers in unread:
            for row in rows_of(frames.decode(value, headers).batch):
                if row.op == Op.MODIFIED:
                    self.told.setdefault((row.cluster, row.resource_version), at_ms)
                elif row.op == Op.LOST and (row.group, row.kind) == CLUSTER:
                    self.lost.add(row.cluster)


class Fleet:
    """The processes that serve the clusters; their kubeconfigs lie in the folder."""

    def __init__(self, served: asyncio.subprocess.Process, sick: asyncio.subprocess.Process, folder: Path) -> None:
        self._served = served
        self._sick = sick
        self._folder = folder
        self.clusters: list[str] = []
        self.sick: list[str] = []

    async def ready(self) -> None:
        """Wait until the clusters are served."""
        told = json.loads(await _line(self._served))
        self.clusters, self.sick = told["clusters"], [*told["sick"], "flood", "lie"]

    async def edit(self, load: Load) -> list[list[Any]]:
        """Edit for a stretch; return cluster, resourceVersion and time of each edit."""
        return list((await self._ask(do="edit", per_second=load.edits_per_second, seconds=load.seconds))["edits"])

    async def sicken(self) -> None:
        """Have two clusters fall sick, and two sick ones join."""
        base = (await _line(self._sick)).decode().strip()
        for name in ("flood", "lie"):
            config = {
                "current-context": name,
                "clusters": [{"name": name, "cluster": {"server": f"{base}/{name}"}}],
                "contexts": [{"name": name, "context": {"cluster": name}}],
            }
            (self._folder / f"{name}.yaml").write_text(json.dumps(config))
        await self._ask(do="sicken")

    async def _ask(self, **told: Any) -> dict[str, Any]:
        assert self._served.stdin
        self._served.stdin.write(json.dumps(told).encode() + b"\n")
        return dict(json.loads(await _line(self._served)))


async def _line(process: asyncio.subprocess.Process) -> bytes:
    assert process.stdout
    line = await process.stdout.readline()
    assert line, "a process of the fleet ended"
    return line


@asynccontextmanager
async def fleet_of(load: Load, folder: Path, cpu: int | None) -> AsyncIterator[Fleet]:
    """Run the clusters in processes of their own."""
    async with AsyncExitStack() as stack:
        served = await stack.enter_async_context(
            _process(cpu, "tests.e2e.hub_fleet", str(folder), str(load.clusters), str(load.objects))
        )
        sick = await stack.enter_async_context(_process(cpu, "tests.e2e.hub_sick"))
        fleet = Fleet(served, sick, folder)
        await fleet.ready()
        yield fleet


@asynccontextmanager
async def _process(cpu: int | None, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    pin = ("taskset", "-c", str(cpu)) if cpu is not None else ()
    process = await asyncio.create_subprocess_exec(
        *pin,
        sys.executable,
        "-m",
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=64 * 1024 * 1024,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def run(load: Load, folder: Path, *, cpu: int | None = None) -> dict[str, Any]:
    """Watch, edit, sicken, edit again, and return the figures."""
    kept = Kept()
    async with fleet_of(load, folder, cpu) as fleet:
        framing = load.hub.framing(PARTITIONS)
        hub = Hub(load.hub, kept, masker=Masker(b"k" * 32), framing=framing, rng=random.Random(1))
        begun = time.monotonic()
        running = asyncio.create_task(hub.run([Directory(folder)]))
        try:
            await until(lambda: _watching(hub, load), "all clusters watched", within_seconds=600)
            ready_seconds = time.monotonic() - begun
            well = await _edited(fleet, load, kept)
            await fleet.sicken()
            await until(lambda: _noticed(hub, fleet), "the sick ones are noticed", within_seconds=120)
            sick = await _edited(fleet, load, kept)
            status = {each["cluster"]: each["state"] for each in hub.status()["clusters"]}
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
    return judged(load, kept, fleet, {"well": well, "sick": sick}) | {
        "watching_after_seconds": round(ready_seconds, 1),
        "resident_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "states": {name: status[name] for name in fleet.sick},
    }


@dataclass
class Stretch:
    """Edits of one stretch, and what part of a processor's time the hub took meanwhile."""

    edits: list[list[Any]]
    cpu_share: float


async def _edited(fleet: Fleet, load: Load, kept: Kept) -> Stretch:
    cpu, begun = time.process_time(), time.monotonic()
    edits = await fleet.edit(load)
    share = (time.process_time() - cpu) / (time.monotonic() - begun)
    deadline = time.monotonic() + SETTLE_SECONDS
    wanted = {(cluster, version) for cluster, version, _ in edits}
    while not wanted <= kept.told.keys() and time.monotonic() < deadline:
        await asyncio.sleep(0.2)
        kept.read()
    return Stretch(edits, round(share, 2))


async def _watching(hub: Hub, load: Load) -> bool:
    """Whether all clusters are seen with all their watches open and all their objects known."""
    told = hub.status()["clusters"]
    return len(told) == load.clusters + 2 and all(
        each["state"] == "seen" and set(each["watches"]) == {"open"} and each["objects"] > load.objects for each in told
    )


async def _noticed(hub: Hub, fleet: Fleet) -> bool:
    states = {each["cluster"]: each["state"] for each in hub.status()["clusters"]}
    hanging, expired, flood, lie = (states.get(name) for name in fleet.sick)
    return (hanging, expired) == ("unreachable", "unauthorized") and {flood, lie} <= {"seen", "unreachable"}


def judged(load: Load, kept: Kept, fleet: Fleet, stretches: dict[str, Stretch]) -> dict[str, Any]:
    """Return the figures of a trial."""
    kept.read()
    figures: dict[str, Any] = {"clusters": load.clusters, "objects": load.clusters * load.objects}
    for name, stretch in stretches.items():
        took = [float(kept.told[c, v] - at_ms) for c, v, at_ms in stretch.edits if (c, v) in kept.told]
        figures[name] = {
            "edits": len(stretch.edits),
            "missed": len(stretch.edits) - len(took),
            "edit_to_frame_ms": percentiles(took),
            "longest_ms": max(took, default=None),
            "cpu_share": stretch.cpu_share,
        }
    return figures | {"said_out_of_reach": sorted(kept.lost & {*fleet.clusters, *fleet.sick})}


def main() -> None:
    """Run a trial and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    defaults = Load()
    for name in ("clusters", "objects"):
        parser.add_argument(f"--{name}", type=int, default=getattr(defaults, name))
    for name in ("edits_per_second", "seconds"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=getattr(defaults, name))
    parser.add_argument("--pin", action="store_true", help="the hub on the first core, the clusters on the second")
    parser.add_argument("--json", action="store_true", help="one line of JSON instead of a table")
    given = vars(parser.parse_args())
    as_json, pin = given.pop("json"), given.pop("pin")
    if pin:
        os.sched_setaffinity(0, {0})
    with tempfile.TemporaryDirectory(prefix="abdrift-hub-") as folder:
        figures = asyncio.run(run(Load(**given), Path(folder), cpu=1 if pin else None))
    for line in [json.dumps(figures)] if as_json else [f"{name:26} {value}" for name, value in figures.items()]:
        sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main()
