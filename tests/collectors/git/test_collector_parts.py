"""The Git collector against a real Git server."""

from __future__ import annotations

import asyncio
import random
import subprocess
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from abdrift.facts.base import ClusterRef, Evidence
from abdrift.facts.inventory import ClusterInventory, GitSource
from abdrift.signals.objects import RemoteDetail, decode_detail
from collectors.git import GitCollector, GitConfig
from tests.collectors.recording import Recording
from tests.parts.git import GitServer
from tests.parts.loopback import Ports

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from abdrift.signals.objects import ObjectRow
    from tests.parts.git import GitRepo

pytestmark = pytest.mark.parts

MAIN = "refs/heads/main"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitServer]:
    served = GitServer(tmp_path / "git", Ports().take())
    served.start()
    yield served
    served.stop()


@pytest.fixture
def repo(server: GitServer) -> GitRepo:
    created = server.create("fleet")
    created.commit({"a": "1"}, "Deploy the app\n\nAnd say more.")
    return created


def collector(seen: Recording, **settings: Any) -> GitCollector:
    return GitCollector(GitConfig(**{"interval_seconds": 0.1, **settings}), seen, rng=random.Random(1))


def inventory(cluster: str, *sources: tuple[str, str]) -> ClusterInventory:
    now = datetime(2026, 11, 23, tzinfo=UTC)
    followed = tuple(GitSource(url=url, ref=ref) for url, ref in sources)
    evidence = Evidence(as_of=now, complete=True)
    return ClusterInventory(
        cluster=ClusterRef(name=cluster), git_sources=followed, first_seen=now, last_seen=now, evidence=evidence
    )


async def endless(*given: tuple[str, ClusterInventory | None]) -> AsyncIterator[tuple[str, ClusterInventory | None]]:
    for each in given:
        yield each
    await asyncio.Event().wait()


def detail_of(row: ObjectRow) -> RemoteDetail:
    return decode_detail(row, RemoteDetail)


async def test_a_head_is_told_with_its_commit_and_again_when_it_moves(repo: GitRepo) -> None:
    seen = Recording()
    running = asyncio.create_task(collector(seen).run(endless(("edge", inventory("edge", (repo.url, MAIN))))))
    try:
        row = await seen.until(lambda row: row.op == "remote", "the head")
        head = detail_of(row).heads[MAIN]
        assert (row.cluster, row.name) == ("", repo.url)
        assert (head.sha, head.author, head.message) == (repo.head(), "alice <alice@example.com>", "Deploy the app")
        assert head.time_ms
        moved = repo.commit({"a": "2"}, "Change it", author="bob")
        row = await seen.until(lambda row: moved in row.detail.decode(), "the next head")
        assert detail_of(row).heads[MAIN].author == "bob <bob@example.com>"
    finally:
        running.cancel()


async def test_a_remote_that_people_wait_to_hear_of_is_asked_before_its_time(repo: GitRepo) -> None:
    seen, asked = Recording(), asyncio.Event()

    async def suspects() -> AsyncIterator[str]:
        await asked.wait()
        yield "https://git.example/another"
        yield repo.url
        await asyncio.Event().wait()

    followed = endless(("edge", inventory("edge", (repo.url, MAIN))))
    running = asyncio.create_task(collector(seen, interval_seconds=3_600).run(followed, suspects()))
    try:
        await seen.until(lambda row: row.op == "remote", "the head")
        moved = repo.commit({"a": "2"}, "Break it", author="mallory")
        asked.set()
        row = await seen.until(lambda row: moved in row.detail.decode(), "the next head")
        assert detail_of(row).heads[MAIN].author == "mallory <mallory@example.com>"
    finally:
        running.cancel()


async def test_a_repository_is_asked_once_for_all_clusters(server: GitServer, repo: GitRepo) -> None:
    seen = Recording()
    fleet = [(f"edge-{n}", inventory(f"edge-{n}", (repo.url, MAIN))) for n in range(50)]
    running = asyncio.create_task(collector(seen, interval_seconds=60).run(endless(*fleet)))
    try:
        await seen.until(lambda row: row.op == "remote", "the head")
    finally:
        running.cancel()
    assert len(seen.rows) == 1
    assert len([request for request in server.requests if "info/refs" in request.path]) <= 2  # ask, fetch once


async def test_heads_that_stay_are_told_now_and_then_and_no_more_once_nobody_follows(repo: GitRepo) -> None:
    now_ms = [0]
    seen = Recording()
    asking = GitCollector(GitConfig(report_seconds=60), seen, clock=lambda: now_ms[0], rng=random.Random(1))
    for now_ms[0] in (1_000, 30_000, 61_000, 90_000):
        await asking.ask(repo.url, frozenset({MAIN}))
    assert [row.observed_ms for row in seen.objects] == [1_000, 61_000]


async def test_an_annotated_tag_is_its_commit(repo: GitRepo) -> None:
    def git(*arguments: str) -> None:
        subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@x", *arguments], cwd=repo.clone, check=True)

    git("tag", "-a", "v1", "-m", "release")
    git("push", "-q", "origin", "v1")
    seen = Recording()
    await collector(seen).ask(repo.url, frozenset({"refs/tags/v1", MAIN, "refs/heads/none"}))
    heads = detail_of(seen.objects[0]).heads
    assert {ref: head.sha for ref, head in heads.items()} == {"refs/tags/v1": repo.head(), MAIN: repo.head()}
    assert heads["refs/tags/v1"].message == "Deploy the app"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        pytest.param("{server}/missing.git", "not found", id="missing"),
        pytest.param("http://127.0.0.1:9/x.git", "Failed to connect|refused", id="unreachable"),
        pytest.param("file:///etc", "only http, https and ssh", id="local"),
        pytest.param("ext::sh -c true", "only http, https and ssh", id="command"),
    ],
)
async def test_what_cannot_be_asked_says_why(repo: GitRepo, url: str, said: str) -> None:
    seen = Recording()
    await collector(seen).ask(url.format(server=repo.url.rpartition("/")[0]), frozenset({MAIN}))
    error = detail_of(seen.objects[0]).error
    assert error
    assert any(part.lower() in error.lower() for part in said.split("|")), error


async def test_credentials_show_nowhere(repo: GitRepo, caplog: pytest.LogCaptureFixture) -> None:
    seen = Recording()
    caplog.set_level(0)
    for path in ("fleet.git", "missing.git"):
        url = repo.url.replace("http://", "http://bob:s3cret@").replace("fleet.git", path)
        await collector(seen).ask(url, frozenset({MAIN}))
    told = b"".join(row.detail + row.name.encode() for row in seen.objects)
    assert seen.objects[0].name == repo.url
    assert b"s3cret" not in told
    assert "s3cret" not in caplog.text


async def test_a_server_that_never_answers_is_given_up() -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    listening = await asyncio.start_server(hang, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    seen = Recording()
    await collector(seen, timeout_seconds=0.3).ask(f"http://127.0.0.1:{port}/x.git", frozenset({MAIN}))
    assert detail_of(seen.objects[0]).error == "no answer within 0.3 s"
    listening.close()
