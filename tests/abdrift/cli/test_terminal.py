"""The terminal's views on a real broker: a stranger asks why a cluster is off course and what was done."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from abdrift import frames
from abdrift.cli import drift, fleet, incident, timeline
from abdrift.cli.timeline import notes
from abdrift.clock import wall_clock_ms
from abdrift.kafka import producer
from abdrift.partitions import partition_of
from abdrift.signals import objects
from abdrift.signals.objects import ObjectRow, Op, RemoteDetail, RemoteHead, encode_detail
from abdrift.timeline import reading
from abdrift.topics import (
    COMMAND,
    DECISION,
    FLEET_COMMANDS,
    FLEET_DECISIONS,
    FLEET_DRIFT,
    FLEET_HEALTH,
    FLEET_INCIDENTS,
    FLEET_INVENTORY,
    FLEET_OUTCOMES,
    OBJECTS,
    OUTCOME,
)
from tests.abdrift.cli.governed import APP, PARTITIONS, Governed
from tests.abdrift.test_fleetstate import health
from tests.abdrift.test_fleetstate import incident as incident_event
from tests.streams.governor.world import OWNER, World, stamp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from abdrift.broker import EmbeddedBroker

pytestmark = pytest.mark.parts
for module in (drift, fleet, incident, timeline):
    module.register(APP)

NAME = "term-1"
GOOD, BAD = ("main@sha1:" + each * 40 for each in "ab")
URL, REF = "https://git.example/term.git", "refs/heads/main"
COMMIT = {"revision": BAD, "author": "Kari", "message": "Raise the limit"}
FIELD = {"path": "/spec/replicas", "op": "replace", "old": 2, "new": 5, "by": {"manager": "kubectl-edit"}}


@pytest.fixture(scope="module")
def governed(kafka: EmbeddedBroker, tmp_path_factory: pytest.TempPathFactory) -> Governed:
    """Topics with a cluster to which a bad revision came, and where somebody scaled by hand, which was corrected."""
    governed = Governed(kafka.bootstrap_servers, tmp_path_factory.mktemp("keys"))
    world = World(now_ms=wall_clock_ms() - 60_000)
    now_ms = world.now_ms
    labels, sources = {"site": "term-site"}, [{"url": URL, "ref": REF}]
    owner = {"owner": OWNER, "applied_revision": GOOD, "artifact_revision": GOOD}
    governed.write(FLEET_INVENTORY, [world.inventory(NAME, labels=labels, git_sources=sources)])
    governed.write(FLEET_HEALTH, [health(world, NAME, since=stamp(now_ms - 1_000), last_seen=stamp(now_ms))])
    asyncio.run(move(governed, now_ms))
    governed.write(FLEET_DRIFT, [world.verdict(NAME, revision=1, **owner)])
    world.now_ms += 10_000
    governed.write(
        FLEET_DRIFT,
        [
            world.verdict(NAME, revision=2, **{**owner, "artifact_revision": BAD, "applied_revision": BAD}),
            world.finding("term-failing", cluster=NAME, kind="failing", desired=COMMIT, fields=[], message="no memory"),
            world.finding("term-scaled", cluster=NAME, fields=[FIELD], message="1 field differs"),
        ],
    )
    world.now_ms += 10_000
    said = {"cluster": {"name": NAME}, "finding_ids": ["term-scaled"], "policy": "act@1", "verb": "reconcile"}
    reasons = [{"code": "grace", "message": "it may still be put right"}]
    decision = {
        **said,
        "decision_id": "d1",
        "result": "deferred",
        "reasons": reasons,
        "decided_at": stamp(world.now_ms),
    }
    governed.write(FLEET_DECISIONS, [world.event(DECISION, "d1", decision, NAME)])
    world.now_ms += 10_000
    times = {"issued_at": stamp(world.now_ms), "expires_at": stamp(world.now_ms + 300_000)}
    command = {**said, **times, "command_id": "term-c1", "target": OWNER, "reason": "drift", "fencing": 1}
    governed.write(FLEET_COMMANDS, [world.event(COMMAND, "term-c1", command, NAME)])
    world.now_ms += 1_000
    ended = {"command_id": "term-c1", "revision": 2, "cluster": {"name": NAME}, "result": "corrected"}
    ended |= {"corrected_at": stamp(world.now_ms), "finished_at": stamp(world.now_ms), "finding_ids": ["term-scaled"]}
    governed.write(FLEET_OUTCOMES, [world.event(OUTCOME, "term-c1", ended, NAME)])
    world.now_ms += 1_000
    member = {"cluster": {"name": NAME}, "symptom": "failing", "finding_ids": ["term-failing"], "message": "no memory"}
    members = [{**member, "since": stamp(world.now_ms)}]
    cause = {"kind": "git-revision", "name": BAD, "commit": COMMIT}
    given = {"members": members, "cause": cause, "title": "1 cluster fails", "opened_at": stamp(world.now_ms)}
    governed.write(FLEET_INCIDENTS, [incident_event(world, "term-incident", **given)])
    return governed


async def move(governed: Governed, now_ms: int) -> None:
    """Have the Git collector tell where the remote is."""
    head = RemoteHead(sha="b" * 40, author="Kari", message="Raise the limit\n\nMore.", time_ms=now_ms)
    detail = encode_detail(RemoteDetail(heads={REF: head}))
    rows = [ObjectRow(cluster="", op=Op.REMOTE.value, name=URL, observed_ms=now_ms, detail=detail)]
    frame = frames.encode(objects.OBJECTS, objects.columns_of(rows), ("git", 1, 0))
    async with producer(governed.settings) as client:
        where = partition_of(NAME, PARTITIONS)
        await client.send_and_wait(OBJECTS.name, frame.value, partition=where, headers=list(frame.headers))


def test_the_line_of_time_tells_why_and_what_was_done(governed: Governed) -> None:
    told: Any = governed.json("timeline", NAME)
    of_all = ("person", "governor")  # other tests of this broker hold, freeze and thaw the fleet
    mine = [each for each in told["entries"] if each["kind"] not in of_all or "finding_ids" in each]
    assert [(each["kind"], each["what"]) for each in mine] == [
        ("health", "healthy"),
        ("git", "moved"),
        ("git", "fetched"),
        ("git", "applied"),
        ("drift", "found"),
        ("drift", "found"),
        ("governor", "deferred"),
        ("command", "commanded"),
        ("outcome", "corrected"),
        ("incident", "opened"),
    ]
    assert told["cluster"]["labels"] == {"site": "term-site"}
    shown = governed.run("timeline", NAME).stdout
    assert "Git is at main@bbbbbbb “Raise the limit” by Kari" in shown
    assert "spec.replicas: 2 → 5" in shown
    assert "corrected in 1.0 s: reconcile of Kustomization flux-system/apps" in shown


async def test_only_so_many_frames_are_looked_through_for_moves_of_git(
    governed: Governed, monkeypatch: pytest.MonkeyPatch
) -> None:
    await move(governed, wall_clock_ms())
    monkeypatch.setattr(reading, "MOST_FRAMES", 1)
    async with reading.opened(governed.settings, NAME, since_ms=1) as reader:
        await reader.catch_up()
    assert reader.git_since_ms, "the first one was passed over"
    assert "moves of Git remotes are told from" in next(iter(notes(reader))).plain


def test_a_finding_is_shown_by_the_beginning_of_its_id(governed: Governed) -> None:
    told: Any = governed.json("drift", "show", "term-s")
    assert told["finding"]["fields"][0]["by"]["manager"] == "kubectl-edit"
    assert [each["what"] for each in told["done"]] == ["deferred", "commanded", "corrected"]
    assert told["incident"] is None
    failing = governed.run("drift", "show", "term-f").stdout
    assert "incident  term-incident  1 cluster fails" in failing
    assert "abdrift incident show term-inciden" in failing


def test_findings_are_listed_by_what_they_and_their_clusters_are(governed: Governed) -> None:
    listed: Any = governed.json("drift", "list", "--site", "term-site", "--kind", "changed", "--owner", "apps")
    assert [each["finding_id"] for each in listed] == ["term-scaled"]


def test_an_incident_is_listed_and_shown_with_its_commit(governed: Governed) -> None:
    listed: Any = governed.json("incident", "list")
    (mine,) = [each for each in listed if each["incident_id"] == "term-incident"]
    assert mine["cause"]["commit"] == COMMIT
    assert "“Raise the limit” by Kari" in governed.run("incident", "show", "term-i").stdout


def test_the_fleet_s_status_counts_the_cluster_where_it_is(governed: Governed) -> None:
    told: Any = governed.json("fleet", "status")
    assert told["by"]["site"]["term-site"] == {"clusters": 1, "healthy": 1, "drifted": 1, "silent": 0}
    assert told["commands"]["last_hour"]["corrected"] >= 1
    assert "term-incident" in governed.run("fleet", "status", "--by", "site").stdout


UNKNOWN = {
    "cluster": (["timeline", "term-2"], "Near to it: term-1"),
    "finding": (["drift", "show", "term-skaled"], "Near to it: term-scaled"),
    "incident": (["incident", "show", "nonsense"], "abdrift incident list --state all"),
}


@pytest.mark.parametrize(("line", "says"), UNKNOWN.values(), ids=UNKNOWN)
def test_what_is_not_known_is_told_with_what_is_near(governed: Governed, line: list[str], says: str) -> None:
    assert says in governed.run(*line, exit_code=1).stderr


@contextlib.asynccontextmanager
async def running(governed: Governed, *line: str) -> AsyncIterator[Running]:
    """Yield a command that goes on until it is told to end."""
    environ = {
        "ABDRIFT_KAFKA": governed.settings.bootstrap_servers,
        "ABDRIFT_CACHE": str(governed.ring.directory / "cache"),
    }
    arguments = (sys.executable, "-m", "abdrift", *line)
    process = await asyncio.create_subprocess_exec(
        *arguments, stdout=asyncio.subprocess.PIPE, env={**os.environ, **environ}
    )
    try:
        yield Running(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


class Running:
    """A command that runs."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def line(self) -> str:
        """Return the next line that it prints."""
        assert self._process.stdout
        return (await self._process.stdout.readline()).decode()

    async def ends_by(self, number: signal.Signals) -> int:
        """Return how it ends by a signal."""
        self._process.send_signal(number)
        return await self._process.wait()


async def test_findings_are_watched_until_ctrl_c(governed: Governed) -> None:
    world = World(now_ms=wall_clock_ms())
    async with running(governed, "drift", "watch", "--cluster", "term-3") as watching:
        assert "0 findings open already" in await watching.line()
        others = [world.finding("term-other", cluster="term-4"), world.finding("term-watched", cluster="term-3")]
        await asyncio.to_thread(governed.write, FLEET_DRIFT, others)
        assert "◆ opened  term-3  changed" in await watching.line()
        assert await watching.ends_by(signal.SIGINT) == 0


async def test_a_line_of_time_goes_on_as_things_happen(governed: Governed) -> None:
    known: Any = await asyncio.to_thread(governed.json, "timeline", NAME)
    world = World(now_ms=wall_clock_ms())
    async with running(governed, "timeline", NAME, "--follow", "--json") as following:
        for entry in known["entries"]:
            assert orjson.loads(await following.line()) == entry
        over = world.closing("term-scaled", cluster=NAME, closed_because="corrected")
        await asyncio.to_thread(governed.write, FLEET_DRIFT, [over])
        assert orjson.loads(await following.line())["what"] == "closed"
        assert await following.ends_by(signal.SIGTERM) == 0


async def test_the_status_goes_on_until_it_is_ended(governed: Governed) -> None:
    async with running(governed, "fleet", "status", "--watch", "--json") as watching:
        assert "term-site" in orjson.loads(await watching.line())["by"]["site"]
        assert await watching.ends_by(signal.SIGTERM) == 0
