"""The Kubernetes API of many clusters over HTTP: one loopback port, a path prefix for each cluster."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Protocol

import orjson
import yaml
from aiohttp import web

from abdrift.simulation import discovery, errors, lists, routes, watches
from abdrift.simulation.access import Access
from abdrift.simulation.apiserver import ApiServer, scale_of
from abdrift.simulation.bodies import read_body
from abdrift.simulation.errors import ApiError
from abdrift.simulation.objects import Object
from abdrift.simulation.switches import Switches

PREFIX = "/clusters/"
_OPEN_PATHS = frozenset({"/version", "/healthz", "/livez", "/readyz"})
_MAX_BODY_BYTES = 3 * 1024 * 1024


class Served(Protocol):
    """A cluster as far as HTTP needs it."""

    api: ApiServer
    access: Access
    switches: Switches
    bookmark_seconds: float


def json_response(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """Give an answer in JSON."""
    body = value if isinstance(value, bytes) else orjson.dumps(value)
    return web.Response(body=body, status=status, content_type="application/json", headers=headers)


class Frontend:
    """Answers requests for all clusters of a fleet."""

    def __init__(self, clusters: Mapping[str, Served]) -> None:
        self._clusters = clusters
        self.requests = 0
        """Requests that reached any cluster, refused ones too."""

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        if not request.path.startswith(PREFIX):
            return json_response(errors.no_such_path().status(), 404)
        name, _, rest = request.path[len(PREFIX) :].partition("/")
        cluster = self._clusters.get(name)
        if cluster is None:
            return json_response(errors.no_such_path().status(), 404)
        self.requests += 1
        try:
            await _pass_switches(cluster.switches)
            return await _answer(cluster, request, "/" + rest.rstrip("/"))
        except ApiError as error:
            wait = cluster.switches.retry_after_seconds
            headers = {"Retry-After": str(wait)} if wait and error.code in (429, 503) else None
            return json_response(error.status(), error.code, headers)


async def _pass_switches(switches: Switches) -> None:
    """Wait or refuse as the switches say."""
    if switches.silent:
        await switches.heard()
    if switches.delay_seconds:
        await asyncio.sleep(switches.delay_seconds)
    code = switches.take_refusal()
    if code == 429:  # noqa: PLR2004  Too Many Requests
        raise ApiError(code, "TooManyRequests", "the server has received too many requests, please try again later")
    if code:
        raise ApiError(code, "InternalError", "the simulated cluster refuses to answer")


def _user(cluster: Served, request: web.BaseRequest) -> str:
    user = cluster.access.user(request.headers.get("Authorization", ""))
    if user is None or user in cluster.switches.expired_users:
        raise ApiError(401, "Unauthorized", "Unauthorized")
    return user


async def _answer(cluster: Served, request: web.BaseRequest, path: str) -> web.StreamResponse:
    if path in _OPEN_PATHS:
        return json_response(discovery.VERSION) if path == "/version" else web.Response(text="ok")
    user = _user(cluster, request)
    described = _discovery(cluster, request, path)
    if described is not None:
        return described
    if path.startswith("/apis/authorization.k8s.io/") and request.method == "POST":
        return json_response(_access_review(cluster, user, await _body(request)), 201)
    route = routes.parse(cluster.api.kinds, path)
    if route is None:
        raise errors.no_such_path()
    watching = request.method == "GET" and routes.is_watch(request.query)
    verb = route.verb(request.method, watching=watching)
    if not cluster.access.allows(user, verb, route.kind.plural):
        raise errors.forbidden(user, verb, route.kind, route.namespace, route.name)
    if watching:
        return await _watch(cluster, request, route)
    if request.method == "GET":
        return json_response(_read(cluster, request, route))
    return await _write(cluster, request, route)


def _discovery(cluster: Served, request: web.BaseRequest, path: str) -> web.Response | None:
    kinds, parts = cluster.api.kinds, [part for part in path.split("/") if part]
    if parts in (["api"], ["apis"]):
        if "as=APIGroupDiscoveryList" in request.headers.get("Accept", ""):
            body = orjson.dumps(discovery.aggregated(kinds, core=parts == ["api"]))
            return web.Response(body=body, headers={"Content-Type": discovery.AGGREGATED})
        if parts == ["api"]:
            return json_response({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})
        return json_response(discovery.group_list(kinds))
    found = None
    if parts == ["api", "v1"]:
        found = discovery.resources(kinds, "", "v1")
    elif len(parts) == 3 and parts[0] == "apis":  # noqa: PLR2004  apis, group, version
        found = discovery.resources(kinds, parts[1], parts[2])
    return json_response(found) if found is not None else None


def _access_review(cluster: Served, user: str, body: Any) -> Object:
    asked = (body.get("spec") or {}).get("resourceAttributes") or {}
    allowed = cluster.access.allows(user, asked.get("verb", ""), asked.get("resource", ""))
    return {**body, "status": {"allowed": allowed}}


def _read(cluster: Served, request: web.BaseRequest, route: routes.Route) -> bytes:
    if route.name:
        found = cluster.api.get(route.kind, route.namespace, route.name)
        if route.subresource == "scale":
            found = scale_of(found)
        return orjson.dumps(found)
    query = request.query
    selection = routes.selection(route, query, request.headers.get("Accept", ""))
    return lists.page(cluster.api.store, selection, routes.number(query, "limit"), query.get("continue", ""))


async def _watch(cluster: Served, request: web.BaseRequest, route: routes.Route) -> web.StreamResponse:
    store, switches = cluster.api.store, cluster.switches
    selection = routes.selection(route, request.query, request.headers.get("Accept", ""))
    options = routes.watch_options(request.query, cluster.bookmark_seconds)
    oldest = store.oldest_version(route.kind)
    too_old = 0 < options.version < oldest
    if too_old and switches.gone_as_status:
        raise errors.expired(options.version, oldest)
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.enable_chunked_encoding()
    await response.prepare(request)
    if too_old:
        await response.write(watches.expired_event(options.version, oldest))
        return response
    lines = watches.watch(store, selection, options, switches)
    # A client that hangs up is no fault of the server's.
    with contextlib.suppress(ConnectionResetError):
        async with contextlib.aclosing(lines):
            await _send(response, lines)
    return response


async def _send(response: web.StreamResponse, lines: AsyncGenerator[bytes]) -> None:
    async for line in lines:
        await response.write(line)


async def _body(request: web.BaseRequest) -> Any:
    raw = await read_body(request, _MAX_BODY_BYTES)
    if raw is None:
        raise ApiError(413, "RequestEntityTooLarge", f"limit is {_MAX_BODY_BYTES}")
    if not raw:
        return {}
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        try:
            return yaml.safe_load(raw)
        except yaml.YAMLError as error:
            raise errors.bad_request(error) from error


async def _write(cluster: Served, request: web.BaseRequest, route: routes.Route) -> web.Response:
    body = await _body(request)
    api, target = cluster.api, route.target()
    options = routes.write_options(request.query, request.headers.get("User-Agent", ""))
    if request.method == "POST":
        if not isinstance(body, dict):
            raise errors.bad_request("the body must be an object")
        return json_response(api.create(route.kind, route.namespace, body, options), 201)
    if request.method == "PUT":
        return json_response(api.replace(target, body, options))
    if request.method == "PATCH":
        media_type = request.headers.get("Content-Type", "").partition(";")[0].strip()
        existed = api.find(route.kind, route.namespace, route.name) is not None
        return json_response(api.patch(target, media_type, body, options), 200 if existed else 201)
    if request.method == "DELETE" and route.name:
        gone = api.delete(target, options)
        details = {
            "name": route.name,
            "group": route.kind.group,
            "kind": route.kind.plural,
            "uid": gone["metadata"]["uid"],
        }
        return json_response(
            {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
        )
    raise ApiError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
