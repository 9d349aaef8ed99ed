"""What long-running commands share: logging, metrics, a graceful stop, and the word that they are ready."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Coroutine
from typing import Annotated, Any

import typer
from prometheus_client import start_http_server

MetricsOption = Annotated[
    str | None,
    typer.Option("--metrics", help="Serve Prometheus metrics at HOST:PORT.", envvar="ABDRIFT_METRICS"),
]
LogLevelOption = Annotated[str, typer.Option("--log-level", help="debug, info, warning or error.")]


def prepare(log_level: str, metrics: str | None) -> None:
    """Set up logging and, where asked for, the metrics endpoint.

    Raises:
        typer.BadParameter: an option cannot be used.

    """
    level = logging.getLevelNamesMapping().get(log_level.upper())
    if level is None:
        raise typer.BadParameter(f"no level {log_level!r}", param_hint="--log-level")
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for chatty in ("aiokafka", "asyncio"):
        logging.getLogger(chatty).setLevel(max(level, logging.WARNING))
    if metrics:
        host, port = host_and_port(metrics, "--metrics")
        try:
            start_http_server(port, host)
        except OSError as error:
            raise typer.BadParameter(f"{metrics}: {error.strerror}; choose another", param_hint="--metrics") from error


def host_and_port(address: str, option: str) -> tuple[str, int]:
    """Return the host, of this machine by default, and the port of HOST:PORT.

    Raises:
        typer.BadParameter: it is none; the option is named.

    """
    host, _, port = address.rpartition(":")
    if not port.isdigit():
        raise typer.BadParameter(f"{address!r} is not HOST:PORT", param_hint=option)
    return host or "127.0.0.1", int(port)


def run_until_stopped(work: Coroutine[Any, Any, None]) -> None:
    """Run until it ends or SIGTERM or SIGINT cancels it; cancelled is a graceful end."""

    async def guarded() -> None:
        task = asyncio.create_task(work)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, task.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(guarded())


@contextlib.asynccontextmanager
async def beside(*works: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run works while inside; the first error of one ends the body and is raised in its place."""
    body = asyncio.current_task()
    assert body, "runs in a task"
    together = asyncio.gather(*works)
    together.add_done_callback(lambda done: None if done.cancelled() or not done.exception() else body.cancel())
    try:
        yield
    except asyncio.CancelledError:
        if together.done() and not together.cancelled() and (error := together.exception()):
            raise error from None
        raise
    finally:
        together.cancel()
        # What ended the body has been raised; what comes up while the rest is cancelled is of no use any more.
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await together
