"""How any part of Abdrift reaches a Kubernetes API server: plain HTTP under the credentials of `abdrift.kubeconfig`.

Requests go over aiohttp, so that answers can be read as they stream and never as generated model classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import aiohttp
import orjson

from abdrift import kubeconfig
from abdrift.kubeconfig import Access, KubeConfigError

MERGE_PATCH = "application/merge-patch+json"


class KubeApiError(Exception):
    """An answer other than 2xx, as the API server explained it, or one that is no JSON object."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind as the API serves it."""

    group: str
    version: str
    plural: str
    namespaced: bool = True

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """Return the URL path of the collection or of one object."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        scope = f"/namespaces/{quote(namespace, safe='')}" if self.namespaced and namespace else ""
        tail = "".join(f"/{quote(part, safe='')}" for part in (name, subresource) if part)
        return f"{root}{scope}/{self.plural}{tail}"


class Credentials:
    """Where the API server is and how to speak to it. Tokens are asked for anew with each request."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self.server = access.server
        self.ssl = access.ssl
        self.server_hostname = access.server_hostname
        self.blocking = access.blocking
        """Whether `headers` may take long: it runs a program."""

    def headers(self) -> dict[str, str]:
        """Return the authorization header, refreshed by the exec plugin or token file where it has expired."""
        value = self._access.authorization()
        return {"Authorization": value} if value else {}

    @classmethod
    def load(cls, path: Path | None, context: str | None = None) -> "Credentials":
        """Load a kubeconfig file, or the Pod's ServiceAccount where none is given.

        Raises:
            KubeConfigError: it is missing or unusable.

        """
        try:
            return cls(kubeconfig.load(path, context) if path else kubeconfig.in_cluster())
        except KubeConfigError as error:
            where = f"kubeconfig {path}" if path else "in-cluster ServiceAccount"
            raise KubeConfigError(f"{where}: {error}. Name one with --kubeconfig, or run inside a Pod.") from error

    @classmethod
    def embedded(cls, raw: bytes) -> "Credentials":
        """Read a kubeconfig that is no file and holds all that it needs, such as a Secret's value.

        Raises:
            KubeConfigError: it is unusable.

        """
        return cls(kubeconfig.embedded(raw))


class KubeApi:
    """JSON requests to one API server. Use as an async context manager."""

    def __init__(self, credentials: Credentials, *, user_agent: str, timeout_seconds: float = 15) -> None:
        self.credentials = credentials
        self._user_agent = user_agent
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self.credentials.ssl or True),
            headers={"User-Agent": self._user_agent},
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session:
            await self._session.close()

    async def get(self, path: str, **query: str) -> dict[str, Any]:
        """Return the object or list at a path.

        Raises:
            KubeApiError: the server refused.
            aiohttp.ClientError, TimeoutError: it could not be reached.

        """
        return await self._request("GET", path, query)

    async def merge_patch(self, path: str, patch: Mapping[str, Any], *, field_manager: str) -> dict[str, Any]:
        """Apply a JSON merge patch and return the new object. Raises as `get` does."""
        return await self._request("PATCH", path, {"fieldManager": field_manager}, patch)

    async def _request(
        self, method: str, path: str, query: Mapping[str, str], body: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        assert self._session, "use KubeApi as an async context manager"
        headers = self.credentials.headers() | {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = MERGE_PATCH
        async with self._session.request(
            method,
            self.credentials.server + path,
            params=query,
            data=orjson.dumps(body) if body is not None else None,
            headers=headers,
            timeout=self._timeout,
            server_hostname=self.credentials.server_hostname,
        ) as answer:
            return _parsed(answer.status, await answer.read())


def _parsed(status: int, body: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(body) if body else {}
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        # A proxy or a login page answers in the API server's place, with any status.
        raise KubeApiError(status, "NotJSON", body[:200].decode(errors="replace"))
    if 200 <= status < 300:  # noqa: PLR2004  HTTP success
        return value
    raise KubeApiError(status, str(value.get("reason", "")), str(value.get("message", "")))
