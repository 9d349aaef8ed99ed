"""Follow drift as a team of its own would: a consumer group that resumes where it stopped.

    python consume.py HOST:PORT GROUP [--once]

Needs aiokafka and orjson, nothing of Abdrift. `--once` ends where the topic ends.
"""

import argparse
import asyncio
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, ConsumerRecord

TOPIC = "abdrift.fleet.drift.v1"
FINDING = "dev.abdrift.fleet.drift.finding.v1"


async def main(servers: str, group: str, *, once: bool) -> None:
    """Tell of each change of a finding, once however often it is read."""
    consumer = AIOKafkaConsumer(
        TOPIC,
        bootstrap_servers=servers,
        group_id=group,
        auto_offset_reset="earliest",
        # Committed below, once a record has had its effect: what a crash leaves uncommitted is read again.
        enable_auto_commit=False,
    )
    # Keep the revision beside the effect (a column of the row that is written): then replays change nothing there.
    revisions: dict[str, int] = {}
    await consumer.start()
    try:
        while True:
            batches = await consumer.getmany(timeout_ms=500)
            for records in batches.values():
                for record in records:
                    handle(record, revisions)
            if batches:
                await consumer.commit()
            if once and await has_read_all(consumer):
                return
    finally:
        await consumer.stop()


def handle(record: ConsumerRecord, revisions: dict[str, int]) -> None:
    """Act on one record. What is not known here is passed over: it may have come with a newer Abdrift."""
    if record.key is None:
        return
    key = record.key.decode()
    if record.value is None:
        revisions.pop(key, None)
        print(f"gone {key}", flush=True)
        return
    event = orjson.loads(record.value)
    if event.get("type") != FINDING:
        return
    finding = event["data"]
    if finding["revision"] <= revisions.get(key, 0):
        return  # a replay
    revisions[key] = finding["revision"]
    print(told(finding), flush=True)


def told(finding: dict[str, Any]) -> str:
    """Return a finding in one line. What is optional may be absent."""
    thing = finding["object"]
    name = "/".join(part for part in (thing.get("namespace"), thing["name"]) if part)
    fields = ", ".join(
        f"{field['path']} {orjson.dumps(field.get('old')).decode()} -> {orjson.dumps(field.get('new')).decode()}"
        for field in finding.get("fields", [])
    )
    by = f" by {', '.join(finding['managers'])}" if finding.get("managers") else ""
    return f"{finding['state']} {finding['kind']} {finding['cluster']['name']} {thing['kind']} {name}: {fields}{by}"


async def has_read_all(consumer: AIOKafkaConsumer) -> bool:
    """Return whether there are partitions, and nothing left to read of them."""
    partitions = consumer.assignment()
    ends = await consumer.end_offsets(partitions)
    left = [end - await consumer.position(partition) for partition, end in ends.items()]
    return bool(partitions) and max(left) <= 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("servers")
    parser.add_argument("group")
    parser.add_argument("--once", action="store_true")
    given = parser.parse_args()
    asyncio.run(main(given.servers, given.group, once=given.once))
