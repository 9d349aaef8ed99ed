"""The whole pipeline as one process tree: Kafka where none is named, collectors, streams and sinks.

`abdrift demo` runs it on a simulated fleet, `abdrift up` on a cluster of the user's own, and the end-to-end tests on
both.
"""

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr

from abdrift import provision
from abdrift.broker import EmbeddedBroker
from abdrift.broker.jars import Progress
from abdrift.fleet import Fleet
from abdrift.kafka import KafkaSettings, environment_name
from abdrift.keyring import Keyring
from abdrift.processes import Program, Supervisor

BROKER_SECONDS = 60.0
READY_SECONDS = 180.0


def _untold(_stage: str, _limit_seconds: float) -> None:
    """Nobody wants to know."""


@dataclass(frozen=True, slots=True)
class PipelineSpec:
    """What to run."""

    fleet: Fleet
    data_dir: Path
    kafka: KafkaSettings | None = None
    """None runs an embedded broker."""
    partitions: int = 8
    heartbeat_seconds: float = 5.0
    tick_seconds: float = 0.25
    """What Flux itself may have done is judged by the clock, so this adds to how soon a deletion is found."""
    session_timeout_seconds: float = 15.0
    secrets: bool = False
    act: bool = True
    """Whether a GitOps sink runs at all."""
    git_interval_seconds: float = 30.0
    hourly_cap: int = 60
    download_progress: Progress | None = None
    on_stage: Callable[[str, float], None] = _untold
    """Told of each stage of the start, and of how many seconds it may take."""
    environment: dict[str, str] = field(default_factory=dict)
    options: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """More options of a program, by its name; the last of an option's values counts."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """What is running."""

    kafka: KafkaSettings
    supervisor: Supervisor
    keyring: Keyring
    broker: EmbeddedBroker | None


@contextlib.asynccontextmanager
async def running(spec: PipelineSpec) -> AsyncIterator[Pipeline]:
    """Run the pipeline until left. Yields once every part is ready.

    Raises:
        abdrift.broker.BrokerError: the embedded broker cannot start.
        abdrift.kafka.KafkaUnreachableError: the named cluster cannot be reached.
        abdrift.processes.ChildFailed: a part keeps ending.

    """
    spec.data_dir.mkdir(parents=True, exist_ok=True)
    fleet_file = spec.data_dir / "fleet.yaml"
    spec.fleet.write(fleet_file)
    keyring = Keyring.open(spec.data_dir / "keys", create=True)
    async with contextlib.AsyncExitStack() as stack:
        broker = None
        kafka = spec.kafka
        if kafka is None:
            spec.on_stage("starting Kafka", BROKER_SECONDS)
            broker = EmbeddedBroker(spec.data_dir / "broker", progress=spec.download_progress)
            await broker.astart(timeout_seconds=BROKER_SECONDS)
            stack.push_async_callback(broker.astop)
            kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        spec.on_stage("starting collectors, streams and sinks", READY_SECONDS)
        await provision.create(kafka, partitions=spec.partitions, replication=1)
        supervisor = await stack.enter_async_context(
            Supervisor(programs(spec, kafka, fleet_file), spec.data_dir / "logs")
        )
        await supervisor.wait_ready(READY_SECONDS)
        yield Pipeline(kafka, supervisor, keyring, broker)


def programs(spec: PipelineSpec, kafka: KafkaSettings, fleet_file: Path) -> list[Program]:
    """Return the processes in the order to start them: who reads before who writes."""
    environment = spec.environment | _kafka_environment(kafka)
    data, keys = str(spec.data_dir), str(spec.data_dir / "keys")
    worker = (
        *("--keys", keys, "--tick-seconds", str(spec.tick_seconds), "--log-level", "warning"),
        *("--session-timeout-seconds", str(spec.session_timeout_seconds)),
    )
    of_fleet = ("--fleet", str(fleet_file))
    found = [
        # What is decided of a finding waits neither for other clusters to be judged nor for what nobody waits for.
        Program("worker-drift", ("worker", "drift", "--data", f"{data}/worker", *worker)),
        Program("worker-fleet", ("worker", "reduce", "governor", "incidents", "--data", f"{data}/worker", *worker)),
        Program(
            "worker-health", ("worker", "rates", "levels", "health", "rollup", "--data", f"{data}/worker", *worker)
        ),
        Program(
            "agent",
            (
                *("agent", *of_fleet, "--data", f"{data}/agent", "--log-level", "warning"),
                *("--heartbeat-seconds", str(spec.heartbeat_seconds)),
                *(("--secrets",) if spec.secrets else ()),
            ),
        ),
        Program("git", ("git", "--data", f"{data}/git", "--interval-seconds", str(spec.git_interval_seconds))),
    ]
    if spec.act:
        cap = ("--hourly-cap", str(spec.hourly_cap))
        found.insert(3, Program("sink-gitops", ("sink", "gitops", *of_fleet, "--keys", keys, *cap)))
    return [Program(one.name, (*one.arguments, *spec.options.get(one.name, ())), environment) for one in found]


def _kafka_environment(kafka: KafkaSettings) -> dict[str, str]:
    """Return the settings as variables: passwords too, which a command line would show to every user."""
    given = ((name, getattr(kafka, name)) for name in kafka.model_fields_set)
    return {
        environment_name(name): value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        for name, value in given
        if value is not None
    }
