"""Tells one Alertmanager what it does not know, until cancelled."""

import asyncio
import logging
import random
import ssl
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from abdrift.clock import ClockMs
from sinks.alertmanager import telemetry
from sinks.alertmanager.alerts import Alert
from sinks.alertmanager.book import Book, Told
from sinks.alertmanager.config import AlertmanagerConfig, Target

log = logging.getLogger(__name__)

MAX_ALERTS: Final = 100
"""Alerts of one request."""
_BACKOFF_SECONDS: Final = (0.5, 30.0)
_LOOK_SECONDS: Final = 0.5
_ERROR_CHARS: Final = 300
_TRANSIENT: Final = frozenset({401, 403, 404, 408, 429})
"""What a person mends at the other end while this goes on; with 5xx."""


class RefusedError(Exception):
    """Alertmanager cannot read what it was told: telling it again would not help."""


class Sender:
    """One Alertmanager, told by one task. What fails is told again later, as it stands by then: nothing queues up."""

    def __init__(
        self, target: Target, config: AlertmanagerConfig, clock: ClockMs, rng: random.Random | None = None
    ) -> None:
        """Read the target's files.

        Raises:
            OSError: one cannot be read.

        """
        self._target = target
        self._clock = clock
        self._rng = rng or random.Random()  # noqa: S311  jitter
        self._timeout = aiohttp.ClientTimeout(total=config.timeout_seconds)
        self._told = Told(round(config.resend_seconds * 1000))
        self._ssl = ssl.create_default_context(cafile=target.ca_file) if target.ca_file else True
        self._headers()
        self.name = urlsplit(target.url).netloc.rpartition("@")[2]

    async def run(self, book: Book) -> None:
        """Tell what there is to tell, now and as it changes, until cancelled."""
        wait = _BACKOFF_SECONDS[0]
        async with aiohttp.ClientSession(timeout=self._timeout) as session:
            while True:
                try:
                    await self._tell(session, book)
                except (aiohttp.ClientError, TimeoutError, OSError) as error:
                    telemetry.ERRORS.labels(self.name, type(error).__name__).inc()
                    log.warning("%s: %s; next try in %.1f s", self.name, str(error) or type(error).__name__, wait)
                    await asyncio.sleep(wait * self._rng.uniform(0.5, 1))
                    wait = min(2 * wait, _BACKOFF_SECONDS[1])
                else:
                    wait = _BACKOFF_SECONDS[0]
                    await asyncio.sleep(_LOOK_SECONDS)

    async def _tell(self, session: aiohttp.ClientSession, book: Book) -> None:
        now_ms = self._clock()
        current = book.current(now_ms)
        due = self._told.due(current, now_ms)
        for start in range(0, len(due), MAX_ALERTS):
            some = due[start : start + MAX_ALERTS]
            await self._deliver(session, some, now_ms)
            self._told.note(some, current, now_ms)
        telemetry.TOLD.labels(self.name).set(now_ms / 1000)

    async def _deliver(self, session: aiohttp.ClientSession, some: list[Alert], now_ms: int) -> None:
        """Tell of some alerts; where they are refused together, of each alone, for one may be to blame."""
        try:
            await self._post(session, self._told.body(some, now_ms))
        except RefusedError as error:
            if len(some) > 1:
                for one in some:
                    await self._deliver(session, [one], now_ms)
                return
            log.error("%s: %s: %s", self.name, some[0].annotations["incident_id"], error)  # noqa: TRY400  nothing more
            telemetry.ALERTS.labels(self.name, "refused").inc()
        else:
            telemetry.ALERTS.labels(self.name, "told").inc(len(some))

    async def _post(self, session: aiohttp.ClientSession, body: list[dict[str, object]]) -> None:
        url = f"{self._target.url.rstrip('/')}/api/v2/alerts"
        async with session.post(url, json=body, headers=self._headers(), ssl=self._ssl) as answer:
            if answer.ok:
                return
            said = f"{answer.status} {(await answer.text())[:_ERROR_CHARS]}"
            if answer.status in _TRANSIENT or answer.status >= 500:  # noqa: PLR2004  the server's own trouble
                raise aiohttp.ClientError(said)
            raise RefusedError(said)

    def _headers(self) -> dict[str, str]:
        """Return the headers; the token is read each time, for it may be renewed."""
        file = self._target.bearer_token_file
        return {"Authorization": f"Bearer {file.read_text().strip()}"} if file else {}
