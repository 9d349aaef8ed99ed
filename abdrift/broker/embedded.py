"""The embedded broker's life: format, start, readiness, stop."""

import asyncio
import base64
import contextlib
import signal
import subprocess
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from abdrift.broker import jars, java, ports, probe, properties
from abdrift.broker.datadir import DataDir, Ports
from abdrift.broker.errors import BrokerError, DataDirCorruptError, DiskError, PortTakenError, StartError
from abdrift.tied import TiedProcess

_PROBE_SECONDS: Final = 0.05
_START_TRIES: Final = 3
_TAIL_LINES: Final = 25
_PORT_TAKEN: Final = "Address already in use"

# What Kafka says when it gives up, and what that means for who started it; the first that occurs decides.
_LAST_WORDS: Final[tuple[tuple[str, type[BrokerError], str], ...]] = (
    (_PORT_TAKEN, PortTakenError, "Stop what listens on one of its ports, or choose others."),
    ("No space left on device", DiskError, "The disk is full. Free space, or choose another data directory."),
    ("Read-only file system", DiskError, "The disk is read-only. Choose another data directory."),
    ("Permission denied", DiskError, "A file is not permitted. Choose another data directory, or own this one."),
    ("CorruptRecordException", DataDirCorruptError, "Restore the data directory from a copy, or start anew."),
    ("InconsistentClusterIdException", DataDirCorruptError, "Start on a data directory of its own."),
    ("OutOfMemoryError", StartError, "Give it more memory (heap_mb, --heap-mb)."),
)


class EmbeddedBroker:
    """One real Kafka node on loopback, whose data and ports outlast it in a directory.

    Each start verifies the jars (and fetches them first, if the cache lacks any). The Java process is killed by
    the kernel when this process ends, however it ends; `stop` ends it in order. Not for use by two threads at
    once. A context manager, sync and async, that starts and stops.

    Args:
        data_dir: Where everything is kept; created if absent. One broker at a time.
        port: The clients' port. None takes that of the last start, or chooses one at the first; 0
            chooses anew, once for this object.
        heap_mb: Java's largest heap, in MiB; the whole process needs some 150 MiB more.
        partitions: What a topic gets whose creator names no number.
        extra_properties: Kafka's broker properties; `properties.render` says how they are merged.
        progress: Told of the jars' download.

    """

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int | None = None,
        heap_mb: int = 512,
        partitions: int = 4,
        extra_properties: Mapping[str, str] | None = None,
        progress: jars.Progress | None = None,
    ) -> None:
        self._path = data_dir
        self._wanted_port = port
        self._heap_mb = heap_mb
        self._partitions = partitions
        self._extra = dict(extra_properties or {})
        self._progress = progress
        self._ports: Ports | None = None
        self._data_dir: DataDir | None = None
        self._process: TiedProcess | None = None

    @property
    def data_dir(self) -> Path:
        """The directory that holds the broker's data."""
        return self._path.absolute()

    @property
    def log_path(self) -> Path:
        """Kafka's own log."""
        return self.data_dir / "logs" / "broker.log"

    @property
    def bootstrap_servers(self) -> str:
        """`host:port` of the plain listener; kept after a stop, as the next start takes it again."""
        if self._ports is None:
            raise BrokerError("The broker has no address before its first start. Call start().")
        return f"{ports.HOST}:{self._ports.broker}"

    @property
    def pid(self) -> int | None:
        """The Java process, while it runs."""
        return self._process.popen.pid if self._process and self.alive else None

    @property
    def alive(self) -> bool:
        """Whether the Java process runs."""
        return self._process is not None and self._process.popen.poll() is None

    def start(self, *, timeout_seconds: float = 60.0) -> None:
        """Start Kafka and return when it answers; does nothing if it runs already.

        Raises:
            BrokerError: one of its kinds says what stands in the way, and the way out.

        """
        if self.alive:
            return
        self._release()
        program = java.find()
        class_path = jars.class_path(jars.ensure(self._progress))
        self._data_dir = DataDir(self._path)
        try:
            self._data_dir.write_log_settings()
            self._start_on_free_ports(program, class_path, time.monotonic() + timeout_seconds)
        except BaseException:
            self.kill()
            raise

    def stop(self, *, timeout_seconds: float = 20.0) -> None:
        """End Kafka in order, or by force when that takes too long; safe to repeat."""
        if self._process is not None:
            self._process.popen.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.popen.wait(timeout_seconds)
        self.kill()

    def kill(self) -> None:
        """End Kafka at once with SIGKILL, as a crash would; what it acknowledged is kept. Safe to repeat."""
        if self._process is not None:
            self._process.popen.kill()
            self._process.popen.wait()
        self._release()

    def wait(self, timeout_seconds: float | None = None) -> int | None:
        """Wait until Kafka has ended, by itself or not; return its exit status, or None while it runs on."""
        if self._process is None:
            return None
        try:
            return self._process.popen.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            return None

    async def astart(self, *, timeout_seconds: float = 60.0) -> None:
        """`start`, without holding up the event loop."""
        await asyncio.to_thread(self.start, timeout_seconds=timeout_seconds)

    async def astop(self, *, timeout_seconds: float = 20.0) -> None:
        """`stop`, without holding up the event loop."""
        await asyncio.to_thread(self.stop, timeout_seconds=timeout_seconds)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        await self.astart()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.astop()

    def _release(self) -> None:
        self._process = None
        if self._data_dir is not None:
            self._data_dir.close()
            self._data_dir = None

    def _start_on_free_ports(self, program: Path, class_path: str, deadline: float) -> None:
        for _ in range(_START_TRIES):
            chosen = self._choose_ports()
            if not self._held.formatted:
                self._format(program, class_path, chosen, deadline)
            self._write_properties(chosen, self._held.kafka)
            self._process = self._spawn(program, class_path, "kafka.Kafka", str(self._held.properties))
            if self._became_ready(chosen.broker, deadline):
                self._held.keep_ports(chosen)
                self._ports = chosen
                return
            # Another process may have taken a port between its choice and Kafka's bind.
            if _PORT_TAKEN not in self._held.log_tail():
                break
        raise self._failure("Kafka ended while starting")

    @property
    def _held(self) -> DataDir:
        assert self._data_dir is not None, "start() opens it first"
        return self._data_dir

    def _choose_ports(self) -> Ports:
        last = self._ports or self._held.ports()
        # A 0 is for a new broker's port; this object's own clients must find it again after a crash.
        port = self._ports.broker if self._ports else self._wanted_port
        if port is None and last is not None:
            port = last.broker
        if not port:
            port = ports.choose()
        elif not ports.is_free(port):
            holder = ports.owner(port) or "a process that can't be told"
            raise PortTakenError(
                f"Port {port} on {ports.HOST} is taken by {holder}. Stop it, or choose another port; "
                "port 0 has a free one chosen."
            )
        # Nobody but the broker itself connects to the controller, so its port may move.
        controller = last.controller if last else 0
        if controller in {0, port} or not ports.is_free(controller):
            controller = ports.choose(taken={port})
        return Ports(port, controller)

    def _write_properties(self, chosen: Ports, log_dir: Path) -> None:
        node = properties.Node(
            port=chosen.broker,
            controller_port=chosen.controller,
            log_dir=log_dir,
            partitions=self._partitions,
            extra=self._extra,
        )
        self._held.write(self._held.properties, properties.render(node))

    def _format(self, program: Path, class_path: str, chosen: Ports, deadline: float) -> None:
        self._write_properties(chosen, self._held.unfinished)
        # Without its highest bit it begins with a letter; with a dash, it would look like an option.
        number = uuid.UUID(int=uuid.uuid4().int >> 1)
        cluster_id = base64.urlsafe_b64encode(number.bytes).decode().rstrip("=")
        arguments = ("format", f"--cluster-id={cluster_id}", f"--config={self._held.properties}")
        self._process = self._spawn(program, class_path, "kafka.tools.StorageTool", *arguments)
        if self.wait(max(0.0, deadline - time.monotonic())) != 0:
            raise self._failure("Kafka's storage can't be formatted")
        self._process = None
        self._held.finish_format()

    def _spawn(self, program: Path, class_path: str, *arguments: str) -> TiedProcess:
        command = java.command(
            program,
            class_path=class_path,
            heap_mb=self._heap_mb,
            settings={
                "log4j2.configurationFile": self._held.log4j.as_uri(),
                "abdrift.broker.log": str(self._held.broker_log),
            },
        )
        self._held.begin_log()
        try:
            with self._held.java_log.open("wb") as output:
                return TiedProcess([*command, *arguments], output=output, keep_open=(self._held.lock_fd,))
        except OSError as error:
            raise StartError(f"{program} can't be started: {error}. Set ABDRIFT_JAVA to another java.") from error

    def _became_ready(self, port: int, deadline: float) -> bool:
        """Return False if Kafka ended; raise if it did not answer in time."""
        while self.alive:
            if probe.answers(port):
                return self.alive
            if time.monotonic() > deadline:
                raise self._failure("Kafka did not answer in time")
            time.sleep(_PROBE_SECONDS)
        return False

    def _failure(self, what: str) -> BrokerError:
        tail = "\n".join(self._held.log_tail().splitlines()[-_TAIL_LINES:])
        meant = (known[1:] for known in _LAST_WORDS if known[0] in tail)
        kind, way_out = next(meant, (StartError, "If its log says nothing, start again with more time."))
        status = self._process.popen.poll() if self._process else None
        ended = f" (exit {signal.Signals(-status).name if status < 0 else status})" if status else ""
        return kind(f"{what}{ended}. {way_out} The log is {self.log_path} and ends with:\n{tail}")
