"""The limits, as a program: `python -m benchmarks.limits NAME BOOTSTRAP TOPIC ROWS FOLDER ROWS_PER_FRAME SEED`."""

import asyncio
import sys
from typing import Any, Final

from abdrift import frames, kafka
from abdrift.kafka import KafkaSettings
from abdrift.signals.events import EVENTS, columns_of, rows_of
from benchmarks.python.counting import Counting
from benchmarks.workload import Workload, WorkloadSpec

_KEPT_BYTES: Final = 128 << 20
_FETCHED_RECORDS: Final = 32
_END_WAIT_MS: Final = 10
"""The broker answers so soon where a partition's end was reached: waiting there for more is no limit of fetching."""
_COLUMNS: Final = ("cluster", "namespace", "type", "object_kind", "object_name", "count", "last_ms")
"""What the job needs."""
_SOURCE: Final = "kubernetes/bench"


async def fetch_only(counting: Counting, bootstrap_servers: str, topic: str) -> None:
    """Fetch frames, each partition again from its beginning on, and look at nothing but their header of rows."""
    settings = KafkaSettings(bootstrap_servers=bootstrap_servers)
    where = await kafka.partitions(settings, topic)
    async with kafka.consumer(settings, fetch_max_wait_ms=_END_WAIT_MS) as consumer:
        consumer.assign(where)
        ends = await consumer.end_offsets(where)
        await consumer.seek_to_beginning()
        while True:
            fetched = await consumer.getmany(timeout_ms=100, max_records=_FETCHED_RECORDS)
            for at, records in fetched.items():
                if records[-1].offset + 1 >= ends[at]:
                    consumer.seek(at, 0)
            headers = (dict(record.headers) for some in fetched.values() for record in some)
            if counting.add(sum(int(one.get("abdrift-rows", 0)) for one in headers)):
                return


async def decode_only(counting: Counting, bootstrap_servers: str, topic: str) -> None:
    """Decode frames that are in memory already, again and again."""
    kept = await _some(bootstrap_servers, topic)
    while True:
        for record in kept:
            if counting.add(frames.decode(record.value, record.headers, _COLUMNS).rows):
                return


def encode(counting: Counting, workload: Workload) -> None:
    """Make frames from rows as a collector has them: one object a row."""
    made = [frames.encode(EVENTS, workload.columns(workload.rows(frame)), (_SOURCE, 1, 1)) for frame in range(20)]
    rows = [rows_of(frames.decode(frame.value, frame.headers).batch) for frame in made]
    sequence = 0
    while True:
        for of_frame in rows:
            sequence += 1
            if counting.add(frames.encode(EVENTS, columns_of(of_frame), (_SOURCE, 1, sequence)).rows):
                return


async def _some(bootstrap_servers: str, topic: str) -> list[Any]:
    records: list[Any] = []
    async with kafka.consumer(KafkaSettings(bootstrap_servers=bootstrap_servers), topic) as consumer:
        while sum(len(record.value) for record in records) < _KEPT_BYTES:
            fetched = await consumer.getmany(timeout_ms=1_000)
            if not fetched and records:
                break
            # Workers that were idle here have left ticks, which have no value.
            records += [record for some in fetched.values() for record in some if record.value]
    return records


def main() -> None:
    """Run the named limit until it took so many rows."""
    name, bootstrap_servers, topic, rows, folder, rows_per_frame, seed = sys.argv[1:]
    counting = Counting(int(rows), folder)
    match name:
        case "fetch-only":
            asyncio.run(fetch_only(counting, bootstrap_servers, topic))
        case "decode-only":
            asyncio.run(decode_only(counting, bootstrap_servers, topic))
        case _:
            encode(counting, Workload(WorkloadSpec(rows=1, rows_per_frame=int(rows_per_frame), seed=int(seed))))
    counting.done()


if __name__ == "__main__":
    main()
