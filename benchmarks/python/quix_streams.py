"""Quix Streams: a stateful function on RocksDB with a changelog, committed every five seconds."""

import sys
import time
from pathlib import Path
from typing import Any

import orjson
from counting import Counting, of_object
from quixstreams import Application, State
from rocksdict import AccessType, Rdict

_STORE = "default"


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
    """Write what is in the state's databases: `prefix|key`, the prefix being the record's key, both as JSON."""
    totals: list[tuple[str, int]] = []
    warnings: list[tuple[str, int]] = []
    for marker in states.rglob("CURRENT"):
        options = None
        database = Rdict(str(marker.parent), options=options, access_type=AccessType.read_only())
        for raw, value in database.items():
            print(raw, value)
            break
    counting.write(totals, warnings)


main()
