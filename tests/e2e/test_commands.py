"""Commands that must not be obeyed, and words that must be: seen on the cluster, on the topics and in the metrics."""

from __future__ import annotations

import tempfile
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from abdrift.cli import stored
from abdrift.cli.command import Word, word_event
from abdrift.clock import wall_clock_ms
from abdrift.cloudevents import CloudEvent
from abdrift.facts.base import rfc3339
from abdrift.facts.governance import ApprovalAction
from abdrift.partitions import FLEET_SCOPE, partition_of
from abdrift.signing import Signer, create_key_pair
from abdrift.topics import COMMAND, FLEET_APPROVALS, FLEET_COMMANDS, INVENTORY, OUTCOME
from tests.e2e.stack import codes
from tests.parts.discovery import Ref
from tests.parts.flux import REQUESTED_AT

if TYPE_CHECKING:
    from tests.e2e.apps import App
    from tests.e2e.facts import Fact
    from tests.e2e.stack import Stack

pytestmark = [pytest.mark.parts, pytest.mark.asyncio(loop_scope="session")]

RED = {"data": {"color": "red"}}
HOUR = timedelta(hours=1)
LOCAL = Ref("v1", "ConfigMap", "abdrift-local", "abdrift-system")


def command(stack: Stack, app: App, **changes: Any) -> dict[str, Any]:
    """Return an unsigned command that the sink would carry out as it stands."""
    inventory = next(f for f in stack.log.of_type(INVENTORY.name) if f.subject == app.site.cluster)
    now = datetime.now(UTC)
    group, _, version = app.owner.api_version.partition("/")
    target = {"group": group, "version": version, "kind": app.owner.kind}
    return {
        "command_id": f"test-{uuid.uuid4().hex}",
        "verb": "reconcile",
        "cluster": dict(inventory.data["cluster"]),
        "target": {**target, "namespace": app.namespace, "name": app.owner.name},
        "finding_ids": [],
        "reason": "a test",
        "policy": "default@1",
        "issued_at": rfc3339(now),
        "expires_at": rfc3339(now + timedelta(minutes=1)),
        "fencing": highest_fencing(stack),
        **changes,
    }


def highest_fencing(stack: Stack) -> int:
    return max((c.data["fencing"] for c in stack.commands()), default=0)


async def write(stack: Stack, app: App, data: dict[str, Any]) -> None:
    event = CloudEvent(
        id=str(data["command_id"]),
        source="/test",
        type=COMMAND.name,
        subject=str(data["command_id"]),
        time=rfc3339(datetime.now(UTC)),
        cluster=app.site.cluster,
        data=data,
    )
    count = await stored.partitions(stack.pipeline.kafka, FLEET_COMMANDS)
    await stored.write(stack.pipeline.kafka, FLEET_COMMANDS, [(partition_of(app.site.cluster, count), event)])


async def refusal(stack: Stack, command_id: str, since: int) -> Fact:
    """Return the audit fact of a command that was not carried out."""
    return await stack.until(
        lambda f: (
            f.type == OUTCOME.name
            and f.data["command_id"] == command_id
            and f.data["result"] in ("rejected", "expired")
        ),
        f"an audit fact about {command_id}",
        command_id,
        since=since,
    )


async def requested_at(app: App) -> str | None:
    owner = await app.site.admin.get(app.owner)
    value: str | None = owner["metadata"].get("annotations", {}).get(REQUESTED_AT)
    return value


def forged(stack: Stack, app: App) -> dict[str, Any]:
    folder = Path(tempfile.mkdtemp(dir=stack.folder))
    return create_key_pair(folder / "stranger.key", folder / "stranger.pub").sign(COMMAND.name, command(stack, app))


def unsigned(stack: Stack, app: App) -> dict[str, Any]:
    return command(stack, app)


def tampered(stack: Stack, app: App) -> dict[str, Any]:
    return signer(stack).sign(COMMAND.name, command(stack, app, verb="suspend")) | {"verb": "reconcile"}


def expired(stack: Stack, app: App) -> dict[str, Any]:
    now = datetime.now(UTC)
    times = {"issued_at": rfc3339(now - 2 * HOUR), "expires_at": rfc3339(now - HOUR)}
    return signer(stack).sign(COMMAND.name, command(stack, app, **times))


def wrong_cluster(stack: Stack, app: App) -> dict[str, Any]:
    elsewhere = {"name": app.site.cluster, "uid": str(uuid.uuid4())}
    return signer(stack).sign(COMMAND.name, command(stack, app, cluster=elsewhere))


def fenced(stack: Stack, app: App) -> dict[str, Any]:
    assert highest_fencing(stack) > 0, "a command was carried out before"
    return signer(stack).sign(COMMAND.name, command(stack, app, fencing=0))


def without_end(stack: Stack, app: App) -> dict[str, Any]:
    end = rfc3339(datetime.now(UTC) + timedelta(days=30))
    return signer(stack).sign(COMMAND.name, command(stack, app, expires_at=end))


def signer(stack: Stack) -> Signer:
    return stack.pipeline.keyring.signer_governor


BAD = {
    "forged": (forged, "unknown-key", "rejected"),
    "unsigned": (unsigned, "unsigned", "rejected"),
    "tampered": (tampered, "bad-signature", "rejected"),
    "expired": (expired, "expired", "expired"),
    "wrong-cluster": (wrong_cluster, "wrong-cluster", "rejected"),
    "from-a-replaced-governor": (fenced, "fenced", "rejected"),
    "that-never-expires": (without_end, "lives-too-long", "rejected"),
}


@pytest.mark.together
@pytest.mark.parametrize("name", BAD)
async def test_a_bad_command_does_nothing_is_counted_and_leaves_an_audit_fact(stack: Stack, name: str) -> None:
    make, code, result = BAD[name]
    app = await stack.deploy()
    await app.site.alice.patch(app.settings, RED)
    await stack.corrected(app, await stack.finding(app, "changed", app.settings))
    before, counted = await requested_at(app), await stack.refusals_counted(code)
    since, data = stack.log.mark, make(stack, app)
    await write(stack, app, data)
    told = await refusal(stack, data["command_id"], since)
    assert (told.data["result"], codes(told)) == (result, {code})
    assert await stack.refusals_counted(code) == counted + 1
    assert await requested_at(app) == before


@pytest.mark.together
async def test_a_replayed_command_is_carried_out_once(stack: Stack) -> None:
    app = await stack.deploy()
    await app.site.alice.patch(app.settings, RED)
    finding = await stack.finding(app, "changed", app.settings)
    outcome = await stack.corrected(app, finding)
    genuine = next(c for c in stack.commands() if c.subject == outcome.subject)
    handled = await app.reconcile()
    since, counted = stack.log.mark, await stack.refusals_counted("replayed")
    await write(stack, app, dict(genuine.data))
    told = await refusal(stack, genuine.subject, since)
    assert codes(told) == {"replayed"}
    assert await stack.refusals_counted("replayed") == counted + 1
    assert await requested_at(app) == handled["metadata"]["annotations"][REQUESTED_AT]
    assert stack.log.newest(OUTCOME.name, outcome.subject) == outcome, (
        "the real outcome stays the newest of its subject"
    )


async def say(stack: Stack, action: ApprovalAction, subject: str, *, seconds: float = 0) -> None:
    until = datetime.now(UTC) + timedelta(seconds=seconds) if seconds else None
    cluster = None if subject == FLEET_SCOPE else stack.site.cluster
    word = Word(action, subject, cluster, "for the test", "a tester", until)
    event = word_event(
        word, stack.pipeline.keyring.signer_operator, approval_id=uuid.uuid4().hex, now_ms=wall_clock_ms()
    )
    count = await stored.partitions(stack.pipeline.kafka, FLEET_APPROVALS)
    await stored.write(stack.pipeline.kafka, FLEET_APPROVALS, [(partition_of(cluster or FLEET_SCOPE, count), event)])


@pytest.mark.together
async def test_a_hold_on_an_owner_holds_until_it_is_released(stack: Stack) -> None:
    app = await stack.deploy()
    owner = f"owner/{app.site.cluster}/{app.owner.kind}/{app.namespace}/{app.owner.name}"
    await say(stack, ApprovalAction.HOLD, owner, seconds=600)
    await app.site.alice.patch(app.settings, RED)
    finding = await stack.finding(app, "changed", app.settings)
    await stack.decision(app, finding, "refused", code="held")
    await stack.mark()
    assert not [c for c in stack.commands() if finding.subject in c.finding_ids]
    assert (await app.site.admin.get(app.settings))["data"]["color"] == "red"
    await say(stack, ApprovalAction.RELEASE, owner)
    await stack.corrected(app, finding)


@pytest.mark.parametrize("subject", ["fleet", "cluster"])
async def test_a_freeze_stops_everything_until_a_thaw(stack: Stack, subject: str) -> None:
    app = await stack.deploy()
    on = FLEET_SCOPE if subject == "fleet" else f"cluster/{app.site.cluster}"
    since = stack.log.mark
    await say(stack, ApprovalAction.FREEZE, on)
    try:
        await app.site.alice.patch(app.settings, RED)
        finding = await stack.finding(app, "changed", app.settings)
        await stack.decision(app, finding, "refused", code="frozen")
        await app.site.alice.patch(app.web, {"metadata": {"labels": {"again": "yes"}}}, field_manager="kubectl-label")
        second = await stack.finding(app, "changed", app.web)
        await stack.decision(app, second, "refused", code="frozen")
        assert not [c for c in stack.commands(since) if finding.subject in c.finding_ids]
    finally:
        await say(stack, ApprovalAction.THAW, on)
    await stack.corrected(app, finding)
    await stack.corrected(app, second)


@pytest.mark.together
async def test_an_annotated_hold_on_one_object_makes_its_owners_reconcile_a_refusal(stack: Stack) -> None:
    app = await stack.deploy()
    until = rfc3339(datetime.now(UTC) + HOUR)
    held = {"metadata": {"annotations": {"abdrift.dev/hold-until": until}}, "data": {"color": "red"}}
    await app.site.alice.patch(app.settings, held, field_manager="kubectl-edit")
    finding = await stack.finding(app, "changed", app.settings)
    assert finding.data["held_until"] == until
    await app.site.alice.patch(app.web, {"metadata": {"labels": {"oncall": "a"}}}, field_manager="kubectl-label")
    neighbour = await stack.finding(app, "changed", app.web)
    await stack.decision(app, neighbour, "refused", code="held")
    await stack.mark()
    told = {finding.subject, neighbour.subject}
    assert not [c for c in stack.commands() if told & set(c.finding_ids)]


@pytest.mark.together
async def test_a_contested_object_makes_its_owners_reconcile_a_refusal(stack: Stack) -> None:
    from tests.e2e.apps import APP  # noqa: PLC0415
    from tests.e2e.test_quiet import AUTOSCALER  # noqa: PLC0415

    app = await stack.deploy({**APP, "app/autoscaler.yaml": AUTOSCALER})
    await app.site.alice.patch(app.web, {"spec": {"replicas": 4}}, subresource="scale")
    contested = await stack.finding(app, "changed", app.web)
    assert contested.data["contested"] is True
    await app.site.alice.patch(app.settings, RED)
    neighbour = await stack.finding(app, "changed", app.settings)
    await stack.decision(app, neighbour, "refused", code="contested")
    await stack.mark()
    told = {contested.subject, neighbour.subject}
    assert not [c for c in stack.commands() if told & set(c.finding_ids)]


async def test_the_sites_own_freeze_refuses_what_the_governor_allows(stack: Stack) -> None:
    app = await stack.deploy()
    metadata = {"name": LOCAL.name, "namespace": LOCAL.namespace}
    veto = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"freeze": "works on the mast"}}
    await app.site.admin.create(veto)
    since, counted = stack.log.mark, await stack.refusals_counted("locally-frozen")
    try:
        await app.site.alice.patch(app.settings, RED)
        finding = await stack.finding(app, "changed", app.settings)
        issued = await stack.until(
            lambda f: f.type == COMMAND.name and finding.subject in f.finding_ids, "a command", app, since=since
        )
        told = await refusal(stack, issued.subject, since)
        assert codes(told) == {"locally-frozen"}
        assert await stack.refusals_counted("locally-frozen") > counted
        assert await requested_at(app) != issued.subject
        assert (await app.site.admin.get(app.settings))["data"]["color"] == "red"
    finally:
        await app.site.admin.delete(LOCAL)
    await stack.closed(app, finding)
