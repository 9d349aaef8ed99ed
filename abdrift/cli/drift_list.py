"""`abdrift drift list`: what is off course now, and what keeps coming back."""

import asyncio
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.text import Text

from abdrift.cli import stored
from abdrift.facts.base import rfc3339
from abdrift.facts.drift import Finding
from abdrift.facts.governance import IgnoreRule
from abdrift.kafka import KafkaSettings
from abdrift.observed import named
from abdrift.partitions import partition_of
from abdrift.suggestions import ignore_rule
from abdrift.topics import FINDING, FLEET_DRIFT


class State(StrEnum):
    """Which findings to list."""

    OPEN = "open"
    CLOSED = "closed"
    ALL = "all"


def list_findings(
    kafka: KafkaSettings,
    state: Annotated[State, typer.Option(help="Which findings; closed ones are kept for about a day.")] = State.OPEN,
    cluster: Annotated[str | None, typer.Option(help="Only this cluster's.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List findings, oldest first: what differs, by whom, since when, and how often it came back.

    For what keeps coming back it suggests the ignore rule that a policy could take.
    """
    found = [f for f in current(asyncio.run(_read(kafka, cluster))) if state in (State.ALL, f.state.value)]
    if cluster is not None:
        found = [f for f in found if f.cluster.name == cluster]
    if as_json:
        typer.echo(orjson.dumps([_facts(finding) for finding in found]))
        return
    if not found:
        typer.echo("Nothing is off course, as far as is known; `abdrift topics cat fleet.drift` shows the verdicts.")
    console = Console(highlight=False, soft_wrap=True)
    for finding in found:
        _print(console, finding)


def current(records: Iterable[stored.Stored]) -> list[Finding]:
    """Return the newest revision of each finding that has no tombstone, by when it opened."""
    newest: dict[str, Finding] = {}
    for record in records:
        if record.event is None:
            newest.pop(record.key or "", None)
        elif record.event.type == FINDING.name:
            newest[record.event.subject] = Finding.model_validate(record.event.data)
    return sorted(newest.values(), key=lambda finding: finding.times.opened_at)


async def _read(kafka: KafkaSettings, cluster: str | None) -> list[stored.Stored]:
    partition = partition_of(cluster, await stored.partitions(kafka, FLEET_DRIFT)) if cluster else None
    return (await stored.read(kafka, [FLEET_DRIFT], partition=partition)).records


def _facts(finding: Finding) -> dict[str, Any]:
    rule = ignore_rule(finding)
    data = finding.model_dump(mode="json", exclude_none=True)
    return {**data, "suggested_ignore": _said(rule)} if rule else data


def _said(rule: IgnoreRule) -> dict[str, Any]:
    return rule.model_dump(mode="json", exclude_defaults=True)


def _print(console: Console, finding: Finding) -> None:
    # Two lines each, for an id must stay whole to be copied.
    opened = f"{finding.state} since {rfc3339(finding.times.opened_at)}"
    about = named(finding.object.model_dump(mode="json"))
    console.print(
        Text(finding.finding_id, style="bold").append(
            f"  {finding.cluster.name}  {finding.kind}  {about}  {opened}", style="none"
        )
    )
    console.print(Text(f"    {' '.join(finding.message.split())}"))
    if finding.recurrences:
        times = "once" if finding.recurrences == 1 else f"{finding.recurrences} times"
        console.print(Text(f"    came back {times} after it was corrected"))
    if rule := ignore_rule(finding):
        console.print(Text(f"    to ignore it, a policy may say  ignore: [{orjson.dumps(_said(rule)).decode()}]"))
