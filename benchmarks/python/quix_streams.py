"""Quix Streams: a stateful function on RocksDB with a changelog, committed every five seconds."""

import sys
import time
from pathlib import Path
from typing import Any

import orjson
from counting import Counting, of_object
from quixstreams import Application, State
from rocksdict import AccessType, Options, Rdict


def main() -> None:
    """Count, then leave what the state store holds on disk."""
    bootstrap_servers, topic, rows, folder = sys.argv[1:]
    counting = Counting(int(rows), folder)
    states = Path(folder) / "state"
    group = f"bench-{time.time_ns()}"
    app = Application(
        broker_address=bootstrap_servers,
        consumer_group=group,
        auto_offset_reset="earliest",
        state_dir=states,
        commit_interval=5,
        loglevel="WARNING",
    )

    def count(event: dict[str, Any], state: State) -> None:
        data = event["data"]
        namespace = data["namespace"]
        state.set(namespace, state.get(namespace, 0) + data["count"])
        if data["type"] == "Warning":
            key = f"{namespace}\t{of_object(data, data['last_ms'])}"
            state.set(key, state.get(key, 0) + data["count"])
        if counting.add(1):
            app.stop()

    events = app.topic(topic, key_deserializer="str", value_deserializer="bytes")
    app.dataframe(events).apply(orjson.loads).update(count, stateful=True)
    app.run()
    _leave(counting, states)
    counting.done()


def _leave(counting: Counting, states: Path) -> None:
    """Write what the state's databases hold: keys are the record's key, a bar and the state's key, both as JSON."""
    counts: list[tuple[str, int]] = []
    for current in states.rglob("CURRENT"):
        database = Rdict(str(current.parent), Options(raw_mode=True), access_type=AccessType.read_only())
        for raw, value in database.items():
            assert isinstance(raw, bytes), "in raw mode, keys are bytes"
            cluster, _, key = raw.partition(b"|")
            counts.append((f"{orjson.loads(cluster)}\t{orjson.loads(key)}", orjson.loads(value)))
        database.close()
    counting.write((c for c in counts if c[0].count("\t") == 1), (c for c in counts if c[0].count("\t") > 1))


main()
