"""`abdrift policy`: check, apply, show and backtest the declared policy."""

import asyncio
import getpass
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
import yaml

from abdrift import policies
from abdrift.cli import printing, stored
from abdrift.cli.kafka import with_kafka
from abdrift.cli.keys import KeysOption
from abdrift.clock import to_datetime, wall_clock_ms
from abdrift.cloudevents import CloudEvent
from abdrift.facts.base import rfc3339
from abdrift.facts.governance import Policy
from abdrift.kafka import KafkaSettings
from abdrift.keyring import Keyring, KeyringError
from abdrift.signing import SignatureRefused, Signer, Trust
from abdrift.topics import FLEET_POLICY, FLEET_REDUCED, POLICY
from streams.governor.backtest import Backtest, replay
from streams.step import Input, stable_id

_FILE = Annotated[Path, typer.Argument(metavar="FILE", help="The policy, as YAML.")]
_IN_FORCE = str(Policy.model_fields["name"].default)
_JSON = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    group = typer.Typer(help="Check, apply, show and backtest the governor's policy.", no_args_is_help=True)
    group.command("check")(check)
    group.command("apply")(with_kafka(apply))
    group.command("show")(with_kafka(show))
    group.command("backtest")(with_kafka(backtest))
    app.add_typer(group, name="policy")


def check(file: _FILE, as_json: _JSON = False) -> None:
    """Say whether a policy file means something, and what is wrong if not."""
    try:
        policy = policies.load(file)
    except policies.PolicyError as error:
        if as_json:
            typer.echo(orjson.dumps({"valid": False, "problems": error.problems}))
        else:
            _complain(error)
        raise typer.Exit(1) from error
    if as_json:
        typer.echo(orjson.dumps({"valid": True, "policy": policy.model_dump(mode="json", exclude_none=True)}))
        return
    acting = [r.name for r in policy.rules if r.mode != "observe"]
    does = f"acts under {', '.join(acting)}" if acting else "only observes"
    count, levels = len(policy.rules), len(policy.health.rules)
    judges = f"; {levels} health rule{'' if levels == 1 else 's'}" if levels else ""
    typer.echo(f"{file}: {count} rule{'' if count == 1 else 's'}; {does}{judges}")


def apply(
    file: _FILE,
    kafka: KafkaSettings,
    keys: KeysOption = None,
    by: Annotated[str | None, typer.Option(help="Who applies it.", show_default="the user")] = None,
    as_json: _JSON = False,
) -> None:
    """Sign a policy and put it in force: one copy into every partition, so that each worker sees it."""
    policy = _load(file)
    try:
        signer = Keyring.open(keys).signer_operator
    except KeyringError as error:
        printing.fail(str(error))
    current = asyncio.run(_current(kafka)).get(policy.name)
    revision = _next_revision(policy, current)
    event = policy_event(policy, signer, revision=revision, by=by or getpass.getuser(), now_ms=wall_clock_ms())
    count = asyncio.run(_apply(kafka, event))
    if as_json:
        typer.echo(orjson.dumps({"policy": policy.name, "revision": revision, "partitions": count, "id": event.id}))
        return
    typer.echo(f"{policy.name}@{revision} is in {count} partitions, signed by key {signer.key_id}")
    if policy.name != _IN_FORCE:
        typer.echo(f"The governor obeys the policy named {_IN_FORCE!r} unless its worker is told otherwise.")


def show(kafka: KafkaSettings, keys: KeysOption = None, as_json: _JSON = False) -> None:
    """Show the policies in Kafka, newest revision of each name, and whether their signatures are trusted here."""
    current = asyncio.run(_current(kafka))
    try:
        trust = Keyring.open(keys).trust_operators
    except KeyringError:
        trust = Trust({})  # without keys every policy is shown as not trusted here
    if as_json:
        typer.echo(orjson.dumps([{**event.data, "trusted": _standing(event, trust)} for event in current.values()]))
        return
    if not current:
        typer.echo("No policy is applied: the governor observes. Apply one with: abdrift policy apply FILE")
    for event in current.values():
        data = {k: v for k, v in event.data.items() if k != "signature"}
        typer.echo(f"# {event.subject}: signature {_standing(event, trust)}")
        typer.echo(yaml.safe_dump(data, sort_keys=False))


def backtest(
    file: _FILE,
    kafka: KafkaSettings,
    since: Annotated[str, typer.Option(help="How far back to tell of: 30m, 24h, 7d.")] = "24h",
    as_json: _JSON = False,
) -> None:
    """Say what a policy would have commanded and refused, from recorded facts. Nothing is written."""
    policy = _load(file)
    since_ms = stored.ago_ms(since)
    begun = time.monotonic()
    recorded = asyncio.run(stored.read(kafka, [FLEET_REDUCED]))
    found = replay(_inputs(recorded.records), policy, since_ms)
    if as_json:
        typer.echo(orjson.dumps(_facts(found)))
        return
    _print(found, time.monotonic() - begun)


def policy_event(policy: Policy, signer: Signer, *, revision: int, by: str, now_ms: int) -> CloudEvent:
    """Return the signed fact that puts a policy in force."""
    applied = policy.model_copy(update={"revision": revision, "applied_by": by, "applied_at": to_datetime(now_ms)})
    data = signer.sign(POLICY.name, applied.model_dump(mode="json", exclude_none=True, exclude={"signature"}))
    return POLICY.event(
        policy.name,
        data,
        event_id=stable_id("policy", policy.name, str(revision), data["signature"]["value"]),
        source="/abdrift/cli",
        at=to_datetime(now_ms),
    )


def _next_revision(policy: Policy, current: CloudEvent | None) -> int:
    known = int(current.data.get("revision", 0)) if current else 0
    if "revision" not in policy.model_fields_set:
        return known + 1
    if policy.revision <= known:
        printing.fail(
            f"{policy.name}@{known} is in force; give a higher revision than {policy.revision}, or leave it out"
        )
    return policy.revision


async def _current(kafka: KafkaSettings) -> dict[str, CloudEvent]:
    """Return the newest revision of each policy by name."""
    found: dict[str, CloudEvent] = {}
    for record in (await stored.read(kafka, [FLEET_POLICY], partition=0)).records:
        event = record.event
        if event and event.data.get("revision", 0) > (
            found[event.subject].data["revision"] if event.subject in found else 0
        ):
            found[event.subject] = event
    return found


async def _apply(kafka: KafkaSettings, event: CloudEvent) -> int:
    count = await stored.partitions(kafka, FLEET_POLICY)
    await stored.write(kafka, FLEET_POLICY, [(number, event) for number in range(count)])
    return count


def _standing(event: CloudEvent, trust: Trust) -> str:
    try:
        return f"trusted ({trust.verify(POLICY.name, event.data)})"
    except SignatureRefused as error:
        return f"not trusted here: {error.reason}"


def _inputs(records: Iterable[stored.Stored]) -> Iterable[Input]:
    for r in records:
        tombstone = r.event is None and r.key is not None
        yield Input(r.topic, r.partition, r.offset, r.append_ms, r.key, None, r.event, tombstone)


def _facts(found: Backtest) -> dict[str, Any]:
    return {
        "since": rfc3339(to_datetime(found.since_ms)),
        "records": found.records,
        "breaker_openings": found.breaker_openings,
        "decisions": found.counts(),
        "commands": [
            {
                "at": rfc3339(c.issued_at),
                "cluster": c.cluster.name,
                "verb": c.verb,
                "target": c.target.model_dump(mode="json", exclude_none=True),
                "finding_ids": c.finding_ids,
            }
            for c in found.commands
        ],
    }


def _print(found: Backtest, took_seconds: float) -> None:
    typer.echo(
        f"{found.records} records since {rfc3339(to_datetime(found.since_ms))}, replayed in {took_seconds:.1f} s; "
        "each command is taken for corrected after a second"
    )
    by_cluster = Counter(c.cluster.name for c in found.commands)
    typer.echo(
        f"{len(found.commands)} commands to {len(by_cluster)} clusters; breaker opened {found.breaker_openings} times"
    )
    table = printing.table("decision", "why", "times")
    for result, codes in found.counts().items():
        for code, times in codes.items():
            table.add_row(result, code, str(times))
    printing.show(table)


def _load(file: Path) -> Policy:
    try:
        return policies.load(file)
    except policies.PolicyError as error:
        _complain(error)
        raise typer.Exit(1) from error


def _complain(error: policies.PolicyError) -> None:
    for problem in error.problems:
        printing.complain(problem)
