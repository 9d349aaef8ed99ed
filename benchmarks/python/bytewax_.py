"""Bytewax: a stateful map keyed by cluster, its state in snapshots (recovery) every five seconds."""

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
import orjson
from bytewax.connectors.kafka import KafkaSourceMessage
from bytewax.connectors.kafka import operators as kafka
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import TestingSink, run_main
from counting import Counting, of_object

_BATCH_RECORDS = 10_000


def main() -> None:
    """Count, then leave what the map's states hold."""
    bootstrap_servers, topic, rows, folder = sys.argv[1:]
    counting = Counting(int(rows), folder)
    states: dict[str, dict[str, int]] = {}

    def read(message: KafkaSourceMessage[Any, Any]) -> tuple[str, dict[str, Any]]:
        data = orjson.loads(message.value)["data"]
        return data["cluster"], data

    def count(state: dict[str, int] | None, data: dict[str, Any]) -> tuple[dict[str, int], None]:
        if state is None:
            state = states[data["cluster"]] = {}
        namespace = data["namespace"]
        state[namespace] = state.get(namespace, 0) + data["count"]
        if data["type"] == "Warning":
            key = f"{namespace}\t{of_object(data, data['last_ms'])}"
            state[key] = state.get(key, 0) + data["count"]
        counting.add(1)
        return state, None

    flow = Dataflow("bench")
    source = kafka.input(
        "events", flow, brokers=[bootstrap_servers], topics=[topic], tail=False, batch_size=_BATCH_RECORDS
    )
    counted = op.stateful_map("count", op.map("read", source.oks, read), count)
    op.output("out", op.filter("none", counted, lambda _: False), TestingSink([]))
    recovery = Path(folder) / "recovery"
    recovery.mkdir()
    init_db_dir(recovery, 1)
    run_main(flow, epoch_interval=timedelta(seconds=5), recovery_config=RecoveryConfig(str(recovery)))
    counts = [(f"{cluster}\t{key}", number) for cluster, state in states.items() for key, number in state.items()]
    counting.write((c for c in counts if c[0].count("\t") == 1), (c for c in counts if c[0].count("\t") > 1))
    counting.done()


main()
