"""`python -m tests.streams.levels.worker JSON`: one worker of levels and health, on topics of a trial's own.

Options: `kafka`, `prefix`, `data_dir`; `signal_at`: a commit stage, how many times it is passed, and the signal that
the process then sends itself.
"""

import dataclasses
import json
import logging
import sys
from pathlib import Path

from abdrift import topics
from abdrift.kafka import KafkaSettings
from abdrift.topics import Topic
from streams import running
from streams.health import HealthStep
from streams.levels import LevelsStep, step
from streams.settings import EngineSettings, Surroundings
from tests.streams.counting import signaller
from tests.streams.levels.story import verify

CHECKPOINT_BYTES = 20_000
"""So that a short test makes several."""


def own(prefix: str, topic: Topic) -> Topic:
    """Return a topic of a trial's own."""
    return dataclasses.replace(topic, name=f"{prefix}.{topic.name}")


def levels_step(prefix: str) -> LevelsStep:
    """Return the step on topics of its own."""
    samples, logs, policy, levels = (
        own(prefix, topic) for topic in (topics.SAMPLES, topics.LOGS, topics.FLEET_POLICY, topics.LEVELS)
    )
    made = LevelsStep(verify, 1 << 12, reads=(samples, logs, policy), levels=levels)
    made.name = f"{prefix}-levels"
    return made


def health_step(prefix: str) -> HealthStep:
    """Return the step on topics of its own, but for the one that it writes."""
    made = HealthStep()
    made.name = f"{prefix}-health"
    made.reads = tuple(own(prefix, topic) for topic in HealthStep.reads)
    return made


def main() -> None:
    options = json.loads(sys.argv[1])
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    step.CHECKPOINT_BYTES = CHECKPOINT_BYTES
    settings = EngineSettings(
        kafka=KafkaSettings(bootstrap_servers=options["kafka"]),
        data_dir=Path(options["data_dir"]),
        session_timeout_seconds=6.0,
        request_timeout_seconds=30.0,
    )
    around = Surroundings(on_stage=signaller(*options["signal_at"])) if "signal_at" in options else Surroundings()
    prefix = options["prefix"]
    running.run_process([levels_step(prefix), health_step(prefix)], settings, around=around)


if __name__ == "__main__":
    main()
