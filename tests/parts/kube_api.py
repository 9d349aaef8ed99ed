"""A small Kubernetes client for tests: one user's view, every verb, no cache, nothing of Abdrift in it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

import aiohttp
import yaml

from tests.parts.discovery import Discovery, Object, Ref
from tests.parts.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from tests.parts.credentials import Credentials

# Named, since inside the class `list` is the verb.
Objects = list[Object]
PatchType = Literal["merge", "json", "strategic"]
CONTENT_TYPES: Mapping[PatchType, str] = {
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
    "strategic": "application/strategic-merge-patch+json",
}
APPLY_CONTENT_TYPE = "application/apply-patch+yaml"
REQUEST_TIMEOUT = aiohttp.ClientTimeout(total=60)
WATCH_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=10)
# Others refer to these, so they are created first.
FIRST_KINDS = ("CustomResourceDefinition", "Namespace")
NOT_FOUND, GONE = 404, 410


class ApiError(Exception):
    """The API server refused: `code` and `reason` as its Status says, `status` the whole of it."""

    def __init__(self, status: Object) -> None:
        self.code = int(status.get("code", 0))
        self.reason = str(status.get("reason", ""))
        self.status = status
        super().__init__(f"{self.code} {self.reason}: {status.get('message', '')}")


@dataclass(frozen=True)
class WatchEvent:
    """One line of a watch: `type` is ADDED, MODIFIED, DELETED or BOOKMARK."""

    type: str
    object: Object


class KubeApi:
    """One user's client; `async with` it in the event loop that uses it.

    Every method raises `ApiError` when the server answers with a failure, and `aiohttp.ClientError` when it doesn't
    answer. `field_manager` defaults to the user's name, as an edit's owner shows in `managedFields`.
    """

    def __init__(self, credentials: Credentials) -> None:
        self.credentials = credentials
        self._session: aiohttp.ClientSession | None = None
        self._discovery = Discovery(self._get_json)

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            self.credentials.server,
            connector=aiohttp.TCPConnector(ssl=self.credentials.tls(), limit=100),
            headers={"Authorization": f"Bearer {self.credentials.token}"},
            timeout=REQUEST_TIMEOUT,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._session is not None
        await self._session.close()

    async def get(self, ref: Ref) -> Object:
        """Return the object."""
        return await self._request("GET", await self._path(ref))

    async def find(self, ref: Ref) -> Object | None:
        """Return the object, or None where there is none."""
        try:
            return await self.get(ref)
        except ApiError as error:
            if error.code == NOT_FOUND:
                return None
            raise

    async def list(
        self, api_version: str, kind: str, namespace: str | None = None, label_selector: str | None = None
    ) -> Objects:
        """Return all objects of a kind, in one namespace or in all, each with `apiVersion` and `kind` filled in."""
        resource = await self._discovery.resource(api_version, kind)
        query = {"labelSelector": label_selector} if label_selector else {}
        answer = await self._request("GET", resource.path(namespace), query=query)
        return [{"apiVersion": api_version, "kind": kind, **item} for item in answer["items"]]

    async def create(self, obj: Object, *, field_manager: str | None = None) -> Object:
        """Create `obj` and return it as stored."""
        resource = await self._discovery.resource(obj["apiVersion"], obj["kind"])
        path = resource.path(obj["metadata"].get("namespace"))
        return await self._request("POST", path, body=obj, query=self._manager(field_manager))

    async def replace(self, obj: Object, *, field_manager: str | None = None) -> Object:
        """Write the whole of `obj` over what is there (PUT) and return it as stored."""
        path = await self._path(Ref.of(obj))
        return await self._request("PUT", path, body=obj, query=self._manager(field_manager))

    async def apply(self, obj: Object, *, field_manager: str | None = None, force: bool = True) -> Object:
        """Server-side apply `obj` and return it as stored."""
        query = {**self._manager(field_manager), "force": str(force).lower()}
        path = await self._path(Ref.of(obj))
        return await self._request("PATCH", path, body=obj, query=query, content_type=APPLY_CONTENT_TYPE)

    async def patch(
        self,
        ref: Ref,
        body: Object | Objects,
        *,
        patch_type: PatchType = "merge",
        field_manager: str | None = None,
        subresource: str | None = None,
    ) -> Object:
        """Patch an object, or a `subresource` of it such as `scale` or `status`, and return it as stored."""
        return await self._request(
            "PATCH",
            await self._path(ref, subresource),
            body=body,
            query=self._manager(field_manager),
            content_type=CONTENT_TYPES[patch_type],
        )

    async def delete(self, ref: Ref, *, propagation: str = "Background") -> None:
        """Delete an object. It may live on until its finalizers are done."""
        await self._request("DELETE", await self._path(ref), body={"propagationPolicy": propagation})

    async def watch(
        self,
        api_version: str,
        kind: str,
        namespace: str | None = None,
        *,
        resource_version: str = "",
        timeout_seconds: int = 600,
    ) -> AsyncIterator[WatchEvent]:
        """Yield what happens to a kind's objects until the server ends the watch.

        Without a `resource_version` it begins with an ADDED for each object there is. A version too old raises
        `ApiError` with code 410.
        """
        resource = await self._discovery.resource(api_version, kind)
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(timeout_seconds),
        }
        assert self._session is not None, "use `async with`"
        async with self._session.get(resource.path(namespace), params=query, timeout=WATCH_TIMEOUT) as response:
            await _raise_for_failure(response)
            async for line in _lines(response.content):
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise ApiError(event["object"])
                yield WatchEvent(event["type"], event["object"])

    async def create_token(self, namespace: str, service_account: str, expiration_seconds: int = 3600) -> str:
        """Return a new token of a ServiceAccount (a TokenRequest; the server's least is 600 s)."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{service_account}/token"
        request = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": expiration_seconds},
        }
        return str((await self._request("POST", path, body=request))["status"]["token"])

    async def apply_yaml(self, source: Path | str, *, field_manager: str | None = None) -> Objects:
        """Apply every document of a file, a folder's `*.yaml` files, or YAML text; return them as stored.

        CRDs and Namespaces go first, whatever their place, and CRDs are waited for until they are served.
        """
        objects = sorted(_documents(source), key=lambda obj: obj["kind"] not in FIRST_KINDS)
        stored = []
        for first in (True, False):
            batch = [obj for obj in objects if (obj["kind"] in FIRST_KINDS) is first]
            applied = [await self.apply(obj, field_manager=field_manager) for obj in batch]
            for crd in applied:
                if crd["kind"] == "CustomResourceDefinition":
                    await self._established(Ref.of(crd))
            stored += applied
        return stored

    async def _established(self, crd: Ref) -> None:
        async def is_established() -> bool:
            conditions = (await self.get(crd)).get("status", {}).get("conditions")  # null at first
            return any(c["type"] == "Established" and c["status"] == "True" for c in conditions or ())

        await until(is_established, f"CRD {crd.name} is established")

    async def _path(self, ref: Ref, subresource: str | None = None) -> str:
        resource = await self._discovery.resource(ref.api_version, ref.kind)
        return resource.path(ref.namespace, ref.name, subresource)

    def _manager(self, field_manager: str | None) -> dict[str, str]:
        return {"fieldManager": field_manager or self.credentials.user}

    async def _get_json(self, path: str) -> Object:
        return await self._request("GET", path)

    async def _request(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Object:
        assert self._session is not None, "use `async with`"
        data = None if body is None else json.dumps(body)
        headers = {} if body is None else {"Content-Type": content_type}
        async with self._session.request(method, path, data=data, params=query, headers=headers) as response:
            await _raise_for_failure(response)
            answer: Object = await response.json()
            return answer


async def _raise_for_failure(response: aiohttp.ClientResponse) -> None:
    if response.ok:
        return
    text = await response.text()
    try:
        status = json.loads(text)
    except ValueError:  # what comes before the API proper answers in plain text
        status = {"code": response.status, "reason": response.reason, "message": text}
    raise ApiError(status)


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Split at line ends, however long a line is; the reader's own `readline` has a limit."""
    rest = b""
    async for chunk in content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line


def _documents(source: Path | str) -> list[Object]:
    if isinstance(source, str):
        texts = [source]
    elif source.is_dir():
        texts = [file.read_text() for file in sorted(source.glob("*.yaml"))]
    else:
        texts = [source.read_text()]
    return [document for text in texts for document in yaml.safe_load_all(text) if document]
