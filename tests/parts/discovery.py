"""How the API server calls a kind: its path, from discovery."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

Object = dict[str, Any]
"""A Kubernetes object as JSON."""


@dataclass(frozen=True)
class Ref:
    """One object's identity: enough to find it, nothing of what it holds."""

    api_version: str
    kind: str
    name: str
    namespace: str | None = None

    @classmethod
    def of(cls, obj: Object) -> Ref:
        """Return the identity of `obj`, which must have a name."""
        metadata = obj["metadata"]
        return cls(obj["apiVersion"], obj["kind"], metadata["name"], metadata.get("namespace"))


@dataclass(frozen=True)
class Resource:
    """A kind as the API serves it: its plural and whether its objects live in namespaces."""

    api_version: str
    plural: str
    namespaced: bool

    def path(self, namespace: str | None, name: str | None = None, subresource: str | None = None) -> str:
        """Return the URL's path of a collection, an object or an object's subresource."""
        base = "/apis/" if "/" in self.api_version else "/api/"
        inside = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        tail = "".join(f"/{segment}" for segment in (name, subresource) if segment)
        return f"{base}{self.api_version}{inside}/{self.plural}{tail}"


class Discovery:
    """Kinds and their resources, asked for once per group version, and again for a kind that is not known yet."""

    def __init__(self, get_json: Callable[[str], Awaitable[Object]]) -> None:
        self._get_json = get_json
        self._known: dict[tuple[str, str], Resource] = {}

    async def resource(self, api_version: str, kind: str) -> Resource:
        """Return the resource of `kind`. Raises `LookupError` if this server has none, `ApiError` for its group."""
        if (api_version, kind) not in self._known:
            await self._learn(api_version)
        try:
            return self._known[api_version, kind]
        except KeyError:
            raise LookupError(f"the API server has no kind {kind} in {api_version}") from None

    async def _learn(self, api_version: str) -> None:
        prefix = "/apis/" if "/" in api_version else "/api/"
        for entry in (await self._get_json(prefix + api_version))["resources"]:
            if "/" not in entry["name"]:  # those with a slash are subresources
                resource = Resource(api_version, entry["name"], entry["namespaced"])
                self._known[api_version, entry["kind"]] = resource
