"""`python -m tests.streams.rates.worker JSON`: one worker of the rates step.

Options: `kafka`, `prefix`, `data_dir`, and `signal_at`: a commit stage, how many times it is passed, and the signal
that the process then sends itself.
"""

import asyncio
import dataclasses
import json
import logging
import sys
from pathlib import Path

from abdrift import topics
from abdrift.kafka import KafkaSettings
from streams import engine
from streams.rates import RatesStep, step
from streams.settings import EngineSettings, Surroundings
from streams.step import Limits
from tests.streams.counting import signaller


def rates_step(prefix: str) -> RatesStep:
    """Return the step on topics of its own."""
    events = dataclasses.replace(topics.EVENTS, name=f"{prefix}.events")
    made = RatesStep(1 << 14, events=events, rates=dataclasses.replace(topics.RATES, name=f"{prefix}.rates"))
    made.name = f"{prefix}-rates"
    made.limits = Limits(rows=2_000, size_bytes=1 << 20)
    return made


def main() -> None:
    options = json.loads(sys.argv[1])
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    # So that a short test makes several.
    step.CHECKPOINT_BYTES = 50_000
    settings = EngineSettings(
        kafka=KafkaSettings(bootstrap_servers=options["kafka"]),
        data_dir=Path(options["data_dir"]),
        session_timeout_seconds=6.0,
        request_timeout_seconds=10.0,
    )
    around = Surroundings(on_stage=signaller(*options["signal_at"])) if "signal_at" in options else Surroundings()
    asyncio.run(engine.run([rates_step(options["prefix"])], settings, around=around))


if __name__ == "__main__":
    main()
