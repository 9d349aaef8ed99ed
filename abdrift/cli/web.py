"""`abdrift web`: the fleet as a live map in a browser."""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

import typer

from abdrift import configuration
from abdrift.cli.configured import ExampleOption
from abdrift.cli.kafka import with_kafka
from abdrift.cli.service import LogLevelOption, beside, prepare, run_until_stopped
from abdrift.configuration import ConfigurationError
from abdrift.kafka import KafkaSettings
from abdrift.processes import tell_ready
from sinks.web import Model, Server, Source, WebConfig

log = logging.getLogger(__name__)

EXAMPLE = """\
# abdrift web --config web.yaml --kafka kafka:9092
listen: 0.0.0.0:8490
names: [abdrift.example.com]      # by which browsers reach it; any IP address and localhost need no mention

# tls:                            # without it, put a proxy in front: passwords go in the clear
#   certificate: /etc/abdrift/tls/tls.crt
#   key: /etc/abdrift/tls/tls.key
#   client_ca: /etc/abdrift/tls/ca.crt
#   require_client_certificate: false

viewers:                          # who may look; each proves who it is by one of the ways shown
  - name: on-call
    basic: {username: on-call, password_sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08}
  - name: a-program               # printf %s "$TOKEN" | sha256sum
    bearer_sha256: 60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752
  # - name: prometheus            # for /metrics
  #   bearer_file: /etc/abdrift/viewers/prometheus.token
# open_to_all: true               # instead of viewers: everyone who reaches it sees the fleet

browsers: 64                      # that are told of changes at a time
batch_seconds: 0.1
write_seconds: 30                 # a browser that takes nothing for so long is let go
history_hours: 24                 # how far back commands and decisions are shown
"""


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("web")(with_kafka(web))


def web(
    kafka: KafkaSettings,
    listen: Annotated[
        str | None, typer.Option(help="HOST:PORT to serve the page at.", show_default=WebConfig().listen)
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option(help="A host name by which browsers reach it; localhost and IP addresses need no mention."),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="Who may look, TLS and limits; --example prints one.")] = None,
    open_to_all: Annotated[
        bool, typer.Option("--open-to-all", help="Show the fleet to everyone who reaches the page.")
    ] = False,
    example: ExampleOption = False,
    log_level: LogLevelOption = "info",
) -> None:
    """Show the fleet in a browser: a live map of every cluster, incidents, and what is off course field by field.

    It only shows: nothing can be changed from there. /healthz, /readyz and /metrics tell of the command itself.
    """
    if example:
        typer.echo(EXAMPLE, nl=False)
        return
    prepare(log_level, None)
    try:
        settings = _settings(config, listen, name, open_to_all=open_to_all)
        run_until_stopped(_run(kafka, settings))
    except ConfigurationError as error:
        raise typer.BadParameter(str(error)) from error


@contextlib.asynccontextmanager
async def serving(kafka: KafkaSettings, settings: WebConfig) -> AsyncIterator[str]:
    """Serve the page while inside; yield its address. Its own trouble ends the body.

    Raises:
        ConfigurationError: the address cannot be had, or a secret or certificate cannot be used.

    """
    model = Model(secrets.token_hex(8))
    source = Source(kafka, model, settings.history_hours)
    server = Server(settings, model, source.panel)
    try:
        await server.__aenter__()
    except OSError as error:
        raise ConfigurationError(
            f"cannot listen at {settings.listen}: {error.strerror or error}; choose another by --listen"
        ) from error
    try:
        async with beside(source.run()):
            yield server.url
    finally:
        await server.__aexit__()


@contextlib.asynccontextmanager
async def page_beside(kafka: KafkaSettings, *, wanted: bool = True) -> AsyncIterator[str]:
    """Serve the page to this machine while inside, beside another command; yield its address, empty if unwanted.

    Where the usual port is taken the system chooses one. The page's own trouble ends the body.
    """
    if not wanted:
        yield ""
        return
    async with contextlib.AsyncExitStack() as stack:
        try:
            url = await stack.enter_async_context(serving(kafka, WebConfig()))
        except ConfigurationError:
            url = await stack.enter_async_context(serving(kafka, WebConfig(listen="127.0.0.1:0")))
        yield url


async def _run(kafka: KafkaSettings, settings: WebConfig) -> None:
    async with serving(kafka, settings) as url:
        tell_ready()
        log.info("the fleet is shown at %s", url)
        await asyncio.Event().wait()


def _settings(config: Path | None, listen: str | None, names: list[str] | None, *, open_to_all: bool) -> WebConfig:
    """Return what the file says, and what the options say in its place."""
    instead: dict[str, Any] = {"listen": listen} if listen else {}
    if names:
        instead["names"] = names
    if open_to_all:
        instead["open_to_all"] = True
    return (
        configuration.load(WebConfig, config, **instead) if config else configuration.section(WebConfig, "web", instead)
    )
