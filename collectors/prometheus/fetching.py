"""How targets are asked: credentials, TLS, and an answer within its time and size."""

import asyncio
import base64
import ssl
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import aiohttp
from yarl import URL

from abdrift.configuration import ConfigurationError
from collectors.prometheus.exposition import ACCEPT
from collectors.prometheus.scrape_config import ScrapeJob
from collectors.prometheus.targets import Target

_DEFAULT_BODY_BYTES: Final = 16 << 20


class ScrapeError(Exception):
    """A scrape of which nothing is taken. `reason` is from a fixed set."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class JobClient:
    """Asks a job's targets, under its credentials. Files of secrets are read at each scrape, as they are renewed."""

    def __init__(self, job: ScrapeJob) -> None:
        self._job = job
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(limit=0, ssl=_context(self._job))
        self._session = aiohttp.ClientSession(connector=connector, headers={"User-Agent": "abdrift-scrape"})
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session:
            await self._session.close()

    async def __call__(self, target: Target) -> tuple[bytes, str]:
        """Fetch a target; raises `ScrapeError`."""
        assert self._session, "used as an async context manager"
        try:
            headers = await asyncio.to_thread(self._headers)
        except OSError as error:
            raise ScrapeError("credentials", f"{error.filename}: {error.strerror}") from error
        return await self._fetched(self._session, target, headers)

    def _headers(self) -> dict[str, str]:
        if basic := self._job.basic_auth:
            password = _secret(basic.password_file) or (basic.password.get_secret_value() if basic.password else "")
            pair = base64.b64encode(f"{basic.username}:{password}".encode()).decode()
            return {"Authorization": f"Basic {pair}"}
        if given := self._job.authorization:
            secret = given.credentials.get_secret_value() if given.credentials else ""
            return {"Authorization": f"{given.type} {_secret(given.credentials_file) or secret}"}
        return {}

    async def _fetched(
        self, session: aiohttp.ClientSession, target: Target, headers: Mapping[str, str]
    ) -> tuple[bytes, str]:
        asked = {
            "Accept": ACCEPT,
            "X-Prometheus-Scrape-Timeout-Seconds": f"{target.timeout_seconds:g}",
            **headers,
        }
        max_bytes = self._job.body_size_limit or _DEFAULT_BODY_BYTES
        timeout = aiohttp.ClientTimeout(total=target.timeout_seconds)
        try:
            async with session.get(
                URL(target.url, encoded=True),
                headers=asked,
                timeout=timeout,
                server_hostname=self._job.tls_config.server_name,
            ) as answer:
                if answer.status != 200:  # noqa: PLR2004  the only one with samples
                    raise ScrapeError("status", f"answered with {answer.status}")
                body = bytearray()
                async for chunk in answer.content.iter_any():
                    body += chunk
                    if len(body) > max_bytes:
                        raise ScrapeError("body-size-limit", f"the answer is larger than {max_bytes} bytes")
                return bytes(body), answer.content_type
        except TimeoutError as error:
            raise ScrapeError("timeout", f"no whole answer within {target.timeout_seconds:g} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise ScrapeError("unreachable", f"no answer: {error!r}"[:300]) from error


def _secret(path: Path | None) -> str:
    return path.read_text().strip() if path else ""


def _context(job: ScrapeJob) -> ssl.SSLContext:
    tls = job.tls_config
    try:
        context = ssl.create_default_context(cafile=tls.ca_file)
        if tls.cert_file:
            context.load_cert_chain(tls.cert_file, tls.key_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"job {job.job_name}: tls_config: {error}") from error
    if tls.insecure_skip_verify:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
