"""Paths and query parameters of the Kubernetes API, read into one request."""

from collections.abc import Mapping
from dataclasses import dataclass

from abdrift.simulation import errors, selectors
from abdrift.simulation.apiserver import Options, Target
from abdrift.simulation.kinds import Kind, Kinds
from abdrift.simulation.lists import Selection
from abdrift.simulation.watches import WatchOptions

_WRITES = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


@dataclass(frozen=True, slots=True)
class Route:
    """What a path names: a kind, perhaps a namespace, a name, a subresource."""

    kind: Kind
    namespace: str = ""
    name: str = ""
    subresource: str = ""

    def verb(self, method: str, *, watching: bool) -> str:
        """Give the verb that authorization is asked for."""
        if method in _WRITES:
            return _WRITES[method]
        if watching:
            return "watch"
        return "get" if self.name else "list"

    def target(self) -> Target:
        """As the target of a write."""
        return Target(self.kind, self.namespace, self.name, self.subresource)


def parse(kinds: Kinds, path: str) -> Route | None:
    """Give the route of `/api/v1/…` or `/apis/group/version/…`, None for what names no served kind."""
    parts = [part for part in path.split("/") if part]
    if parts[:1] == ["api"]:
        group, rest = "", parts[1:]
    elif parts[:1] == ["apis"] and len(parts) > 1:
        group, rest = parts[1], parts[2:]
    else:
        return None
    if len(rest) < 2:  # noqa: PLR2004  a version and a resource
        return None
    version, rest = rest[0], rest[1:]
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("status", "finalize"):  # noqa: PLR2004
        namespace, rest = rest[1], rest[2:]
    kind = kinds.at(group, version, rest[0])
    if kind is None or len(rest) > 3:  # noqa: PLR2004  resource, name, subresource
        return None
    name, subresource = (*rest[1:], "", "")[:2]
    if (subresource == "status" and not kind.status) or (subresource == "scale" and not kind.scale):
        return None
    return Route(kind, namespace, name, subresource) if subresource in ("", "status", "scale") else None


def _true(text: str | None) -> bool:
    return text in ("1", "true", "True")


def is_watch(query: Mapping[str, str]) -> bool:
    """Whether a GET on a collection is a watch."""
    return _true(query.get("watch"))


def selection(route: Route, query: Mapping[str, str], accept: str) -> Selection:
    """Give the selection of a list or watch. Raises ApiError 400 on a selector that cannot be read."""
    fields = query.get("fieldSelector", "")
    if route.name:
        fields = ",".join(filter(None, (fields, f"metadata.name={route.name}")))
    matches = selectors.parse(query.get("labelSelector", ""), fields)
    return Selection(route.kind, route.namespace, matches, metadata_only="as=PartialObjectMetadata" in accept)


def number(query: Mapping[str, str], name: str, default: int = 0) -> int:
    """Give an integer parameter. Raises ApiError 400."""
    text = query.get(name) or str(default)
    try:
        return int(text)
    except ValueError:
        raise errors.bad_request(f"invalid {name}: {text!r}") from None


def watch_options(query: Mapping[str, str], bookmark_seconds: float) -> WatchOptions:
    """How a watch was asked for. Raises ApiError 400."""
    return WatchOptions(
        version=number(query, "resourceVersion"),
        bookmarks=_true(query.get("allowWatchBookmarks")),
        initial_events=_true(query.get("sendInitialEvents")),
        timeout_seconds=float(number(query, "timeoutSeconds", 1_800)),
        bookmark_seconds=bookmark_seconds,
    )


def write_options(query: Mapping[str, str], user_agent: str) -> Options:
    """How a write is made; without `fieldManager` the manager is the User-Agent up to its first slash."""
    manager = query.get("fieldManager") or user_agent.partition("/")[0] or "unknown"
    return Options(manager[:128], force=_true(query.get("force")), dry_run=query.get("dryRun") == "All")
