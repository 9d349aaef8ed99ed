"""`abdrift incident`: one cause in place of its many symptoms."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Final

import orjson
import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from abdrift.cli import looks
from abdrift.cli.fleet import incident_line
from abdrift.cli.kafka import with_kafka
from abdrift.cli.known import known
from abdrift.cli.looks import AMBER, GREY, RED
from abdrift.clock import parse_rfc3339_ms, to_ms, wall_clock_ms
from abdrift.facts.incidents import Incident, IncidentMember, IncidentState
from abdrift.kafka import KafkaSettings
from abdrift.observed import named
from abdrift.timeline.entries import commit_words, one_line, short
from abdrift.topics import FLEET_INCIDENTS

_MEMBERS: Final = 20
_JSON = Annotated[bool, typer.Option("--json", help="Print JSON.")]


class State(StrEnum):
    """Which incidents to list."""

    OPEN = "open"
    CLOSED = "closed"
    ALL = "all"


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    group = typer.Typer(help="See one cause in place of its many symptoms.", no_args_is_help=True)
    group.command("list")(with_kafka(list_incidents))
    group.command("show")(with_kafka(show))
    app.add_typer(group, name="incident")


def list_incidents(
    kafka: KafkaSettings,
    state: Annotated[State, typer.Option(help="Which; closed ones are kept for about a day.")] = State.OPEN,
    as_json: _JSON = False,
) -> None:
    """List incidents, those that reach most clusters first: cause, who changed what, how far, since when."""
    events = (change.event() for change in asyncio.run(known(kafka)).changes(FLEET_INCIDENTS))
    told = [event["data"] for event in events if event]
    chosen = sorted((each for each in told if state in (State.ALL, each["state"])), key=_gravity)
    console, now_ms = looks.console(), wall_clock_ms()
    if as_json:
        typer.echo(orjson.dumps(chosen))
        return
    if not chosen:
        over = f" {len(told):,} over: `abdrift incident list --state closed`" if told and state is State.OPEN else ""
        looks.say(console, Text(f"No {'' if state is State.ALL else state + ' '}incident is known.{over}"))
    for each in chosen:
        looks.say(console, _head(each, now_ms))
        looks.say(console, Text(one_line(each["title"])), indent=4)
    if chosen and console.is_terminal:
        looks.say(
            console, Text("`abdrift incident show ID` shows one whole; the beginning of its id will do", style=GREY)
        )


def show(
    incident: Annotated[str, typer.Argument(metavar="ID", help="Its id, or as much of its beginning as names one.")],
    kafka: KafkaSettings,
    every: Annotated[bool, typer.Option("--all", help="List every member that the incident names.")] = False,
    as_json: _JSON = False,
) -> None:
    """Show one incident: its cause, its blast radius, where it was seen first, and its members."""
    event = asyncio.run(known(kafka)).incident(incident).event()
    assert event is not None, "what is known by its id is an event"
    if as_json:
        typer.echo(orjson.dumps(event["data"]))
        return
    found = Incident.model_validate(event["data"])
    looks.console().print(Shown(found, event["data"], wall_clock_ms(), None if every else _MEMBERS))


def _head(incident: Mapping[str, Any], now_ms: int) -> Text:
    """Return an incident's id, how grave it is, how far it reaches and since when; its title says the cause."""
    radius, is_open = incident["blast_radius"], incident["state"] == "open"
    text = Text()
    text.append(*(looks.ALARM if is_open else looks.OVER)).append(f" {incident['incident_id']}", style="bold")
    text.append(f"  {incident['severity']}", style=RED if incident["severity"] == "critical" else AMBER)
    opened = looks.ago(parse_rfc3339_ms(incident["opened_at"]), now_ms)
    if is_open:
        return text.append(f"  {looks.number(radius['clusters'], 'cluster')}, opened {opened}")
    closed = looks.ago(parse_rfc3339_ms(incident.get("closed_at")), now_ms)
    ended = f"closed {closed}: {incident.get('closed_because') or 'over'}"
    return text.append(f"  {looks.number(radius['clusters_ever'], 'cluster')}, opened {opened}, {ended}", style=GREY)


def _gravity(incident: Mapping[str, Any]) -> tuple[bool, int, str]:
    return incident["state"] != "open", -incident["blast_radius"]["clusters"], incident["opened_at"]


@dataclass(frozen=True, slots=True)
class Shown:
    """An incident as of a moment (ms since the epoch), for a terminal."""

    incident: Incident
    data: Mapping[str, Any]
    now_ms: int
    members: int | None = _MEMBERS
    """How many are shown; None for all that are listed."""

    def __rich__(self) -> RenderableType:
        """Return it whole."""
        return Group(
            incident_line(self.data, self.now_ms),
            Text(f"  {one_line(self.incident.title)}", style="bold"),
            Text(),
            self._facts(),
            Text(),
            *self._members(),
            Text(),
            Text.assemble(("next", "bold"), f"  {self._next()}"),
        )

    def _facts(self) -> Table:
        incident, cause, radius = self.incident, self.incident.cause, self.incident.blast_radius
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="bold", no_wrap=True)
        grid.add_column()
        grid.add_row("cause", f"{cause.kind} {short(cause.name)}")
        if cause.commit:
            words = commit_words(cause.commit.model_dump(mode="json"))
            when = f", {looks.ago(to_ms(cause.commit.time), self.now_ms)}" if cause.commit.time else ""
            grid.add_row("", f"{words or short(cause.commit.revision)}{when}")
        if cause.source:
            grid.add_row("", cause.source)
        ever = f", {radius.clusters_ever:,} at some time" if radius.clusters_ever != radius.clusters else ""
        objects = looks.number(radius.objects, "object")
        grid.add_row("reaches", f"{looks.number(radius.clusters, 'cluster')} now{ever}; {objects}")
        for title, counts in (
            ("symptoms", radius.symptoms),
            ("sites", radius.clusters_by_site),
            ("environments", radius.clusters_by_environment),
            ("commands", incident.outcomes),
        ):
            if counts:
                grid.add_row(title, _counted(counts))
        grid.add_row("first seen", _member_words(incident.first, self.now_ms))
        grid.add_row("opened", looks.ago(to_ms(incident.opened_at), self.now_ms))
        if incident.closed_at:
            grid.add_row("closed", f"{looks.ago(to_ms(incident.closed_at), self.now_ms)}: {incident.closed_because}")
        if incident.superseded_by:
            grid.add_row("", f"superseded by {incident.superseded_by}")
        whole = "complete" if incident.evidence.complete else "not complete"
        as_of = to_ms(incident.evidence.as_of) if incident.evidence.as_of else None
        grid.add_row("evidence", f"as of {looks.ago(as_of, self.now_ms)}, {whole}")
        return grid

    def _members(self) -> Iterator[RenderableType]:
        shown: Sequence[IncidentMember] = self.incident.members[: self.members]
        table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="bold")
        table.add_column("", width=1)
        for heading in ("cluster", "site", "symptom", "object", "since"):
            table.add_column(heading, no_wrap=True)
        for member in shown:
            symbol = looks.OVER if member.until else looks.STATUS["failing"]
            about = named(member.object.model_dump()) if member.object else "the cluster itself"
            since = looks.ago(parse_rfc3339_ms(member.since.isoformat()), self.now_ms)
            cells = (member.cluster.name, member.labels.get("site", ""), member.symptom.value, about, since)
            table.add_row(Text(*symbol), *cells)
        yield table
        listed = len(self.incident.members) - len(shown)
        if listed:
            yield Text(f"and {listed:,} more: --all", style=GREY)
        if self.incident.members_omitted:
            omitted = looks.number(self.incident.members_omitted, "member")
            yield Text(f"{omitted} more than an incident lists", style=AMBER)

    def _next(self) -> str:
        first = self.incident.first
        if self.incident.state is IncidentState.OPEN and first.finding_ids:
            return f"abdrift drift show {first.finding_ids[0][:12]}    # where it was seen first"
        return f"abdrift timeline {first.cluster.name}    # where it was seen first"


def _counted(counts: Mapping[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    return ", ".join(f"{count:,} {name or '(none)'}" for name, count in ordered)


def _member_words(member: IncidentMember, now_ms: int) -> str:
    return f"{member.cluster.name}, {looks.ago(to_ms(member.since), now_ms)}: {one_line(member.message)}"
