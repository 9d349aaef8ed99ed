"""`python -m tests.streams.rates.worker JSON`: one worker of the rates step.

Options: `kafka`, `prefix`, `data_dir`, `max_windows`, `batch_rows`, `checkpoint_bytes`, `session_seconds`,
`request_seconds`; `signal_at`: a commit stage, how many times it is passed, and the signal that the process then sends
itself; or `progress`: a file that grows by a byte with each batch acknowledged.
"""

import dataclasses
import json
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from abdrift import topics
from abdrift.kafka import KafkaSettings
from streams import running
from streams.rates import RatesStep, step
from streams.settings import EngineSettings, Surroundings
from streams.step import Limits
from tests.streams.counting import signaller

MAX_WINDOWS = 1 << 14
BATCH_ROWS = 2_000
CHECKPOINT_BYTES = 50_000
"""So that a short test makes several."""


def rates_step(prefix: str, max_windows: int = MAX_WINDOWS, batch_rows: int = BATCH_ROWS) -> RatesStep:
    """Return the step on topics of its own."""
    events = dataclasses.replace(topics.EVENTS, name=f"{prefix}.events")
    made = RatesStep(max_windows, events=events, rates=dataclasses.replace(topics.RATES, name=f"{prefix}.rates"))
    made.name = f"{prefix}-rates"
    made.limits = Limits(rows=batch_rows, size_bytes=1 << 20)
    return made


def teller(progress: Path) -> Callable[[str, int], None]:
    """Return what notes each batch acknowledged in a file, for whoever waits for the worker."""
    told = os.open(progress, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def on_stage(name: str, _partition: int) -> None:
        if name == "acked":
            os.write(told, b".")

    return on_stage


def _surroundings(options: dict[str, Any]) -> Surroundings:
    if "signal_at" in options:
        return Surroundings(on_stage=signaller(*options["signal_at"]))
    return Surroundings(on_stage=teller(Path(options["progress"]))) if "progress" in options else Surroundings()


def main() -> None:
    options = json.loads(sys.argv[1])
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    step.CHECKPOINT_BYTES = options.get("checkpoint_bytes", CHECKPOINT_BYTES)
    settings = EngineSettings(
        kafka=KafkaSettings(bootstrap_servers=options["kafka"]),
        data_dir=Path(options["data_dir"]),
        session_timeout_seconds=options.get("session_seconds", 6.0),
        request_timeout_seconds=options.get("request_seconds", 10.0),
    )
    sizes = options.get("max_windows", MAX_WINDOWS), options.get("batch_rows", BATCH_ROWS)
    running.run_process([rates_step(options["prefix"], *sizes)], settings, around=_surroundings(options))


if __name__ == "__main__":
    main()
