"""API servers that misbehave as no simulated cluster does, for the hub's trial, in a process of their own.

`/flood` sends events as fast as they are taken; `/lie` tells versions that go back, are no numbers or are missing, and
forgets each as soon as it has told it. Prints its base URL, and serves until it is killed.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import sys
from typing import Any

import orjson
from aiohttp import web

from abdrift.simulation import discovery
from abdrift.simulation.kinds import Kinds, builtin_kinds

KINDS = Kinds(builtin_kinds())
TEXT = {f"setting-{number:02d}": "x" * 40 for number in range(12)}


async def handle(request: web.BaseRequest) -> web.StreamResponse:
    """Answer as an API server does that has 20 objects of each kind."""
    illness, _, path = request.path.strip("/").partition("/")
    if path in ("api", "apis"):
        body = orjson.dumps(discovery.aggregated(KINDS, core=path == "api"))
        return web.Response(body=body, content_type="application/json")
    if request.query.get("watch"):
        return await (_flood(request) if illness == "flood" else _lie(request))
    if path.endswith("kube-system"):
        return _json(_object("Namespace", "kube-system", 1))
    if path == "version":
        return _json({"gitVersion": "v1.34.4-sick"})
    version = str(random.randrange(10**6)) if illness == "lie" else "1000"
    items = [_object("Thing", f"thing-{number}", random.randrange(10**6)) for number in range(20)]
    return _json({"metadata": {"resourceVersion": version}, "items": items})


async def _flood(request: web.BaseRequest) -> web.StreamResponse:
    answer = web.StreamResponse()
    await answer.prepare(request)
    for version in itertools.count(2_000, 50):
        lines = (_event("MODIFIED", _object("Thing", f"thing-{n % 20}", version + n)) for n in range(50))
        try:
            await answer.write(b"".join(lines))
        except ConnectionError:
            break
    return answer


async def _lie(request: web.BaseRequest) -> web.StreamResponse:
    answer = web.StreamResponse()
    await answer.prepare(request)
    if random.random() < 0.5:
        lies = [_object("Thing", "thing-1", 1), _object("Thing", "thing-2", 7), _object("Thing", "thing-3", 10**9)]
        del lies[0]["metadata"]["resourceVersion"]
        lies[1]["metadata"]["resourceVersion"] = "-soon-"
        await answer.write(b"".join(_event("MODIFIED", lie) for lie in lies))
    gone = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
    await answer.write(_event("ERROR", gone))
    return answer


def _object(kind: str, name: str, version: int) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "shop", "uid": f"uid-{name}", "resourceVersion": str(version)}
    return {"kind": kind, "metadata": metadata, "data": {**TEXT, "version": str(version)}}


def _event(kind: str, obj: dict[str, Any]) -> bytes:
    return orjson.dumps({"type": kind, "object": obj}) + b"\n"


def _json(value: Any) -> web.Response:
    return web.Response(body=orjson.dumps(value), content_type="application/json")


async def serve() -> None:
    """Serve until killed."""
    runner = web.ServerRunner(web.Server(handle), handle_signals=False)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    sys.stdout.write(f"http://{host}:{port}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve())
