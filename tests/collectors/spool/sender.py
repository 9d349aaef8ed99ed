"""An agent's outlet in a process of its own, to be killed: `… BOOTSTRAP TOPIC FOLDER`.

Reads numbers from standard input, sends each as a row, and prints it once Kafka or the disk has it.
"""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from abdrift.clock import wall_clock_ms
from abdrift.kafka import KafkaSettings, producer
from abdrift.signals.objects import ObjectRow
from collectors.delivery import Reconnecting
from collectors.epochs import next_epoch
from collectors.framing import Framer, FramerSettings
from collectors.spool import Spool, SpoolingSend
from tests.parts.waiting import until

if TYPE_CHECKING:
    from collectors.lanes import Headers

SOURCE = "kubernetes/edge"


async def sent(spooling: SpoolingSend) -> bool:
    return not spooling.waiting_bytes


async def main(bootstrap: str, topic: str, folder: Path) -> None:
    kafka = partial(producer, KafkaSettings(bootstrap_servers=bootstrap), linger_ms=0)
    async with Reconnecting(kafka) as reached:

        async def aside(_: str, partition: int, key: bytes, value: bytes, headers: Headers) -> None:
            await reached.send(topic, partition, key, value, headers)

        spooling = SpoolingSend(SOURCE, aside, Spool(folder / "spool"), patience_seconds=1)
        runner = asyncio.create_task(spooling.run())
        framer = Framer(SOURCE, next_epoch(SOURCE, folder, wall_clock_ms), spooling, FramerSettings(partitions=1))
        async with framer:
            while line := await asyncio.to_thread(sys.stdin.readline):
                await framer.deliver([ObjectRow(cluster="edge", op="modified", name=line.strip(), observed_ms=1)])
                sys.stdout.write(line)
                sys.stdout.flush()
            await until(partial(sent, spooling), "the disk is sent")
        runner.cancel()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
