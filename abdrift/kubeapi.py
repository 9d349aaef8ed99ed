"""How any part of Abdrift reaches a Kubernetes API server: credentials from a kubeconfig or the Pod, then plain HTTP.

The `kubernetes` package reads kubeconfigs, runs exec plugins and rereads rotating tokens; requests go over aiohttp, so
that answers can be read as they stream and never as generated model classes.
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import aiohttp
import orjson
from kubernetes.client import Configuration
from kubernetes.config import ConfigException, load_incluster_config, load_kube_config
from yaml import YAMLError

MERGE_PATCH = "application/merge-patch+json"


class KubeConfigError(ValueError):
    """A kubeconfig that cannot be used; the message says what to do."""


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

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self.server = str(configuration.host).rstrip("/")
        self.ssl = _ssl_context(configuration) if self.server.startswith("https") else None

    def headers(self) -> dict[str, str]:
        """Return the authorization header, refreshed by the exec plugin or token file where it has expired."""
        value = self._configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
        return {"Authorization": value} if value else {}

    @classmethod
    def load(cls, kubeconfig: Path | None, context: str | None = None) -> "Credentials":
        """Load a kubeconfig file, or the Pod's ServiceAccount where none is given.

        Raises:
            KubeConfigError: it is missing or unusable.

        """
        configuration = Configuration()
        try:
            if kubeconfig is None:
                load_incluster_config(client_configuration=configuration)
            else:
                load_kube_config(str(kubeconfig), context=context, client_configuration=configuration)
            return cls(configuration)
        # The package checks little: a file of another shape ends in whatever its first use raises.
        except (ConfigException, OSError, ValueError, TypeError, AttributeError, YAMLError) as error:
            where = f"kubeconfig {kubeconfig}" if kubeconfig else "in-cluster ServiceAccount"
            raise KubeConfigError(f"{where}: {error}. Name one with --kubeconfig, or run inside a Pod.") from error


def _ssl_context(configuration: Configuration) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, configuration.key_file)
    return context


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
