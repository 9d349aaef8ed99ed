"""What an Alertmanager's answers lead to."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from abdrift.configuration import load
from abdrift.latest import Change
from abdrift.topics import FLEET_INCIDENTS, INCIDENT
from sinks.alertmanager import sending, telemetry
from sinks.alertmanager.book import Book
from sinks.alertmanager.config import EXAMPLE, AlertmanagerConfig
from sinks.alertmanager.following import take
from sinks.alertmanager.sending import Sender
from tests.sinks.alertmanager.incidents import T0, incident

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


class Receiver:
    """An Alertmanager's API that answers as it is told to, then well."""

    def __init__(self, *answers: int) -> None:
        self.answers = list(answers)
        self.requests: list[tuple[int, str | None]] = []
        self.sizes: list[int] = []
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        status = self.answers.pop(0) if self.answers else 200
        self.requests.append((status, request.headers.get("Authorization")))
        self.sizes.append(len(await request.json()))
        return web.Response(status=status, text="said")

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[Receiver]:
        application = web.Application()
        application.router.add_post("/am/api/v2/alerts", self.take)
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/am/"
        try:
            yield self
        finally:
            await runner.cleanup()

    async def until(self, requests: int) -> None:
        async with asyncio.timeout(20):
            while len(self.requests) < requests:  # noqa: ASYNC110  a server has no event for "so many requests"
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def running(receiver: Receiver, book: Book, **target: Any) -> AsyncIterator[Sender]:
    settings = AlertmanagerConfig.model_validate({"alertmanagers": [{"url": receiver.url, **target}]})
    sender = Sender(settings.alertmanagers[0], settings, lambda: T0, random.Random(1))
    task = asyncio.create_task(sender.run(book))
    try:
        yield sender
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "_BACKOFF_SECONDS", (0.01, 0.02))
    monkeypatch.setattr(sending, "_LOOK_SECONDS", 0.01)


def book_of(*incidents: Any) -> Book:
    book = Book(AlertmanagerConfig.model_validate({"alertmanagers": [{"url": "http://a"}]}))
    for one in incidents:
        book.put(one)
    return book


@pytest.mark.parametrize("trouble", [429, 500, 503, 404])
async def test_what_fails_is_told_again(trouble: int) -> None:
    async with Receiver(trouble, trouble).serving() as receiver, running(receiver, book_of(incident())):
        await receiver.until(3)
    assert [status for status, _ in receiver.requests[:3]] == [trouble, trouble, 200]


async def test_what_cannot_be_read_is_counted_and_not_told_again() -> None:
    async with Receiver(400).serving() as receiver:
        book = book_of(incident())
        async with running(receiver, book) as sender:
            await receiver.until(1)
            book.put(incident("i2", cause=incident().cause.model_copy(update={"name": "other"})))
            await receiver.until(2)
        counted = telemetry.ALERTS.labels(sender.name, "refused")._value.get()
    assert [status for status, _ in receiver.requests] == [400, 200]
    assert counted == 1


async def test_of_alerts_that_are_refused_together_each_is_told_alone() -> None:
    other = incident("i2", cause=incident().cause.model_copy(update={"name": "other"}))
    async with Receiver(422, 200, 422).serving() as receiver, running(receiver, book_of(incident(), other)) as sender:
        before = telemetry.ALERTS.labels(sender.name, "told")._value.get()
        await receiver.until(3)
    assert receiver.sizes == [2, 1, 1]
    assert telemetry.ALERTS.labels(sender.name, "told")._value.get() - before == 1


async def test_many_alerts_are_told_in_several_requests() -> None:
    cause = incident().cause
    many = [incident(f"i{n}", cause=cause.model_copy(update={"name": f"r{n}"})) for n in range(sending.MAX_ALERTS + 1)]
    async with Receiver().serving() as receiver, running(receiver, book_of(*many)):
        await receiver.until(2)
    assert receiver.sizes == [sending.MAX_ALERTS, 1]


async def test_the_token_is_read_each_time(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("one\n")
    book = book_of(incident())
    async with Receiver().serving() as receiver, running(receiver, book, bearer_token_file=str(file)):
        await receiver.until(1)
        file.write_text("two\n")
        book.put(incident(clusters=8))
        await receiver.until(2)
    assert [token for _, token in receiver.requests] == ["Bearer one", "Bearer two"]


def test_a_file_that_cannot_be_read_is_an_error_at_the_start(tmp_path: Path) -> None:
    settings = AlertmanagerConfig.model_validate(
        {"alertmanagers": [{"url": "https://a", "bearer_token_file": str(tmp_path / "none")}]}
    )
    with pytest.raises(OSError, match="none"):
        Sender(settings.alertmanagers[0], settings, lambda: T0)


def change(key: str, value: bytes | None) -> Change:
    return Change(FLEET_INCIDENTS.name, key, value, T0)


def test_the_book_follows_the_topic_and_counts_what_is_no_incident() -> None:
    book, before = book_of(), telemetry.REFUSED._value.get()
    event = INCIDENT.event("i1", incident(), event_id="e", source="/t", at=incident().opened_at)
    take(book, [change("i1", event.encode()), change("i2", b"{}"), change("i3", b"\xff")])
    assert (book.firing, telemetry.REFUSED._value.get() - before) == (1, 2)
    take(book, [change("i1", None)])
    assert book.firing == 0


def test_the_example_can_be_used(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(EXAMPLE)
    assert load(AlertmanagerConfig, file).resend_seconds == 60
