"""A step that counts, a program that runs it on the engine, and what it must have counted.

`python -m tests.streams.counting JSON` is one worker. Its options: `kafka`, `prefix`, `data_dir`, `session_seconds`,
`request_seconds`, `stop_seconds`, `changelog` and `signal_at`: a commit stage, how many times it is passed, and the
signal that the process then sends itself.
"""

import json
import logging
import os
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from abdrift import topics
from abdrift.kafka import KafkaSettings
from streams import running
from streams.settings import EngineSettings, Surroundings
from streams.step import Batch, Publication, Refused, Result, publish


def topic(name: str, fact: topics.FactType, **options: object) -> topics.Topic:
    return topics.Topic(
        name=name,
        title="a test's",
        format=topics.Format.CLOUDEVENT,
        key="any",
        public=False,
        compacted=False,
        retention_ms=None,
        writers=(),
        readers=(),
        facts=(fact,),
        **options,  # type: ignore[arg-type]
    )


class Count(msgspec.Struct, frozen=True, array_like=True):
    """One cluster's count, and ballast where a test needs a large cell."""

    events: int = 0
    total: int = 0
    ballast: bytes = b""


class Counting:
    """Counts events by cluster and says each count once. `n` "raise" raises, "refuse" is refused."""

    cell_type = Count

    def __init__(self, prefix: str) -> None:
        self.name = f"{prefix}-counting"
        self.input = topic(f"{prefix}.in", topics.OUTCOME)
        self.output = topic(f"{prefix}.out", topics.DECISION)
        self.reads = (self.input,)
        self.writes = (self.output,)

    def process(self, cells: Mapping[str, Count], batch: Batch) -> Result[Count]:
        changed: dict[str, Count] = {}
        facts, refused = [], []
        for one in batch.inputs:
            if one.event is None:
                continue
            cluster, number = one.event.cluster or "", one.event.data["n"]
            if number == "raise":
                raise RuntimeError("a bug")
            if number == "refuse":
                refused.append(Refused(one.cause(), "bad-row", "asked to"))
                continue
            before = changed.get(cluster) or cells.get(cluster) or Count()
            size_bytes = one.event.data.get("ballast_bytes", 0)
            now = Count(before.events + 1, before.total + number, os.urandom(size_bytes) or before.ballast)
            changed[cluster] = now
            about = Publication(
                self.output, topics.DECISION, f"{cluster}/{number}", self.name, one.cause(), one.append_ms, cluster
            )
            said = {"events": now.events, "total": now.total, "restoring": batch.restoring}
            facts.append(publish(about, said))
        return Result(changed, facts, refused)


def signaller(stage: str, times: int, number: int) -> Callable[[str, int], None]:
    passed: Counter[str] = Counter()

    def on_stage(name: str, _partition: int) -> None:
        passed[name] += 1
        if name == stage and passed[name] == times:
            os.kill(os.getpid(), number)

    return on_stage


def main() -> None:
    options = json.loads(sys.argv[1])
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    settings = EngineSettings(
        kafka=KafkaSettings(bootstrap_servers=options["kafka"]),
        data_dir=Path(options["data_dir"]),
        session_timeout_seconds=options.get("session_seconds", 6.0),
        request_timeout_seconds=options.get("request_seconds", 60.0),
        stop_timeout_seconds=options.get("stop_seconds", 10.0),
        changelog_config=options.get("changelog", {}),
    )
    around = Surroundings(on_stage=signaller(*options["signal_at"])) if "signal_at" in options else Surroundings()
    running.run_process([Counting(options["prefix"])], settings, around=around)


if __name__ == "__main__":
    main()
