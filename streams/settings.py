"""What a user may set about how steps run."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from abdrift.clock import ClockMs, wall_clock_ms
from abdrift.kafka import KafkaSettings


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """How steps run. The defaults suit one worker of a few on a small machine."""

    kafka: KafkaSettings
    data_dir: Path
    """Local copies of state, one folder a step. One worker process at a time; safe to delete while it is down."""
    replication_factor: int = 1
    """Of the changelog topics, where the engine creates them. 3 in production, with min.insync.replicas 2."""
    standby_replicas: int = 0
    """How many other workers keep a warm copy of each partition's state."""
    session_timeout_seconds: float = 15.0
    """A worker that is silent for so long loses its partitions."""
    rebalance_timeout_seconds: float = 30.0
    request_timeout_seconds: float = 30.0
    """How long a broker may refuse or be away before the worker stops. At least the session timeout."""
    stop_timeout_seconds: float = 10.0
    """A stopping worker is cut off after so long; nothing is lost by it."""
    linger_ms: int = 2
    """How long a batch waits for company once its first record is there."""
    backlog_linger_ms: int = 50
    """The same where that record is older than a second: with much to catch up on, large batches cost less a row."""
    tick_interval_seconds: float = 1.0
    """A partition silent for so long gets a tick, so that its clock goes on."""
    persist_seconds: float = 10.0
    persist_records: int = 5_000
    """A partition whose records change nothing notes how far it has read at least this often."""
    batch_records: int = 5_000
    batch_rows: int = 200_000
    batch_bytes: int = 16 * 1024 * 1024
    """A batch ends with the record that reaches one of these."""
    lane_buffer_bytes: int = 16 * 1024 * 1024
    """A partition with so much fetched and not yet absorbed is not fetched further."""
    step_buffer_bytes: int = 64 * 1024 * 1024
    """The same of all of a step's partitions here together, each an equal share: of many, each may hold less."""
    changelog_config: dict[str, str] = field(default_factory=dict)
    """Kafka's settings of the changelog topics, over the engine's own."""


def _no_stage(_stage: str, _partition: int) -> None:
    """Do nothing."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is outside a step and not the user's to set: clocks, chance and, in tests, a way to end at a stage."""

    clock_ms: ClockMs = wall_clock_ms
    jitter: Callable[[], float] = random.random
    on_stage: Callable[[str, int], None] = _no_stage
    """Told of `claimed`, `processed`, `staged`, `redo`, `facts`, `cells` and `acked`, right after each."""
