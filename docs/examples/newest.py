"""Know the state of every cluster: the newest record of each key of a compacted topic, then what changes.

    python newest.py HOST:PORT [--once]

Needs aiokafka and orjson, nothing of Abdrift. There is no group: each start reads the topic from its beginning, which a
compacted topic keeps short. `--once` ends where the topic ended when it began.
"""

import argparse
import asyncio
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer

TOPIC = "abdrift.fleet.health.v1"


async def main(servers: str, *, once: bool) -> None:
    """Print every cluster's health as it stands, then each change."""
    newest: dict[str, dict[str, Any]] = {}
    consumer = AIOKafkaConsumer(
        TOPIC, bootstrap_servers=servers, auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    try:
        ends = await consumer.end_offsets(consumer.assignment())
        # By position: where compaction took the last record away, none comes with the offset before the end.
        while any([await consumer.position(partition) < end for partition, end in ends.items()]):
            await changed(consumer, newest)
        for key in sorted(newest):
            tell(key, newest)
        while not once:
            for key in await changed(consumer, newest):
                tell(key, newest)
    finally:
        await consumer.stop()


async def changed(consumer: AIOKafkaConsumer, newest: dict[str, dict[str, Any]]) -> list[str]:
    """Take in what has come. Return the keys that it was about."""
    keys = []
    for records in (await consumer.getmany(timeout_ms=500)).values():
        for record in records:
            key = (record.key or b"").decode()
            if not key.startswith("cluster/"):
                continue
            event = orjson.loads(record.value) if record.value else None
            if event is None:
                newest.pop(key, None)
            elif event["data"]["revision"] <= newest.get(key, {}).get("revision", 0):
                continue  # a replay
            else:
                newest[key] = event["data"]
            keys.append(key)
    return keys


def tell(key: str, newest: dict[str, dict[str, Any]]) -> None:
    """Print one cluster's state, and how sure that is."""
    health = newest.get(key)
    if not health:
        print(f"{key} gone", flush=True)
        return
    evidence = health["evidence"]
    sure = "" if evidence["complete"] else ", not everything was seen"
    print(f"{key} {health['status']} since {health['since']}, as of {evidence.get('as_of', 'never')}{sure}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("servers")
    parser.add_argument("--once", action="store_true")
    given = parser.parse_args()
    asyncio.run(main(given.servers, once=given.once))
