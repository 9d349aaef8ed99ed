"""`abdrift drift list`: what is off course now, and what keeps coming back."""

import asyncio
from enum import StrEnum
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.text import Text

from abdrift.cli import looks
from abdrift.cli.drift_filter import (
    ClusterOption,
    EnvironmentOption,
    Filter,
    KindOption,
    OwnerOption,
    RegionOption,
    SiteOption,
)
from abdrift.cli.known import Known, known, near_to
from abdrift.cli.looks import GREY
from abdrift.clock import to_ms, wall_clock_ms
from abdrift.facts.base import rfc3339
from abdrift.facts.drift import Finding
from abdrift.facts.governance import IgnoreRule
from abdrift.kafka import KafkaSettings
from abdrift.observed import named
from abdrift.suggestions import ignore_rule
from abdrift.timeline.entries import one_line
from abdrift.topics import FLEET_DRIFT


class State(StrEnum):
    """Which findings to list."""

    OPEN = "open"
    CLOSED = "closed"
    ALL = "all"


def list_findings(
    kafka: KafkaSettings,
    state: Annotated[State, typer.Option(help="Which findings; closed ones are kept for about a day.")] = State.OPEN,
    cluster: ClusterOption = None,
    kind: KindOption = None,
    site: SiteOption = None,
    region: RegionOption = None,
    environment: EnvironmentOption = None,
    owner: OwnerOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List findings, oldest first: what differs, by whom, since when, and how often it came back.

    For what keeps coming back it suggests the ignore rule that a policy could take. `abdrift drift show ID` shows one
    whole; the beginning of its id is enough.
    """
    found = asyncio.run(known(kafka))
    chosen = _chosen(found, state, Filter(cluster, kind or (), site, region, environment, owner))
    if as_json:
        typer.echo(orjson.dumps([_facts(finding) for finding in chosen]))
        return
    if not chosen:
        typer.echo("Nothing is off course, as far as is known; `abdrift topics cat fleet.drift` shows the verdicts.")
        _hint(found, cluster)
    console, now_ms = looks.console(), wall_clock_ms()
    for finding in chosen:
        _print(console, finding, now_ms)
    if chosen and console.is_terminal:
        looks.say(console, Text("`abdrift drift show ID` shows one whole; the beginning of its id will do", style=GREY))


def _chosen(found: Known, state: State, wanted: Filter) -> list[Finding]:
    """Return the findings that are meant, by when they opened. Only they are decoded whole."""
    fleet = found.fleet()
    meant = {
        key
        for key, each in fleet.findings.items()
        if state in (State.ALL, State.OPEN if each.is_open else State.CLOSED) and wanted.matches(each, fleet)
    }
    facts = [change.event() for change in found.changes(FLEET_DRIFT) if change.key in meant]
    findings = [Finding.model_validate(fact["data"]) for fact in facts if fact]
    return sorted(findings, key=lambda finding: finding.times.opened_at)


def _hint(found: Known, cluster: str | None) -> None:
    names = found.names()
    if cluster is not None and cluster not in names:
        near = near_to(cluster, names)
        typer.echo(f"No cluster {cluster!r} is known{'; near to it: ' + ', '.join(near) if near else ''}.", err=True)


def _facts(finding: Finding) -> dict[str, Any]:
    rule = ignore_rule(finding)
    data = finding.model_dump(mode="json", exclude_none=True)
    return {**data, "suggested_ignore": said(rule)} if rule else data


def said(rule: IgnoreRule) -> dict[str, Any]:
    """Return a rule as a policy says it."""
    return rule.model_dump(mode="json", exclude_defaults=True)


def _print(console: Console, finding: Finding, now_ms: int) -> None:
    # Lines of its own, for an id must stay whole to be copied.
    when = f"open since {rfc3339(finding.times.opened_at)}"
    if finding.times.closed_at:
        when = f"closed at {rfc3339(finding.times.closed_at)}: {finding.closed_because or 'over'}"
    about = named(finding.object.model_dump(mode="json"))
    symbol, colour = looks.DRIFTED if finding.state == "open" else looks.OVER
    line = Text(f"{symbol} ", style=colour).append(finding.finding_id, style="bold")
    line.append(f"  {finding.cluster.name}  ", style="default")
    line.append(finding.kind, style=looks.KINDS.get(finding.kind, "default"))
    looks.say(console, line.append(f"  {about}  {when}", style="default"))
    looks.say(console, Text(one_line(finding.message)), indent=4)
    if finding.managers:
        made = f", {looks.ago(to_ms(finding.times.changed_at), now_ms)}" if finding.times.changed_at else ""
        looks.say(console, Text(f"by {', '.join(finding.managers)}{made}"), indent=4)
    if finding.recurrences:
        times = "once" if finding.recurrences == 1 else f"{finding.recurrences} times"
        looks.say(console, Text(f"came back {times} after it was corrected"), indent=4)
    if rule := ignore_rule(finding):
        ignored = orjson.dumps(said(rule)).decode()
        looks.say(console, Text(f"to ignore it, a policy may say  ignore: [{ignored}]"), indent=4)
