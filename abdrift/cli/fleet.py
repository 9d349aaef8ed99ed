"""`abdrift fleet`: the fleet as it stands."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

import orjson
import typer
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.live import Live
from rich.table import Table
from rich.text import Text

from abdrift.cli import looks
from abdrift.cli.kafka import with_kafka
from abdrift.cli.known import LAST_MS, known, live
from abdrift.cli.looks import AMBER, GREY, RED
from abdrift.cli.service import run_until_stopped
from abdrift.clock import parse_rfc3339_ms, to_datetime, wall_clock_ms
from abdrift.facts.base import rfc3339
from abdrift.fleetstate import PLACES, STATUSES, Fleet
from abdrift.kafka import KafkaSettings
from abdrift.timeline.entries import commit_words, one_line, short

_ROWS: Final = 10
_SILENT_NAMED: Final = 5
_WATCH_SECONDS: Final = 1.0
_HEADINGS: Final = (*STATUSES, "drifted")
_WIDE: Final = 86
"""Columns that the tables' headings take in words; narrower, the symbols stand alone."""
_LABELS: Final = 12
"""Columns that stand before each line of what is said above the tables."""


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    group = typer.Typer(help="See how the fleet is.", no_args_is_help=True)
    group.command("status")(with_kafka(status))
    app.add_typer(group, name="fleet")


def status(
    kafka: KafkaSettings,
    by: Annotated[
        list[str] | None,
        typer.Option(help="Labels to group clusters by, whole.", show_default="site, region, environment, in short"),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on showing it until Ctrl-C.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON; with --watch, a line each time.")] = False,
) -> None:
    """Show clusters by health and place, what is off course, open incidents with their cause, and what is done.

    What nobody vouches for is unknown, never healthy: the age of the newest fact and silent agents stand beside it.
    The first time all facts are read; then they are kept, and only what is new is.
    """
    labels, rows = (by, None) if by else (list(PLACES), _ROWS)
    if watch:
        run_until_stopped(_watch(kafka, labels, rows, as_json=as_json))
        return
    found = asyncio.run(known(kafka))
    shown = Status(found.fleet(), wall_clock_ms(), labels, rows)
    if as_json:
        typer.echo(orjson.dumps(shown.facts()))
    else:
        looks.console().print(shown)


async def _watch(kafka: KafkaSettings, labels: Sequence[str], rows: int | None, *, as_json: bool) -> None:
    """Show it again whenever something changed, once a second at most; its ages go on by themselves."""
    console = looks.console()
    async with live(kafka) as (found, reader):
        fleet = found.fleet()

        def now() -> Status:
            return Status(fleet, wall_clock_ms(), labels, rows)

        drawn = Live(now(), console=console, screen=console.is_terminal, auto_refresh=False, vertical_overflow="crop")
        loop = asyncio.get_running_loop()
        due = 0.0
        with drawn if not as_json and console.is_terminal else contextlib.nullcontext():
            async for changes in reader.changes():
                fleet.take_all(changes)
                if loop.time() < due:
                    continue
                due = loop.time() + _WATCH_SECONDS
                if as_json:
                    typer.echo(orjson.dumps(now().facts()))
                elif console.is_terminal:
                    drawn.update(now(), refresh=True)
                else:
                    console.print(now())


@dataclass(frozen=True, slots=True)
class Status:
    """A fleet as of a moment (ms since the epoch), to be printed or told as JSON."""

    fleet: Fleet
    now_ms: int
    labels: Sequence[str] = PLACES
    rows: int | None = _ROWS
    """How many groups of a label are shown, the worst first; None for all."""

    def facts(self) -> dict[str, Any]:
        """Return it as JSON values."""
        fleet, breaker = self.fleet, self.fleet.breaker
        return {
            "at": rfc3339(to_datetime(self.now_ms)),
            "clusters": dict(fleet.counts().get("", {})),
            "by": {label: {name: dict(each) for name, each in fleet.counts(label).items()} for label in self.labels},
            "drift": fleet.drift(),
            "incidents": [_incident_facts(each) for each in fleet.open_incidents()],
            "governor": {
                "stopped": breaker.is_open if breaker else None,
                "frozen_by": breaker.frozen_by if breaker else None,
                "reasons": list(breaker.reasons) if breaker else [],
            },
            "commands": {
                "in_flight": len(fleet.in_flight(self.now_ms)),
                "last_hour": fleet.results(self.now_ms - LAST_MS),
            },
            "evidence": {
                "newest": rfc3339(to_datetime(fleet.newest_ms)) if fleet.newest_ms else None,
                "stale": fleet.is_stale(self.now_ms),
                "silent": sorted(each.name for each in fleet.clusters.values() if each.is_silent),
            },
            "unreadable": fleet.unreadable,
        }

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> RenderResult:
        """Yield it for a terminal, as wide as that is."""
        yield from self._head(options.max_width - _LABELS)
        yield from self._incidents()
        for label in self.labels:
            yield from self._by(label, wide=options.max_width >= _WIDE)

    def _head(self, width: int) -> Iterator[RenderableType]:
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="bold", no_wrap=True)
        grid.add_column()
        if self.fleet.is_stale(self.now_ms):
            told = looks.ago(self.fleet.newest_ms or None, self.now_ms)
            text = f"! the newest fact about any cluster: {told}. What follows is as of then; now it is unknown."
            yield Text(text, style=f"bold {RED}")
        grid.add_row("clusters", self._clusters(width))
        grid.add_row("off course", self._drift(width))
        grid.add_row("incidents", self._incident_counts())
        grid.add_row("commands", self._commands())
        grid.add_row("governor", self._governor())
        grid.add_row("evidence", self._evidence())
        yield grid

    def _clusters(self, width: int) -> Text:
        counts = self.fleet.counts().get("", Counter())
        parts = [Text(f"{counts['clusters']:,}")]
        for name in STATUSES:
            symbol, colour = looks.STATUS[name]
            parts.append(Text(f"{symbol} {counts[name]:,} {name}", style=colour if counts[name] else GREY))
        return looks.side_by_side(parts, width)

    def _drift(self, width: int) -> Text:
        drifted = self.fleet.counts().get("", Counter())["drifted"]
        if not self.fleet.drift():
            return Text("nothing, as far as is known", style=GREY)
        parts = [Text(f"{looks.DRIFTED[0]} {looks.number(drifted, 'cluster')}:", style=looks.DRIFTED[1])]
        for kind, count in self.fleet.drift().items():
            parts.append(Text(f"{count:,} {kind}", style=looks.KINDS.get(kind, "")))
        return looks.side_by_side([*parts, Text("(`abdrift drift list`)", style=GREY)], width)

    def _incident_counts(self) -> Text:
        is_open, known = len(self.fleet.open_incidents()), len(self.fleet.incidents)
        text = Text(f"{looks.ALARM[0]} {is_open:,} open" if is_open else "none open", style=RED if is_open else "")
        if over := known - is_open:
            text.append(f"; {over:,} over (`abdrift incident list --state closed`)", style=GREY)
        return text

    def _commands(self) -> Text:
        ended = self.fleet.results(self.now_ms - LAST_MS)
        said = ", ".join(f"{count:,} {result}" for result, count in ended.items()) or "none ended"
        return Text(f"{len(self.fleet.in_flight(self.now_ms)):,} in flight; in the last hour: {said}")

    def _governor(self) -> Text:
        breaker = self.fleet.breaker
        if breaker is None:
            return Text("never stopped, as far as is known", style=GREY)
        since = looks.ago(breaker.since_ms, self.now_ms)
        if not breaker.is_open:
            return Text(f"may act; last stopped or started {since}")
        why = "; ".join(map(one_line, breaker.reasons))
        by = f" by {breaker.frozen_by}" if breaker.frozen_by else ""
        return Text(f"! stopped{by}, {since}: {why} (`abdrift command thaw`)", style=RED)

    def _evidence(self) -> Text:
        silent = sorted((c for c in self.fleet.clusters.values() if c.is_silent), key=lambda c: c.last_seen_ms or 0)
        text = Text(f"newest fact {looks.ago(self.fleet.newest_ms or None, self.now_ms)}")
        if silent:
            named = [f"{c.name} {looks.ago(c.last_seen_ms, self.now_ms)}" for c in silent[:_SILENT_NAMED]]
            more = ", ..." if len(silent) > _SILENT_NAMED else ""
            text.append(f"; ○ {looks.number(len(silent), 'agent')} silent: {', '.join(named)}{more}", style=AMBER)
        if self.fleet.unreadable:
            text.append(f"; {self.fleet.unreadable:,} facts could not be read", style=AMBER)
        return text

    def _incidents(self) -> Iterator[Text]:
        for each in self.fleet.open_incidents()[:_ROWS]:
            yield incident_line(each, self.now_ms)
        if (more := len(self.fleet.open_incidents()) - _ROWS) > 0:
            yield Text(f"  and {looks.number(more, 'more open incident')}: `abdrift incident list`", style=GREY)

    def _by(self, label: str, *, wide: bool) -> Iterator[RenderableType]:
        groups = self.fleet.counts(label)
        if set(groups) <= {""}:
            return
        worst = sorted(groups, key=lambda name: (-_badness(groups[name]), name))
        table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="bold")
        table.add_column(label, no_wrap=True, min_width=14)
        table.add_column("clusters", justify="right", no_wrap=True)
        for name in _HEADINGS:
            symbol, colour = looks.STATUS.get(name, looks.DRIFTED)
            table.add_column(f"{symbol} {name}" if wide else symbol, justify="right", style=colour, no_wrap=True)
        for name in worst[: self.rows]:
            counts = groups[name]
            table.add_row(name or "(none)", f"{counts['clusters']:,}", *(f"{counts[h]:,}" for h in _HEADINGS))
        yield Text()
        yield table
        if more := worst[len(worst[: self.rows]) :]:
            ill = sum(map(bool, (_badness(groups[name]) for name in more)))
            state = f"of which {ill:,} have clusters that are not healthy or off course" if ill else "all well"
            yield Text(f"and {len(more):,} more, {state}: --by {label}", style=GREY)


def incident_line(incident: Mapping[str, Any], now_ms: int) -> Text:
    """Return an incident in a line: its id, how grave it is, how far it reaches, its cause and since when."""
    cause, radius = incident["cause"], incident["blast_radius"]
    is_open = incident["state"] == "open"
    text = Text()
    text.append(*(looks.ALARM if is_open else looks.OVER)).append(f" {incident['incident_id']}", style="bold")
    text.append(f"  {incident.get('severity', '')}", style=RED if incident.get("severity") == "critical" else AMBER)
    count = radius["clusters"] if is_open else radius["clusters_ever"]
    text.append(f"  {looks.number(count, 'cluster')}  {cause['kind']} {short(cause['name'])}")
    if said := commit_words(cause.get("commit")):
        text.append(f" {said}", style="bold")
    return text.append(f"  {looks.ago(parse_rfc3339_ms(incident['opened_at']), now_ms)}", style=GREY)


def _incident_facts(incident: Mapping[str, Any]) -> dict[str, Any]:
    """Return an incident without its members, who may be thousands."""
    return {name: each for name, each in incident.items() if name != "members"}


def _badness(counts: Counter[str]) -> int:
    return counts["clusters"] - counts["healthy"] + counts["drifted"]
