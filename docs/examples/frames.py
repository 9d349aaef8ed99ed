"""Read frames as tables: thousands of rows a record, as Arrow.

    python frames.py HOST:PORT TOPIC

Needs aiokafka and pyarrow, nothing of Abdrift. Prints how many rows of each cluster the topic holds, and the newest.
"""

import argparse
import asyncio
import zlib

import pyarrow as pa
import pyarrow.compute as pc
from aiokafka import AIOKafkaConsumer


async def main(servers: str, topic: str) -> None:
    """Read what the topic holds now."""
    tables = []
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=servers, auto_offset_reset="earliest", max_partition_fetch_bytes=9 << 20
    )
    await consumer.start()
    try:
        ends = await consumer.end_offsets(consumer.assignment())
        while any([await consumer.position(partition) < end for partition, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                tables += [table(record.value, dict(record.headers)) for record in records if record.value]
    finally:
        await consumer.stop()
    if not tables:
        print("no frames")
        return
    rows = pa.concat_tables(tables, promote_options="permissive")
    counted = rows.group_by("cluster").aggregate([("cluster", "count")]).sort_by("cluster")
    for line in counted.to_pylist():
        print(f"{line['cluster']} {line['cluster_count']}")
    print(rows.slice(rows.num_rows - 1).to_pylist()[0])


def table(value: bytes, headers: dict[str, bytes]) -> pa.Table:
    """Return a frame's rows, each column in its plain type."""
    if zlib.crc32(value) != int(headers["abdrift-crc32"], 16):
        raise ValueError("the value is not what was sent")
    batch = pa.ipc.open_stream(pa.CompressedInputStream(pa.py_buffer(value), "zstd")).read_next_batch()
    return pa.table({field.name: column(batch, field.name) for field in batch.schema})


def column(batch: pa.RecordBatch, name: str) -> pa.Array:
    """Return a column: dictionaries as text, distances as what they are distances from."""
    told = batch.schema.field(name).metadata or {}
    array = batch.column(name)
    if pa.types.is_dictionary(array.type):
        return array.cast(array.type.value_type)
    if b"abdrift.base" in told:
        array = pc.add(array.cast(pa.int64()), int(told[b"abdrift.base"]))
    if b"abdrift.before" in told:
        array = pc.subtract(column(batch, told[b"abdrift.before"].decode()), array)
    return array


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("servers")
    parser.add_argument("topic")
    given = parser.parse_args()
    asyncio.run(main(given.servers, given.topic))
