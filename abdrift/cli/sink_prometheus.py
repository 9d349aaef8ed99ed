"""`abdrift sink prometheus`: the fleet as Prometheus series, scraped or written."""

import contextlib
import logging
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

import typer
from aiohttp import web
from prometheus_client import REGISTRY, CollectorRegistry

from abdrift.cli.kafka import with_kafka
from abdrift.cli.service import LogLevelOption, beside, host_and_port, prepare, run_until_stopped
from abdrift.clock import wall_clock_ms
from abdrift.kafka import KafkaSettings
from abdrift.processes import tell_ready
from sinks.prometheus.following import Freshness, follow
from sinks.prometheus.remote_write import Target, send
from sinks.prometheus.series import Limits
from sinks.prometheus.serving import FleetCollector, Pages
from sinks.prometheus.view import View

log = logging.getLogger(__name__)

_LISTEN = "--listen"
_REMOTE_WRITE = "--remote-write"
_PANEL = "Remote write"


def register(group: typer.Typer) -> None:
    """Add the command to `abdrift sink`."""
    group.command("prometheus")(with_kafka(prometheus))


def prometheus(
    kafka: KafkaSettings,
    listen: Annotated[str, typer.Option(_LISTEN, help="Serve /metrics and /healthz at HOST:PORT.")] = "127.0.0.1:9464",
    per_cluster: Annotated[
        bool, typer.Option(help="Series of single clusters: health of each, findings of those that have any.")
    ] = True,
    max_clusters: Annotated[int, typer.Option(min=1, help="Of which there are such series, at most.")] = 10_000,
    max_findings: Annotated[int, typer.Option(min=0, help="Open findings with a series each: the newest.")] = 1_000,
    max_incidents: Annotated[int, typer.Option(min=0, help="Open incidents with series of their own.")] = 100,
    stale_seconds: Annotated[
        float, typer.Option(min=5, help="Nothing is told of the fleet while Kafka has not answered for so long.")
    ] = 60.0,
    remote_write: Annotated[
        str | None, typer.Option(metavar="URL", help="Send the series there too.", rich_help_panel=_PANEL)
    ] = None,
    remote_write_interval_seconds: Annotated[
        float, typer.Option(min=1, help="How often.", rich_help_panel=_PANEL)
    ] = 30.0,
    remote_write_token_file: Annotated[
        Path | None, typer.Option(exists=True, help="Holds a bearer token.", rich_help_panel=_PANEL)
    ] = None,
    remote_write_ca_file: Annotated[
        Path | None, typer.Option(exists=True, help="Authorities to trust, PEM.", rich_help_panel=_PANEL)
    ] = None,
    log_level: LogLevelOption = "info",
) -> None:
    """Tell Prometheus how the fleet is: health, drift, incidents, commands and outcomes."""
    prepare(log_level, None)
    address = host_and_port(listen, _LISTEN)
    limits = Limits(max_clusters if per_cluster else 0, max_findings, max_incidents)
    target = _target(remote_write, remote_write_interval_seconds, remote_write_token_file, remote_write_ca_file)
    freshness = Freshness(round(stale_seconds * 1000), wall_clock_ms)
    run_until_stopped(_run(kafka, address, limits, freshness, target))


def _target(url: str | None, interval_seconds: float, token: Path | None, authorities: Path | None) -> Target | None:
    """Return where to write, if anywhere.

    Raises:
        typer.BadParameter: it is no URL, a file can't be used, or is given for nothing.

    """
    if url is None:
        if token or authorities:
            raise typer.BadParameter("name the URL that the other options are for", param_hint=_REMOTE_WRITE)
        return None
    if not url.startswith(("http://", "https://")):
        raise typer.BadParameter(f"{url!r} is no http:// or https:// URL", param_hint=_REMOTE_WRITE)
    try:
        trusted = ssl.create_default_context(cafile=authorities) if authorities else True
    except OSError as error:
        raise typer.BadParameter(f"{authorities} holds no PEM: {error}", param_hint="--remote-write-ca-file") from error
    return Target(url, interval_seconds, token, trusted)


async def _run(
    kafka: KafkaSettings,
    address: tuple[str, int],
    limits: Limits,
    freshness: Freshness,
    target: Target | None,
) -> None:
    view = View(counted_from_ms=wall_clock_ms())
    fleet = CollectorRegistry()
    fleet.register(FleetCollector(view, freshness, limits, wall_clock_ms))
    # The fleet's first: whether it is told is then said of this very answer.
    registries = (fleet, REGISTRY)
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(_serving(Pages(registries, freshness), address))
        if target:
            await stack.enter_async_context(beside(send(target, registries, wall_clock_ms)))

        def caught_up() -> None:
            log.info("%d clusters, %d open findings", len(view.clusters()), len(view.fleet.findings))
            tell_ready()

        await follow(kafka, view, freshness, wall_clock_ms, caught_up)


@contextlib.asynccontextmanager
async def _serving(pages: Pages, address: tuple[str, int]) -> AsyncIterator[None]:
    runner = web.AppRunner(pages.application(), access_log=None)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, *address).start()
        except OSError as error:
            raise typer.BadParameter(f"cannot listen: {error.strerror}; choose another", param_hint=_LISTEN) from error
        log.info("serving http://%s:%d/metrics", *address)
        yield
    finally:
        await runner.cleanup()
