"""What lies between a cluster and its alerts: an exporter, Prometheus, Alertmanager and `abdrift receive`."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.collectors.receiving.process import receiver
from tests.collectors.receiving.receiving import TOKEN, TOKEN_SHA256
from tests.parts import monitoring
from tests.parts.guard import Guard
from tests.parts.loopback import HOST, Ports

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.e2e.apps import App
    from tests.e2e.stack import Stack

REPLICAS = "kube_deployment_spec_replicas"
RULES = {
    "groups": [
        {
            "name": "workloads",
            "rules": [
                {
                    "alert": "TooManyReplicas",
                    # A scrape that takes too long on a busy machine would end the alert.
                    "expr": f"last_over_time({REPLICAS}[1m]) > 2",
                    "labels": {"severity": "page"},
                    "annotations": {"summary": "{{ $labels.deployment }} wants {{ $value }} replicas"},
                }
            ],
        }
    ]
}


@asynccontextmanager
async def alerting(stack: Stack, app: App, folder: Path) -> AsyncIterator[None]:
    """Watch an application's Deployment and tell the pipeline of alerts about it, until left."""
    ports, guard = Ports(), Guard()
    kafka = stack.pipeline.kafka.bootstrap_servers
    async with AsyncExitStack() as parts:
        parts.callback(guard.close)
        exporter = await parts.enter_async_context(_exporting(app))
        client = {"name": "monitoring", "clusters": [app.site.cluster], "bearer_sha256": TOKEN_SHA256}
        receives = receiver(folder, ports, guard, kafka, clients=[client], handlers={"alertmanager": {}})
        manager = monitoring.alertmanager(folder, ports, guard, _routing(receives.url))
        prometheus = monitoring.prometheus(folder, ports, guard, _scraping(app, folder, exporter, manager.url))
        programs = (receives.part, manager.part, prometheus.part)
        for program in programs:
            parts.push_async_callback(asyncio.to_thread, program.stop)
            program.launch()
        for program in programs:
            await asyncio.to_thread(program.wait_ready)
        yield


def _routing(receiver_url: str) -> dict[str, Any]:
    webhook = {"url": f"{receiver_url}/alertmanager", "http_config": {"authorization": {"credentials": TOKEN}}}
    in_a_hurry = {"group_wait": "0s", "group_interval": "1s", "repeat_interval": "2s"}
    return {
        "route": {"receiver": "abdrift", "group_by": ["cluster", "namespace"], **in_a_hurry},
        "receivers": [{"name": "abdrift", "webhook_configs": [webhook]}],
    }


def _scraping(app: App, folder: Path, exporter: str, manager_url: str) -> dict[str, Any]:
    rules = folder / "rules.json"
    rules.write_text(json.dumps(RULES))  # which is YAML too
    return {
        "global": {
            "scrape_interval": "500ms",
            "scrape_timeout": "500ms",
            "evaluation_interval": "500ms",
            "external_labels": {"cluster": app.site.cluster},
        },
        "rule_files": [str(rules)],
        "scrape_configs": [{"job_name": "state", "static_configs": [{"targets": [exporter]}]}],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [manager_url.removeprefix("http://")]}]}]},
    }


@asynccontextmanager
async def _exporting(app: App) -> AsyncIterator[str]:
    """Serve what the cluster's Deployment is, as kube-state-metrics does; yields the target."""

    async def metrics(_: web.BaseRequest) -> web.Response:
        deployment = await app.site.admin.get(app.web)
        labels = f'namespace="{app.namespace}",deployment="{app.web.name}"'
        return web.Response(text=f"{REPLICAS}{{{labels}}} {deployment['spec']['replicas']}\n")

    runner = web.ServerRunner(web.Server(metrics))
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, 0).start()
        yield f"{HOST}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
