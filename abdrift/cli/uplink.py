"""How an agent's frames reach the fleet: straight to Kafka or by a gateway, and over the disk where that is away."""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from abdrift.kafka import KafkaSettings, KafkaUnreachableError, partition_count, producer
from abdrift.topics import OBJECTS
from collectors.delivery import Reconnecting
from collectors.gateway.sending import Gateway, GatewayError
from collectors.lanes import Send, Spooled
from collectors.spool import DailyBudget, Spool, SpoolingSend, SpoolSettings

log = logging.getLogger(__name__)

_LEAST_SPOOL_BYTES = 16 * 1024 * 1024
_ASK_AGAIN_SECONDS = 5.0

SpoolOption = Annotated[
    int,
    typer.Option(
        metavar="BYTES",
        help="Keep up to so many bytes of frames on disk while Kafka is away, and start without it.  [default: off]",
        show_default=False,
    ),
]
BudgetOption = Annotated[
    int | None,
    typer.Option(
        metavar="BYTES",
        help="Send at most about so many bytes a day (UTC), half of them Events; the rest waits on disk.",
    ),
]
GatewayOption = Annotated[
    str | None, typer.Option(metavar="URL", help="Send by `abdrift receive` at this address instead of to Kafka.")
]
GatewayTokenOption = Annotated[Path | None, typer.Option(help="File with the bearer token that the gateway knows.")]
GatewayCaOption = Annotated[Path | None, typer.Option(help="Whom to trust as the gateway.  [default: the system's]")]
GatewayCertOption = Annotated[Path | None, typer.Option(help="This agent's certificate and key, in one PEM file.")]


@dataclass(frozen=True, slots=True)
class UplinkOptions:
    """What a user chose."""

    spool_bytes: int = 0
    budget_bytes: int | None = None
    gateway: str | None = None
    token: Path | None = None
    ca: Path | None = None
    certificate: Path | None = None

    def check(self) -> None:
        """Fail at the start on what cannot be.

        Raises:
            typer.BadParameter: it says what.

        """
        if 0 < self.spool_bytes < _LEAST_SPOOL_BYTES:
            raise typer.BadParameter(f"at least {_LEAST_SPOOL_BYTES}, or 0", param_hint="--spool-bytes")
        if self.budget_bytes is not None and not self.spool_bytes:
            raise typer.BadParameter("what it holds back needs --spool-bytes", param_hint="--budget-bytes")
        if self.gateway is None and (self.token or self.ca or self.certificate):
            raise typer.BadParameter("name the gateway's address", param_hint="--gateway")
        if self.gateway is not None and not self.gateway.startswith(("https://", "http://")):
            raise typer.BadParameter("an address that begins with https://", param_hint="--gateway")


@dataclass(frozen=True, slots=True)
class Uplink:
    """What framers send with."""

    send: Send
    partitions: int
    spooled: Callable[[], Spooled] = Spooled


@contextlib.asynccontextmanager
async def uplink(kafka: KafkaSettings, options: UplinkOptions, directory: Path, source: str) -> AsyncIterator[Uplink]:
    """Yield the way that a user chose.

    Raises:
        KafkaUnreachableError, GatewayError: it is not there, and there is no spool.
        OSError: the spool's folder can't be used, or a file of the gateway's can't be read.

    """
    async with contextlib.AsyncExitStack() as stack:
        if options.gateway is not None:
            way = await stack.enter_async_context(_gateway(options.gateway, options))
            send, ask = way.send, way.partitions
        else:
            reached = await stack.enter_async_context(Reconnecting(partial(producer, kafka, linger_ms=0)))
            send, ask = reached.send, partial(partition_count, kafka, OBJECTS.name)
        if not options.spool_bytes:
            yield Uplink(send, await ask())
            return
        spool = Spool(directory / "spool", SpoolSettings(max_bytes=options.spool_bytes))
        partitions = await _remembered(ask, directory / "partitions")
        budget = DailyBudget(options.budget_bytes, directory / "budget") if options.budget_bytes else None
        spooling = SpoolingSend(source, send, spool, budget=budget)
        runner = asyncio.create_task(spooling.run(), name="spool")
        try:
            yield Uplink(spooling, partitions, spooling.spooled)
        finally:
            runner.cancel()
            await asyncio.gather(runner, return_exceptions=True)


@contextlib.asynccontextmanager
async def _gateway(url: str, options: UplinkOptions) -> AsyncIterator[Gateway]:
    tls = ssl.create_default_context(cafile=options.ca) if options.ca or options.certificate else None
    if tls and options.certificate:
        tls.load_cert_chain(options.certificate)
    token = options.token.read_text().strip() if options.token else None
    async with Gateway(url, tls=tls, token=token) as gateway:
        yield gateway


async def _remembered(ask: Callable[[], Awaitable[int]], path: Path) -> int:
    """Return how many partitions the fleet's topics have: fixed for a topic's version, so an earlier answer holds.

    The first start ever waits for an answer.
    """
    while True:
        try:
            partitions = await ask()
        except (KafkaUnreachableError, GatewayError) as error:
            if (known := _read(path)) is not None:
                log.warning("starting with what an earlier start was told; frames are kept on disk: %s", error)
                return known
            log.warning("asked again in %g s, as this is the first start here: %s", _ASK_AGAIN_SECONDS, error)
            await asyncio.sleep(_ASK_AGAIN_SECONDS)
        else:
            _write(path, partitions)
            return partitions


def _read(path: Path) -> int | None:
    return int(path.read_text()) if path.exists() else None


def _write(path: Path, partitions: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(str(partitions))
