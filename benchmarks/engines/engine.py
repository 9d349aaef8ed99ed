"""What an engine is to the harness."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from abdrift.kafka import KafkaSettings
from benchmarks.measuring import Measured, PinnedProgram


class Reads(StrEnum):
    """What an engine is given."""

    JSON = "json"
    """One CloudEvent a record."""
    FRAMES = "frames"
    ROWS = "rows"
    """Nothing from Kafka: it makes frames from the workload's rows."""

    @property
    def has_frames(self) -> bool:
        """Whether the rows of a frame matter to it."""
        return self is not Reads.JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One run of one engine."""

    kafka: KafkaSettings
    topic: str
    rows: int
    rows_per_frame: int
    seed: int
    folder: Path
    """Empty; for state, and for the counts that `benchmarks.oracle` reads."""
    core: int
    timeout_seconds: float
    profile: Path | None = None
    """Where a flame graph of the run goes, for an engine that can be asked for one."""

    @property
    def arguments(self) -> tuple[str, ...]:
        """What every peer's program takes: BOOTSTRAP TOPIC ROWS FOLDER."""
        return (self.kafka.bootstrap_servers, self.topic, str(self.rows), str(self.folder))


Run = Callable[[Job], Measured]


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """One engine. `run` raises `RunError` where a run fails."""

    name: str
    """As results name it."""
    state: str
    """Where its counts are kept, and how they outlive it."""
    reads: Reads
    rows_per_second: int
    """About; it decides only how many rows a run of so many seconds takes."""
    prepare: Callable[[], object]
    """Fetches and compiles what it needs, once before the runs; raises what says what this machine lacks."""
    run: Run
    topic: str | None = None
    """Where it reads by its own definition; others are told."""
    reads_again: bool = False
    """Whether it begins anew at the topic's end: a limit that is through with any topic in no time."""
    counts: bool = True
    """Whether it does the job, so that its counts are held against the oracle's; a limit does a part of it."""

    @property
    def key(self) -> str:
        """Its name, with its state where one name has several."""
        return f"{self.name}-{self.state}" if self.state == "heap" else self.name


def follow(command: Sequence[str], job: Job) -> Measured:
    """Run a program that tells of its rows by itself."""
    with PinnedProgram(command, job.core) as program:
        return program.follow(job.timeout_seconds)


def follower(python: Callable[[], object], program: Path) -> Run:
    """Return what runs a peer's program with that interpreter, which is asked for when it is run."""
    return lambda job: follow([str(python()), str(program), *job.arguments], job)
