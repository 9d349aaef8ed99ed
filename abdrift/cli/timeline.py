"""`abdrift timeline`: one cluster's story in one line of time."""

import asyncio
import itertools
from collections.abc import Iterator, Sequence
from typing import Annotated, Final

import orjson
import typer
from rich.console import Console
from rich.text import Text

from abdrift.cli import looks, stored
from abdrift.cli.kafka import with_kafka
from abdrift.cli.known import known
from abdrift.cli.looks import AMBER, GREY
from abdrift.cli.service import run_until_stopped
from abdrift.clock import to_datetime, wall_clock_ms
from abdrift.facts.base import rfc3339
from abdrift.fleetstate import PLACES, Cluster, Fleet
from abdrift.kafka import KafkaSettings
from abdrift.timeline import Entry, reading
from abdrift.timeline.entries import short, took

_FIELDS: Final = 3
"""How many changed fields are shown of each finding; `drift show` shows all."""
_DAY_MS: Final = 86_400_000


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("timeline")(with_kafka(timeline))


def timeline(
    cluster: Annotated[str, typer.Argument(metavar="CLUSTER", help="Its name in the fleet.")],
    kafka: KafkaSettings,
    since: Annotated[str, typer.Option(help="How far back: 90m, 24h, 7d. What still lasts is told anyway.")] = "24h",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on telling until Ctrl-C.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON; with --follow, one entry a line.")] = False,
) -> None:
    """Tell what happened to a cluster, in order: what changed in Git, what drifted, who did it, and what was done.

    Times are UTC, and of when a thing happened rather than of when it was noticed. `abdrift drift list --cluster` has
    the ids of what is off course, and `abdrift drift show ID` shows one whole.
    """
    since_ms = stored.ago_ms(since)
    work = _tell(kafka, cluster, since_ms, follow=follow, as_json=as_json)
    if follow:
        run_until_stopped(work)
    else:
        asyncio.run(work)


async def _tell(kafka: KafkaSettings, name: str, since_ms: int, *, follow: bool, as_json: bool) -> None:
    found = await known(kafka)
    found.require_cluster(name)
    fleet = found.cluster(name)
    console = looks.console()
    async with reading.opened(kafka, name, since_ms) as reader:
        await reader.catch_up()
        entries = reader.story.entries(since_ms)
        if as_json and not follow:
            typer.echo(orjson.dumps({"cluster": about(fleet, name), "entries": [each.facts() for each in entries]}))
            return
        if not as_json:
            for line in heading(fleet, name, wall_clock_ms()):
                console.print(line)
            console.print()
            for note in notes(reader):
                console.print(note)
        last_ms = tell(console, entries, 0, as_json=as_json)
        if not entries and not as_json:
            console.print(Text("Nothing happened, as far as is known; a longer --since tells more.", style=GREY))
        if follow:
            async for more in reader.follow():
                last_ms = tell(console, more, last_ms, as_json=as_json)


def tell(console: Console, entries: Sequence[Entry], last_ms: int, *, as_json: bool) -> int:
    """Print entries, with the day wherever it is another than before; return when the last one was."""
    if as_json:
        for entry in entries:
            typer.echo(orjson.dumps(entry.facts()))
        return last_ms
    for day, of_day in itertools.groupby(entries, key=lambda entry: entry.at_ms // _DAY_MS):
        if day != last_ms // _DAY_MS:
            console.print(Text(f"{to_datetime(day * _DAY_MS):%Y-%m-%d}", style="bold"))
        last_ms = day * _DAY_MS
        console.print(looks.entries(of_day, fields=_FIELDS))
    return last_ms


def heading(fleet: Fleet, name: str, now_ms: int) -> Iterator[Text]:
    """Yield how the cluster is now."""
    cluster = fleet.clusters.get(name, Cluster(name))
    symbol, colour = looks.STATUS[cluster.status]
    line = Text.assemble((name, "bold"), "  ", (f"{symbol} {cluster.status}", colour))
    if cluster.since_ms is not None:
        line.append(f" for {took(max(0, now_ms - cluster.since_ms))}")
    if cluster.open:
        line.append(f"  {looks.DRIFTED[0]} {looks.number(len(cluster.open), 'open finding')}", style=looks.DRIFTED[1])
    yield line
    places = [f"{label} {cluster.place(label)}" for label in PLACES if cluster.place(label)]
    version = [f"Kubernetes {cluster.kubernetes_version}"] if cluster.kubernetes_version else []
    seen = f"agent last heard {looks.ago(cluster.last_seen_ms, now_ms)}"
    yield Text(f"  {', '.join([*places, *version, seen])}", style=AMBER if cluster.is_silent else GREY)
    for reason in cluster.reasons:
        yield Text(f"  {reason}", style=colour)
    for owner in sorted(cluster.owners.values(), key=lambda each: each.name):
        why = f": {', '.join(owner.reasons)}" if owner.reasons else ""
        paused = ", suspended" if owner.is_suspended and "suspended" not in owner.reasons else ""
        yield Text(f"  {owner.name} at {short(owner.applied or 'nothing')}, {owner.verdict}{why}{paused}", style=GREY)


def notes(reader: reading.StoryReader) -> Iterator[Text]:
    """Yield what the line of time may lack."""
    if reader.git_since_ms:
        when = rfc3339(to_datetime(reader.git_since_ms))
        yield Text(f"moves of Git remotes are told from {when} on: there are too many signals before", style=AMBER)
    if reader.story.unreadable:
        yield Text(f"{looks.number(reader.story.unreadable, 'fact')} could not be read", style=AMBER)


def about(fleet: Fleet, name: str) -> dict[str, object]:
    """Return how the cluster is now, as JSON values."""
    cluster = fleet.clusters.get(name, Cluster(name))
    return {
        "name": name,
        "labels": dict(cluster.labels),
        "status": cluster.status,
        "reasons": list(cluster.reasons),
        "silent": cluster.is_silent,
        "last_seen": rfc3339(to_datetime(cluster.last_seen_ms)) if cluster.last_seen_ms else None,
        "open_findings": dict(cluster.open),
        "owners": [
            {"name": each.name, "verdict": each.verdict, "applied": each.applied} for each in cluster.owners.values()
        ],
    }
