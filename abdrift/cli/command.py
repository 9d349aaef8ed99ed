"""`abdrift command`: what the governor decided, and what people tell it."""

import asyncio
import getpass
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.text import Text

from abdrift.cli import printing, stored
from abdrift.cli.kafka import with_kafka
from abdrift.cli.keys import KeysOption
from abdrift.clock import to_datetime, wall_clock_ms
from abdrift.cloudevents import CloudEvent
from abdrift.facts.base import rfc3339
from abdrift.facts.commands import Decision, DecisionResult, OutcomeResult, Verb
from abdrift.facts.drift import FindingState
from abdrift.facts.governance import Approval, ApprovalAction
from abdrift.kafka import KafkaSettings
from abdrift.keyring import Keyring, KeyringError
from abdrift.partitions import FLEET_SCOPE, partition_of
from abdrift.signing import Signer
from abdrift.topics import (
    APPROVAL,
    DECISION,
    FINDING,
    FLEET_APPROVALS,
    FLEET_DECISIONS,
    FLEET_DRIFT,
    FLEET_OUTCOMES,
    OUTCOME,
)
from streams.governor import owner_key

_JSON = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_REASON = Annotated[str, typer.Option(help="Why; it is kept with the word.")]
_BY = Annotated[str | None, typer.Option(help="Who says it.", show_default="the user")]
_SINCE = Annotated[str, typer.Option(help="How far back decisions are looked for: 24h, 7d.")]
_CLUSTER = Annotated[str | None, typer.Option(help="One cluster instead of the fleet.")]
_LOOK_BACK = "7d"


class State(StrEnum):
    """Which decisions to list."""

    AWAITING = "awaiting"
    ISSUED = "issued"
    REFUSED = "refused"
    ALL = "all"


_RESULTS = {
    State.AWAITING: {DecisionResult.AWAITING_APPROVAL},
    State.ISSUED: {DecisionResult.COMMANDED},
    State.REFUSED: {DecisionResult.REFUSED},
    State.ALL: set(DecisionResult),
}


@dataclass(frozen=True, slots=True)
class Row:
    """A decision that still stands, and what came of its command."""

    decision: Decision
    outcome: OutcomeResult | None = None
    open_findings: int = 0

    def facts(self) -> dict[str, Any]:
        """Return it as JSON values."""
        data = self.decision.model_dump(mode="json", exclude_none=True)
        return {**data, "outcome": self.outcome, "open_findings": self.open_findings}


@dataclass(frozen=True, slots=True)
class Word:
    """What a person says, before it is signed."""

    action: ApprovalAction
    subject: str
    cluster: str | None
    reason: str
    by: str
    until: datetime | None = None
    verb: Verb | None = None


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    group = typer.Typer(help="See what the governor decides, and steer it.", no_args_is_help=True)
    group.command("list")(with_kafka(list_commands))
    for command in (approve, hold, release, freeze, thaw):
        group.command(command.__name__)(with_kafka(command))
    app.add_typer(group, name="command")


def list_commands(
    kafka: KafkaSettings,
    state: Annotated[State, typer.Option(help="Which decisions.")] = State.ALL,
    cluster: Annotated[str | None, typer.Option(help="Only this cluster's.")] = None,
    since: _SINCE = _LOOK_BACK,
    as_json: _JSON = False,
) -> None:
    """List the decisions that stand, newest last, with what came of commands."""
    rows = asyncio.run(_rows(kafka, cluster, stored.ago_ms(since)))
    shown = [r for r in rows if r.decision.result in _RESULTS[state]]
    if state is State.AWAITING:
        shown = [r for r in shown if r.open_findings]
    if as_json:
        typer.echo(orjson.dumps([row.facts() for row in shown]))
        return
    _print(shown)


def approve(
    subject: Annotated[str, typer.Argument(metavar="ID", help="Of a decision, command or finding; or owner/….")],
    kafka: KafkaSettings,
    reason: _REASON,
    verb: Annotated[Verb | None, typer.Option(help="Which verb; a decision names its own.")] = None,
    until: Annotated[str | None, typer.Option(help="How long it is good for: 30m, 2h.", show_default="24h")] = None,
    by: _BY = None,
    keys: KeysOption = None,
    as_json: _JSON = False,
) -> None:
    """Let one command go that waits for a person."""
    ends = _until(until)
    rows = asyncio.run(_rows(kafka, None, stored.ago_ms(_LOOK_BACK)))
    found = _named(rows, subject)
    cluster = found.cluster.name if found and found.cluster else _cluster_in(subject)
    verb = verb or (found.verb if found and subject in (found.decision_id, found.command_id) else None)
    word = Word(ApprovalAction.APPROVE, subject, cluster, reason, by or getpass.getuser(), ends, verb)
    _say(kafka, word, keys, as_json=as_json)
    if found and found.result is not DecisionResult.AWAITING_APPROVAL:
        typer.echo(f"Nothing waits for it: the newest decision about {subject} is {found.result}.", err=True)


def hold(
    subject: Annotated[
        str, typer.Argument(metavar="SUBJECT", help="A finding's, decision's or command's id, owner/…, cluster/NAME.")
    ],
    kafka: KafkaSettings,
    reason: _REASON,
    until: Annotated[str, typer.Option(help="How long: 30m, 2h, 1d.")],
    by: _BY = None,
    keys: KeysOption = None,
    as_json: _JSON = False,
) -> None:
    """Protect an emergency edit: nothing is commanded there for a while."""
    ends = _until(until)
    subject, cluster = _protected(kafka, subject)
    word = Word(ApprovalAction.HOLD, subject, cluster, reason, by or getpass.getuser(), ends)
    _say(kafka, word, keys, as_json=as_json)


def release(
    subject: Annotated[str, typer.Argument(metavar="SUBJECT", help="As it was held; or an owner whose fight is over.")],
    kafka: KafkaSettings,
    reason: _REASON,
    by: _BY = None,
    keys: KeysOption = None,
    as_json: _JSON = False,
) -> None:
    """End a hold, and forgive an owner its failed attempts and fights."""
    subject, cluster = _protected(kafka, subject)
    word = Word(ApprovalAction.RELEASE, subject, cluster, reason, by or getpass.getuser())
    _say(kafka, word, keys, as_json=as_json)


def freeze(
    kafka: KafkaSettings,
    reason: _REASON,
    cluster: _CLUSTER = None,
    until: Annotated[str | None, typer.Option(help="How long; without it, until a thaw.")] = None,
    by: _BY = None,
    keys: KeysOption = None,
    as_json: _JSON = False,
) -> None:
    """Stop all commands at once, in the fleet or in one cluster."""
    subject = f"cluster/{cluster}" if cluster else FLEET_SCOPE
    word = Word(ApprovalAction.FREEZE, subject, cluster, reason, by or getpass.getuser(), _until(until))
    _say(kafka, word, keys, as_json=as_json)


def thaw(
    kafka: KafkaSettings,
    reason: _REASON,
    cluster: _CLUSTER = None,
    by: _BY = None,
    keys: KeysOption = None,
    as_json: _JSON = False,
) -> None:
    """End a freeze; for the fleet, close an open breaker too."""
    subject = f"cluster/{cluster}" if cluster else FLEET_SCOPE
    word = Word(ApprovalAction.THAW, subject, cluster, reason, by or getpass.getuser())
    _say(kafka, word, keys, as_json=as_json)


def standing(events: Iterable[CloudEvent]) -> list[Row]:
    """Return the decisions that are the newest about at least one finding, from facts in order of time.

    A refused policy or word is about no finding and stands by itself.
    """
    decisions: dict[str, Decision] = {}
    newest: dict[str, str] = {}
    outcomes: dict[str, OutcomeResult] = {}
    open_ids: set[str] = set()
    for event in events:
        if event.type == DECISION.name:
            decision = Decision.model_validate(event.data)
            decisions.pop(decision.decision_id, None)  # the newer one goes last
            decisions[decision.decision_id] = decision
            newest.update(dict.fromkeys(decision.finding_ids, decision.decision_id))
        elif event.type == OUTCOME.name:
            outcomes[event.subject] = OutcomeResult(event.data["result"])
        elif event.type == FINDING.name:
            is_open = event.data.get("state") == FindingState.OPEN
            (open_ids.add if is_open else open_ids.discard)(event.subject)
    rows = []
    for decision_id, decision in decisions.items():
        mine = [i for i in decision.finding_ids if newest[i] == decision_id]
        if mine or not decision.finding_ids:
            outcome = outcomes.get(decision.command_id) if decision.command_id else None
            rows.append(Row(decision, outcome, sum(i in open_ids for i in mine)))
    return rows


def word_event(word: Word, signer: Signer, *, approval_id: str, now_ms: int) -> CloudEvent:
    """Return the signed fact that a person's word is."""
    approval = Approval(
        approval_id=approval_id,
        action=word.action,
        subject_id=word.subject,
        cluster=word.cluster,
        verb=word.verb,
        by=word.by,
        reason=word.reason,
        issued_at=to_datetime(now_ms),
        until=word.until,
    )
    return APPROVAL.event(
        word.subject,
        signer.sign(APPROVAL.name, approval.model_dump(mode="json", exclude_none=True)),
        event_id=approval_id,
        source="/abdrift/cli",
        at=to_datetime(now_ms),
        cluster=word.cluster,
    )


def _named(rows: Iterable[Row], subject: str) -> Decision | None:
    """Return the newest standing decision that an id names."""
    found = None
    for row in rows:
        decision = row.decision
        if subject in (decision.decision_id, decision.command_id, *decision.finding_ids):
            found = decision
    return found


def _cluster_in(subject: str) -> str | None:
    kind, _, rest = subject.partition("/")
    if kind in ("owner", "cluster") and rest:
        return rest.split("/")[0]
    return printing.fail(
        f"no decision of the last {_LOOK_BACK} names {subject!r}. `abdrift command list` shows ids; an owner is "
        "named owner/CLUSTER/KIND/NAMESPACE/NAME, a cluster cluster/NAME"
    )


def _protected(kafka: KafkaSettings, subject: str) -> tuple[str, str | None]:
    """Return what a hold is about, and its cluster. A decision or command stands for the owner it is about."""
    if subject.startswith(("owner/", "cluster/")):
        return subject, _cluster_in(subject)
    if subject == FLEET_SCOPE:
        return subject, None
    found = _named(asyncio.run(_rows(kafka, None, stored.ago_ms(_LOOK_BACK))), subject)
    if found is None or found.cluster is None:
        return subject, _cluster_in(subject)
    if subject not in found.finding_ids and found.owner is not None:
        subject = owner_key(found.cluster.name, found.owner)
    return subject, found.cluster.name


async def _rows(kafka: KafkaSettings, cluster: str | None, since_ms: int) -> list[Row]:
    topics = (FLEET_DECISIONS, FLEET_OUTCOMES)
    partition = partition_of(cluster, await stored.partitions(kafka, FLEET_DECISIONS)) if cluster else None
    said = await stored.read(kafka, topics, since_ms=since_ms, partition=partition)
    # Findings may be older than any decision that is listed; their topic is compacted.
    findings = await stored.read(kafka, [FLEET_DRIFT], partition=partition)
    records = [*findings.records, *said.records]
    rows = standing(r.event for r in records if r.event)
    if cluster is None:
        return rows
    return [r for r in rows if r.decision.cluster is None or r.decision.cluster.name == cluster]


def _say(kafka: KafkaSettings, word: Word, keys: Path | None, *, as_json: bool) -> None:
    try:
        signer = Keyring.open(keys).signer_operator
    except KeyringError as error:
        printing.fail(str(error))
    event = word_event(word, signer, approval_id=uuid.uuid4().hex, now_ms=wall_clock_ms())
    asyncio.run(_write(kafka, event, word.cluster or FLEET_SCOPE))
    if as_json:
        typer.echo(orjson.dumps(event.data))
        return
    until = f" until {rfc3339(word.until)}" if word.until else ""
    typer.echo(f"{word.action} of {word.subject}{until} is with the governor, signed by key {signer.key_id}")


async def _write(kafka: KafkaSettings, event: CloudEvent, scope: str) -> None:
    count = await stored.partitions(kafka, FLEET_APPROVALS)
    await stored.write(kafka, FLEET_APPROVALS, [(partition_of(scope, count), event)])


def _until(text: str | None) -> datetime | None:
    return to_datetime(wall_clock_ms()) + stored.duration(text) if text else None


def _print(rows: list[Row]) -> None:
    if not rows:
        typer.echo("Nothing to show; --state all and a longer --since show more.")
        return
    console = Console(highlight=False, soft_wrap=True)
    for row in rows:
        # Two lines each, for an id must stay whole to be copied.
        d = row.decision
        owner = f"{d.owner.kind} {d.owner.namespace or ''}/{d.owner.name}" if d.owner else "the fleet"
        count = f"{len(d.finding_ids)} finding{'s' if len(d.finding_ids) != 1 else ''}"
        said = [d.cluster.name if d.cluster else None, owner, d.result, d.verb, row.outcome, count]
        line = Text(d.decision_id, style="bold").append("  " + "  ".join(part for part in said if part), style="none")
        console.print(line)
        for reason in d.reasons:
            console.print(Text(f"    {reason.code}: {reason.message}"))
