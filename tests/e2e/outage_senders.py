"""Senders of numbered records that do not give up, for the trial of an outage: `outage.py`."""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import hmac
import itertools
import json
import time
from abc import ABC, abstractmethod
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp

from tests.collectors.logs.senders import sent
from tests.parts.loopback import HOST

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

AGAIN_SECONDS = (0.2, 2.0)
REQUEST_SECONDS = 60.0


def token_of(name: str) -> str:
    """Return what proves a sender."""
    return f"the token of {name}"


@dataclass
class Log:
    """What became of a sender's records, each named by what tells it from all others."""

    acked: set[str] = field(default_factory=set)
    attempts: Counter[str] = field(default_factory=Counter)
    """How many requests carried a record."""
    acked_at: list[float] = field(default_factory=list)
    """When each positive answer came, by the monotonic clock."""
    statuses: Counter[str] = field(default_factory=Counter)
    """How many answers of which kind came."""


class Sender(ABC):
    """Sends batches at a rate until told to stop, then ends what it has begun."""

    def __init__(self, name: str, per_second: float, batch: int = 1) -> None:
        self.name = name
        self.log = Log()
        self._every_seconds = batch / per_second
        self._batch = batch
        self._numbers = itertools.count()

    async def run(self, stop: asyncio.Event) -> None:
        """Send until `stop`; a batch that was begun is sent until it is acknowledged or refused for good."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while not stop.is_set():
            await self.deliver([f"{self.name} {next(self._numbers)}" for _ in range(self._batch)])
            due = max(due + self._every_seconds, loop.time())
            with suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    await stop.wait()

    @abstractmethod
    async def deliver(self, records: Sequence[str]) -> None:
        """Send records until they are acknowledged or refused for good."""

    def _acknowledged(self, records: Sequence[str]) -> None:
        self.log.acked.update(records)
        self.log.acked_at.append(time.monotonic())


class HttpSender(Sender):
    """Posts batches, and again after 429, 5xx and what is no answer."""

    def __init__(
        self, name: str, url: str, encode: Callable[[Sequence[str]], tuple[bytes, dict[str, str]]], **rate: Any
    ) -> None:
        super().__init__(name, **rate)
        self._url = url
        self._encode = encode

    async def deliver(self, records: Sequence[str]) -> None:
        """Post records until there is an answer that is none of those."""
        delay_seconds, longest_seconds = AGAIN_SECONDS
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=REQUEST_SECONDS)) as client:
            while True:
                status = await self._post(client, records)
                if status < 300:
                    return self._acknowledged(records)
                assert status == 429 or status >= 500, f"{self.name} is refused: {status}"
                await asyncio.sleep(delay_seconds)
                delay_seconds = min(2 * delay_seconds, longest_seconds)

    async def _post(self, client: aiohttp.ClientSession, records: Sequence[str]) -> int:
        self.log.attempts.update(records)
        body, headers = self._encode(records)
        try:
            async with client.post(self._url, data=body, headers=headers) as answer:
                status = answer.status
        except (aiohttp.ClientError, TimeoutError) as error:
            self.log.statuses[type(error).__name__] += 1
            return 599
        self.log.statuses[str(status)] += 1
        return status


class BeatsSender(Sender):
    """Sends by go-lumber's client, which is started for each batch; what is not acknowledged is sent again."""

    def __init__(self, name: str, program: Path, port: int, **rate: Any) -> None:
        super().__init__(name, **rate)
        self._program = program
        self._port = port

    async def deliver(self, records: Sequence[str]) -> None:
        """Send records until the last is acknowledged; they are so in order."""
        while records:
            self.log.attempts.update(records)
            count = await sent(self._program, self._port, records, "-window=20", f"-timeout={REQUEST_SECONDS:g}s")
            self.log.statuses["acknowledged" if count == len(records) else "cut short"] += 1
            self._acknowledged(records[:count])
            records = records[count:]


class SyslogSender(Sender):
    """Writes lines to an rsyslogd, which keeps them until Kafka has them: taken is acknowledged."""

    def __init__(self, name: str, port: int, **rate: Any) -> None:
        super().__init__(name, **rate)
        self._port = port
        self._writer: asyncio.StreamWriter | None = None

    async def deliver(self, records: Sequence[str]) -> None:
        """Write records."""
        if self._writer is None:
            _, self._writer = await asyncio.open_connection(HOST, self._port)
        self.log.attempts.update(records)
        self._writer.write("".join(f"<27>Nov 23 13:42:13 node-1 app[7]: {each}\n" for each in records).encode())
        await self._writer.drain()
        self._acknowledged(records)


def bearer(name: str) -> dict[str, str]:
    """Return what proves a sender in a request."""
    return {"Authorization": f"Bearer {token_of(name)}"}


def logstash(records: Sequence[str]) -> tuple[bytes, dict[str, str]]:
    """Return a request of Logstash's HTTP output with `format => json_batch`."""
    events = [{"@timestamp": _now(), "@version": "1", "message": each} for each in records]
    headers = {"User-Agent": "Manticore 0.9.1", "Content-Type": "application/json", **bearer("logstash")}
    return json.dumps(events).encode(), headers


def vector(records: Sequence[str]) -> tuple[bytes, dict[str, str]]:
    """Return a request of Vector's HTTP sink with events a line."""
    lines = [json.dumps({"timestamp": _now(), "message": each, "level": "info"}) for each in records]
    headers = {"User-Agent": "Vector/0.50.0", "Content-Type": "application/x-ndjson", **bearer("vector")}
    return "\n".join(lines).encode(), headers


def fluent_bit(records: Sequence[str]) -> tuple[bytes, dict[str, str]]:
    """Return a request of Fluent Bit's HTTP output with `Format json`."""
    events = [{"date": time.time(), "log": each, "stream": "stdout"} for each in records]
    headers = {"User-Agent": "Fluent-Bit", "Content-Type": "application/json", **bearer("fluent-bit")}
    return json.dumps(events).encode(), headers


def flux(key: bytes) -> Callable[[Sequence[str]], tuple[bytes, dict[str, str]]]:
    """Return what makes a signed request of Flux's notification-controller of one record."""

    def encode(records: Sequence[str]) -> tuple[bytes, dict[str, str]]:
        (message,) = records
        involved = {"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization", "name": "apps"}
        event = {
            "involvedObject": {**involved, "namespace": "flux-system"},
            "severity": "error",
            "timestamp": _now(),
            "message": message,
            "reason": "BuildFailed",
            "reportingController": "kustomize-controller",
        }
        body = json.dumps(event).encode()
        signature = hmac.new(key, body, hashlib.sha256).hexdigest()
        return body, {"Content-Type": "application/json", "X-Signature": f"sha256={signature}"}

    return encode


def alert(records: Sequence[str]) -> tuple[bytes, dict[str, str]]:
    """Return a request by which Prometheus tells Alertmanager of one alert that fires."""
    (number,) = records
    labels = {"alertname": "Numbered", "cluster": "alertmanager", "number": number}
    return json.dumps([{"labels": labels, "startsAt": _now()}]).encode(), {"Content-Type": "application/json"}


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat().replace("+00:00", "Z")
