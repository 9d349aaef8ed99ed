"""Paths, credentials and answers of the Kubernetes API, against a real HTTP server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest
from aiohttp import web

from abdrift.kubeapi import Credentials, KubeApi, KubeApiError, Resource
from abdrift.kubeconfig import KubeConfigError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

DEPLOYMENTS = Resource("apps", "v1", "deployments")
NODES = Resource("", "v1", "nodes", namespaced=False)

PATHS = [
    pytest.param(DEPLOYMENTS.path(), "/apis/apps/v1/deployments", id="all-namespaces"),
    pytest.param(DEPLOYMENTS.path("shop"), "/apis/apps/v1/namespaces/shop/deployments", id="a-namespace"),
    pytest.param(
        DEPLOYMENTS.path("shop", "web", "scale"),
        "/apis/apps/v1/namespaces/shop/deployments/web/scale",
        id="subresource",
    ),
    pytest.param(NODES.path("shop", "n1"), "/api/v1/nodes/n1", id="cluster-scoped"),
    pytest.param(NODES.path(None, "../../secrets"), "/api/v1/nodes/..%2F..%2Fsecrets", id="a-name-stays-one-segment"),
]


@pytest.mark.parametrize(("path", "expected"), PATHS)
def test_paths(path: str, expected: str) -> None:
    assert path == expected


def kubeconfig(path: Path, server: str) -> Path:
    """Write a kubeconfig with a token."""
    path.write_bytes(
        orjson.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "c",
                "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
                "clusters": [{"name": "c", "cluster": {"server": server}}],
                "users": [{"name": "u", "user": {"token": "t0ken"}}],
            }
        )
    )
    return path


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[KubeApi]:
    """A client of a server that echoes requests, or answers as the path says."""

    async def answer(request: web.Request) -> web.Response:
        if request.path.startswith("/answer/"):
            _, _, status, body = request.path.split("/", 3)
            return web.Response(status=int(status), body=body.encode())
        return web.json_response(
            {
                "method": request.method,
                "path": request.raw_path,
                "headers": dict(request.headers),
                "body": (await request.read()).decode(),
            }
        )

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    async with KubeApi(
        Credentials.load(kubeconfig(tmp_path / "config", f"http://{host}:{port}/")), user_agent="abdrift-test"
    ) as client:
        yield client
    await runner.cleanup()


async def test_a_request_carries_token_agent_and_query(api: KubeApi) -> None:
    seen = await api.get(DEPLOYMENTS.path("shop"), limit="5")
    assert seen["path"] == "/apis/apps/v1/namespaces/shop/deployments?limit=5"
    assert seen["headers"]["Authorization"] == "Bearer t0ken"
    assert seen["headers"]["User-Agent"] == "abdrift-test"


async def test_a_merge_patch_names_its_manager(api: KubeApi) -> None:
    seen = await api.merge_patch(NODES.path(None, "n1"), {"spec": None}, field_manager="abdrift")
    assert (seen["method"], seen["path"]) == ("PATCH", "/api/v1/nodes/n1?fieldManager=abdrift")
    assert seen["headers"]["Content-Type"] == "application/merge-patch+json"
    assert seen["body"] == '{"spec":null}'


ANSWERS = [
    pytest.param('/answer/404/{"reason":"NotFound","message":"no such"}', (404, "NotFound", "no such"), id="refused"),
    pytest.param("/answer/502/<html>", (502, "NotJSON", "<html>"), id="a-proxy-in-between"),
    pytest.param("/answer/200/<html>", (200, "NotJSON", "<html>"), id="a-login-page"),
    pytest.param("/answer/200/[1]", (200, "NotJSON", "[1]"), id="no-object"),
    pytest.param("/answer/500/", (500, "", ""), id="nothing-said"),
]


@pytest.mark.parametrize(("path", "said"), ANSWERS)
async def test_what_is_no_object_of_the_api_is_an_error(path: str, said: tuple[int, str, str], api: KubeApi) -> None:
    with pytest.raises(KubeApiError) as refused:
        await api.get(path)
    assert (refused.value.status, refused.value.reason, refused.value.message) == said


async def test_an_empty_answer_is_an_empty_object(api: KubeApi) -> None:
    assert await api.get("/answer/200/") == {}


@pytest.mark.parametrize(
    "content",
    [None, b"", b"no kubeconfig", b"{}", b"{"],
    ids=["missing", "empty", "no-mapping", "empty-mapping", "no-yaml"],
)
def test_an_unusable_kubeconfig_says_the_way_out(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "config"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(KubeConfigError, match="--kubeconfig"):
        Credentials.load(path)
