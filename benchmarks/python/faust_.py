"""Faust as its documentation shows it: an agent that takes event by event, and tables on RocksDB."""

import os
import sys
import time
from pathlib import Path
from typing import Any

import faust
import orjson

sys.path.insert(0, str(Path(__file__).parent))

from counting import Counting, of_object

PARTITIONS = 4


def main() -> None:
    """Count, then leave what the tables hold."""
    bootstrap_servers, topic, rows, folder = sys.argv[1:]
    counting = Counting(int(rows), folder)
    app = faust.App(
        f"bench-{time.time_ns()}",
        broker=f"kafka://{bootstrap_servers}",
        store="rocksdb://",
        datadir=Path(folder) / "state",
        topic_partitions=PARTITIONS,
        consumer_auto_offset_reset="earliest",
        broker_commit_interval=5.0,
        web_enabled=False,
        autodiscover=False,
        worker_redirect_stdouts=False,
    )
    totals = app.Table("totals", default=int, key_type=str, value_type=int)
    warnings = app.Table("warnings", default=int, key_type=str, value_type=int)

    @app.agent(app.topic(topic, key_type=bytes, value_type=bytes, value_serializer="raw"))
    async def count(events: Any) -> None:
        async for value in events:
            data = orjson.loads(value)["data"]
            place = f"{data['cluster']}\t{data['namespace']}"
            totals[place] += data["count"]
            if data["type"] == "Warning":
                warnings[f"{place}\t{of_object(data, data['last_ms'])}"] += data["count"]
            if counting.add(1):
                counting.write(totals.items(), warnings.items())
                counting.done()
                # Faust's own end takes seconds, and nothing is measured any more.
                os._exit(0)

    faust.Worker(app, loglevel="WARNING").execute_from_commandline()


main()
