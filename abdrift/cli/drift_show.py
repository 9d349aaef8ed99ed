"""`abdrift drift show`: one finding whole: what differs, who did it, what it rests on, and what was done about it."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

import orjson
import typer
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from abdrift.cli import looks
from abdrift.cli.drift_list import said
from abdrift.cli.known import Known, known
from abdrift.cli.looks import AMBER, GREEN, GREY, RED
from abdrift.clock import to_ms, wall_clock_ms
from abdrift.facts.base import Evidence, SourceEvidence
from abdrift.facts.drift import Certainty, Finding, FindingState
from abdrift.kafka import KafkaSettings
from abdrift.observed import named
from abdrift.suggestions import ignore_rule
from abdrift.timeline import Entry, Kind, reading
from abdrift.timeline.entries import commit_words, one_line, short
from abdrift.topics import FLEET_INCIDENTS

_BEFORE_MS: Final = 60_000
"""What was said this long before a finding opened may be about it: clocks and steps differ by a little."""
_DONE: Final = frozenset({Kind.GOVERNOR, Kind.PERSON, Kind.COMMAND, Kind.OUTCOME})


def show(
    finding: Annotated[str, typer.Argument(metavar="ID", help="Its id, or as much of its beginning as names one.")],
    kafka: KafkaSettings,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show one finding: each field that differs with who and when, its evidence, and what was done about it."""
    shown = asyncio.run(_shown(kafka, finding))
    if as_json:
        typer.echo(orjson.dumps(shown.facts()))
    else:
        looks.console().print(shown)


async def _shown(kafka: KafkaSettings, wanted: str) -> "Shown":
    found = await known(kafka)
    event = found.finding(wanted).event()
    assert event is not None, "what is found by its content has some"
    finding = Finding.model_validate(event["data"])
    since_ms = to_ms(finding.times.opened_at) - _BEFORE_MS
    async with reading.opened(kafka, finding.cluster.name, since_ms, git=False) as reader:
        await reader.catch_up()
        about = reader.story.about(finding.finding_id)
    done = [entry for entry in about if entry.kind in _DONE]
    return Shown(finding, tuple(done), _incident(found, finding.finding_id), wall_clock_ms())


def _incident(found: Known, finding_id: str) -> Mapping[str, Any] | None:
    """Return the newest incident that lists the finding as its member."""
    needle, incidents = orjson.dumps(finding_id), []
    for change in found.changes(FLEET_INCIDENTS):
        event = change.event() if needle in (change.value or b"") else None
        if event:
            incidents.append(event["data"])
    return max(incidents, key=lambda each: str(each["changed_at"]), default=None)


@dataclass(frozen=True, slots=True)
class Shown:
    """A finding with all that is known of it, as of a moment (ms since the epoch)."""

    finding: Finding
    done: Sequence[Entry]
    """What was decided, said, commanded and reached about it."""
    incident: Mapping[str, Any] | None
    now_ms: int

    def facts(self) -> dict[str, Any]:
        """Return it as JSON values."""
        rule = ignore_rule(self.finding)
        return {
            "finding": self.finding.model_dump(mode="json", exclude_none=True),
            "done": [entry.facts() for entry in self.done],
            "incident": {k: v for k, v in self.incident.items() if k != "members"} if self.incident else None,
            "suggested_ignore": said(rule) if rule else None,
            "next": self.next_step(),
        }

    def __rich__(self) -> RenderableType:
        """Return it for a terminal."""
        return Group(*self._head(), *self._fields(), *self._evidence(), *self._done(), *self._after())

    def _head(self) -> Iterator[RenderableType]:
        f, is_open = self.finding, self.finding.state is FindingState.OPEN
        symbol = looks.DRIFTED if is_open else looks.OVER
        about = f"  {named(f.object.model_dump())}  in {f.cluster.name}"
        yield Text.assemble(symbol, (f" {f.kind}", f"bold {looks.KINDS.get(f.kind, '')}"), (about, "bold"))
        yield Text(f"  {one_line(f.message)}")
        yield Text(f"  {self._when()}")
        if f.managers:
            yield Text(f"  by {', '.join(f.managers)}", style="bold")
        yield Text(f"  id {f.finding_id}, revision {f.revision}", style=GREY)
        if f.owner and f.owner != f.object:
            at = f" at {short(f.applied_revision)}" if f.applied_revision else ""
            yield Text(f"  owned by {named(f.owner.model_dump())}{at}")
        if f.desired:
            words = commit_words(f.desired.model_dump(mode="json"))
            yield Text(f"  should be at {short(f.desired.revision)} {words}")
        if f.certainty is Certainty.SUSPECT:
            yield Text("  suspected only: no reconcile was seen yet that proves what it was", style=AMBER)
        if f.contested:
            yield Text("  contested: another controller rightfully owns it too; never commanded", style=AMBER)
        if f.held_until:
            yield Text(f"  held by a person until {f.held_until:%Y-%m-%d %H:%M:%S} UTC", style=AMBER)
        if f.recurrences:
            yield Text(f"  came back {f.recurrences} times after it was corrected", style=AMBER)
        why = f", {f.reconcile_corrects_reason}" if f.reconcile_corrects_reason else ""
        yield Text(f"  would a reconcile correct it: {f.reconcile_corrects}{why}", style=GREY)

    def _when(self) -> str:
        times, because = self.finding.times, self.finding.closed_because or "over"
        said = [f"opened {looks.ago(to_ms(times.opened_at), self.now_ms)}"]
        if times.changed_at:
            said.insert(0, f"made {looks.ago(to_ms(times.changed_at), self.now_ms)}")
        said.append(
            f"closed {looks.ago(to_ms(times.closed_at), self.now_ms)}: {because}" if times.closed_at else "open"
        )
        return ", ".join(said)

    def _fields(self) -> Iterator[RenderableType]:
        for change in self.finding.fields:
            yield Text()
            for line in looks.difference(change.model_dump(mode="json")):
                yield Padding(line, (0, 0, 0, 2), expand=False)
        if self.finding.fields_omitted:
            yield Text(f"  and {looks.number(self.finding.fields_omitted, 'more field')}", style=GREY)

    def _evidence(self) -> Iterator[RenderableType]:
        evidence: Evidence = self.finding.evidence
        yield Text()
        yield Text.assemble(("evidence", "bold"), "  ", self._vouched(evidence))
        for source in evidence.sources:
            what = f" {source.what}" if source.what else ""
            line = Text(f"  {source.source}{what}: ").append_text(self._vouched(source))
            if source.gap:
                until = "until now" if source.gap.until is None else f"until {source.gap.until:%H:%M:%S} UTC"
                line.append(f"; a gap since {source.gap.since:%H:%M:%S} {until}: {source.gap.reason}", style=AMBER)
            yield line

    def _vouched(self, of: Evidence | SourceEvidence) -> Text:
        age = looks.ago(to_ms(of.as_of) if of.as_of else None, self.now_ms)
        whole = ("complete", GREEN) if of.complete else ("not complete", AMBER)
        return Text(f"as of {age}, ").append(*whole)

    def _done(self) -> Iterator[RenderableType]:
        yield Text()
        yield Text("what was decided and done", style="bold")
        if not self.done:
            yield Text("  nothing, as far as is known", style=GREY)
        yield Padding(looks.entries(self.done), (0, 0, 0, 2))

    def _after(self) -> Iterator[RenderableType]:
        if self.incident:
            yield Text()
            told = f"  {self.incident['incident_id']}  {one_line(self.incident['title'])}"
            yield Text.assemble(("incident", "bold"), (told, RED if self.incident["state"] == "open" else GREY))
        yield Text()
        yield Text.assemble(("next", "bold"), f"  {self.next_step()}")

    def next_step(self) -> str:
        """Return the command that one would look at or say next."""
        f, last = self.finding, self.done[-1] if self.done else None
        if f.state is FindingState.CLOSED:
            return f"abdrift timeline {f.cluster.name}    # it is over; this tells how"
        if self.incident and self.incident["state"] == "open":
            return f"abdrift incident show {self.incident['incident_id'][:12]}    # it is one of many"
        what = last.what if last else ""
        if f.kind == "suspended" and f.object == f.owner:
            asked = f"flux resume {f.object.kind.lower()} {f.object.name} --namespace {f.object.namespace}"
            return f"{asked}    # there, once whoever suspended it agrees"
        if what == "awaiting-approval":
            return f'abdrift command approve {f.finding_id} --reason "..."    # it waits for a person'
        if rule := ignore_rule(f):
            return f"abdrift policy apply FILE    # it keeps coming back; ignore: [{orjson.dumps(said(rule)).decode()}]"
        if what in ("observed", ""):
            return "abdrift policy check FILE    # nothing is commanded: the policy only observes"
        return f"abdrift timeline {f.cluster.name}"
