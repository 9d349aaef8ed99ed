"""`abdrift drift watch`: findings as they open, change and close."""

from collections.abc import Mapping
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
from abdrift.cli.known import live
from abdrift.cli.looks import AMBER, GREEN, GREY, RED
from abdrift.cli.service import run_until_stopped
from abdrift.fleetstate import Finding
from abdrift.kafka import KafkaSettings
from abdrift.latest import Change
from abdrift.timeline.entries import one_line
from abdrift.topics import FLEET_DRIFT

_LOOKS = {"opened": ("◆", RED), "changed": ("~", AMBER), "closed": ("✓", GREEN)}


def watch(
    kafka: KafkaSettings,
    cluster: ClusterOption = None,
    kind: KindOption = None,
    site: SiteOption = None,
    region: RegionOption = None,
    environment: EnvironmentOption = None,
    owner: OwnerOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")] = False,
) -> None:
    """Print a line whenever a finding opens, changes or closes, until Ctrl-C."""
    run_until_stopped(_watch(kafka, Filter(cluster, kind or (), site, region, environment, owner), as_json=as_json))


async def _watch(kafka: KafkaSettings, wanted: Filter, *, as_json: bool) -> None:
    console = Console(highlight=False, soft_wrap=True)
    async with live(kafka) as (found, reader):
        fleet = found.fleet()
        if not as_json:
            count = sum(each.is_open and wanted.matches(each, fleet) for each in fleet.findings.values())
            said = f"{looks.number(count, 'finding')} open already (`abdrift drift list`); Ctrl-C ends this"
            console.print(Text(said, style=GREY))
        async for changes in reader.changes():
            for change in changes:
                before = fleet.findings.get(change.key)
                fleet.take(change)
                after = fleet.findings.get(change.key)
                data = (change.event() or {}).get("data", {})
                what = happened(before, after, data) if change.topic == FLEET_DRIFT.name else None
                if after is None or what is None or not wanted.matches(after, fleet):
                    continue
                if as_json:
                    typer.echo(orjson.dumps({"what": what, **data}))
                else:
                    console.print(line(what, after, data, change))


def happened(before: Finding | None, after: Finding | None, data: Mapping[str, Any]) -> str | None:
    """Return what a newer fact says of a finding: opened, changed or closed; None for nothing that is news."""
    if after is None or "finding_id" not in data or after is before:
        return None
    if before is not None and before.revision >= after.revision:
        return None
    if not after.is_open:
        return "closed" if before is None or before.is_open else None
    if before is None or not before.is_open:
        return "opened"
    return "changed"


def line(what: str, finding: Finding, data: Mapping[str, Any], change: Change) -> Text:
    """Return one line: when, what happened, where, what differs, and by whom."""
    text = Text(f"{looks.clock(change.append_ms)} ", style=GREY)
    text.append(*_LOOKS[what]).append(f" {what:<8}{finding.cluster}  ", style="default")
    text.append(finding.kind, style=looks.KINDS.get(finding.kind, "default"))
    fields = data.get("fields", ())
    more = f" and {len(fields) - 1} more" if len(fields) > 1 else ""
    says = f"{looks.brief(fields[0])}{more}" if fields else one_line(finding.message)
    if what == "closed":
        says = finding.closed_because or "over"
    text.append(f"  {finding.object}  {says}", style="default")
    by = ", ".join(data.get("managers", ()))
    return text.append(f"{'  by ' + by if by and what != 'closed' else ''}  {finding.finding_id[:12]}", style=GREY)
