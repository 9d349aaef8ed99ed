"""An embedded broker's data directory: who may use it, what is kept in it, and whether it is sound.

- `broker.lock`: held for as long as a broker runs on this directory, by its Java process too
- `ports.json`: the ports that the next start takes again
- `server.properties`, `log4j2.xml`: written at every start
- `kafka/`: Kafka's own; `meta.properties` with the cluster id, and every topic's log
- `logs/`: `broker.log` (Kafka's) and `java.log` (what the JVM says of itself)
"""

import contextlib
import errno
import fcntl
import json
import os
import shutil
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import IO, Final

from abdrift.broker.errors import DataDirCorruptError, DataDirInUseError, DiskError

_FREE_MIN_BYTES: Final = 128 * 1024 * 1024
_TAIL_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class Ports:
    """The two loopback ports of a broker: the clients', and its controller's."""

    broker: int
    controller: int


class DataDir:
    """A data directory that this process has locked; `close` gives it up.

    Raises:
        DiskError: it can't be created or written, or has too little space left.
        DataDirInUseError: another broker runs on it.
        DataDirCorruptError: it holds no data that a broker could start from.

    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.kafka = self.path / "kafka"
        self.properties = self.path / "server.properties"
        self.log4j = self.path / "log4j2.xml"
        self.broker_log = self.path / "logs" / "broker.log"
        self.java_log = self.path / "logs" / "java.log"
        self._ports = self.path / "ports.json"
        self._log_begins_bytes = 0
        try:
            self.broker_log.parent.mkdir(parents=True, exist_ok=True)
            self._lock = self._locked()
        except OSError as error:
            raise self._refused(error) from error
        try:
            self._check()
        except BaseException:
            self.close()
            raise

    @property
    def lock_fd(self) -> int:
        """The descriptor that holds the lock, for as long as any process has it open."""
        return self._lock.fileno()

    @property
    def formatted(self) -> bool:
        """Whether Kafka's own directory was made."""
        return self.kafka.exists()

    @property
    def unfinished(self) -> Path:
        """Where Kafka's directory is made before it takes its name, so that it is there whole or not at all."""
        return self.path / "kafka.unfinished"

    def close(self) -> None:
        """Give the directory up; safe to repeat."""
        self._lock.close()

    def ports(self) -> Ports | None:
        """Return the ports of the last start, if there was one."""
        try:
            return Ports(**json.loads(self._ports.read_bytes()))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError) as error:
            raise DataDirCorruptError(
                f"{self._ports} is damaged ({error}). Delete it to have new ports chosen."
            ) from error

    def keep_ports(self, ports: Ports) -> None:
        """Remember the ports for the next start."""
        self.write(self._ports, json.dumps(asdict(ports)))

    def write(self, path: Path, text: str) -> None:
        """Write a file of this directory, whole or not at all.

        Raises:
            DiskError: the disk refuses.

        """
        part = path.with_name(f"{path.name}.part")
        try:
            # The broker's properties may hold passwords.
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                file.write(text)
            part.replace(path)
        except OSError as error:
            raise self._refused(error) from error

    def write_log_settings(self) -> None:
        """Write the log's configuration as this version of Abdrift has it."""
        self.write(self.log4j, resources.files("abdrift.broker").joinpath("log4j2.xml").read_text())

    def finish_format(self) -> None:
        """Give Kafka's new directory its name."""
        self.unfinished.rename(self.kafka)

    def begin_log(self) -> None:
        """Take what the broker's log holds so far for the past."""
        try:
            self._log_begins_bytes = self.broker_log.stat().st_size
        except FileNotFoundError:
            self._log_begins_bytes = 0

    def log_tail(self) -> str:
        """Return the last lines of both logs since `begin_log`, for an error's message."""
        tails = (_tail(self.java_log, 0), _tail(self.broker_log, self._log_begins_bytes))
        return "\n".join(filter(None, tails))

    def _locked(self) -> IO[str]:
        lock = (self.path / "broker.lock").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            lock.close()
            raise DataDirInUseError(
                f"Another broker runs on {self.path}, started by process {holder}. "
                "Stop it, or choose another data directory."
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        return lock

    def _check(self) -> None:
        shutil.rmtree(self.unfinished, ignore_errors=True)
        free_bytes = shutil.disk_usage(self.path).free
        if free_bytes < _FREE_MIN_BYTES:
            raise DiskError(
                f"The disk of {self.path} has {free_bytes >> 20} MiB left; a broker needs "
                f"{_FREE_MIN_BYTES >> 20} MiB to start. Free space, or choose another data directory."
            )
        if self.formatted and not _names_cluster(self.kafka / "meta.properties"):
            raise DataDirCorruptError(
                f"{self.kafka} has no meta.properties that names a cluster, so it is damaged or no Kafka "
                "directory. Restore it from a copy, or choose another data directory; to start anew here, "
                f"move {self.kafka} away."
            )

    def _refused(self, error: OSError) -> DiskError:
        return DiskError(
            f"The broker's data directory {self.path} can't be written: {_in_words(error)}. "
            "Make it writable, or choose another data directory."
        )


def _in_words(error: OSError) -> str:
    if error.errno in {errno.ENOTDIR, errno.EEXIST}:
        return f"a part of {error.filename} is a file, not a directory"
    return f"{error.strerror} ({error.filename})" if error.filename else str(error.strerror)


def _names_cluster(meta_properties: Path) -> bool:
    with contextlib.suppress(OSError, UnicodeDecodeError):
        lines = meta_properties.read_text().splitlines()
        return any(line.startswith("cluster.id=") and len(line) > len("cluster.id=") for line in lines)
    return False


def _tail(path: Path, begins_bytes: int) -> str:
    try:
        with path.open("rb") as file:
            size_bytes = path.stat().st_size
            # A log that was rolled over since then is shorter, and all of it is new.
            begins_bytes = begins_bytes if begins_bytes <= size_bytes else 0
            file.seek(max(begins_bytes, size_bytes - _TAIL_BYTES))
            return file.read().decode(errors="replace").strip()
    except OSError:
        return ""
