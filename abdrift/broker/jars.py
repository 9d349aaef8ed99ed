"""Jars by lock files: how they come onto this machine, and which Kafka's are by the lock file beside this module."""

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

from jgo.maven import MavenContext, PythonResolver
from requests import RequestException

from abdrift import paths
from abdrift.broker.errors import JarsError

KAFKA_VERSION: Final = "4.3.1"
LOCK_NAME: Final = "jars.lock"
_DOWNLOADS_AT_ONCE: Final = 4
_TRIES: Final = 3
_TIMEOUT_SECONDS: Final = 30
_PART_PREFIX: Final = ".part-"

Progress = Callable[[int, int], None]
"""Called from download threads, one at a time, with (bytes present, bytes in all)."""


@dataclass(frozen=True, slots=True)
class Jar:
    """One line of the lock file: Maven coordinates, and what the file must be."""

    group: str
    artifact: str
    version: str
    classifier: str
    sha256: str
    size_bytes: int

    @property
    def file_name(self) -> str:
        """The file's name, which is unique in the lock."""
        classifier = f"-{self.classifier}" if self.classifier else ""
        return f"{self.artifact}-{self.version}{classifier}.jar"

    @property
    def coordinates(self) -> str:
        """The jar as `group:artifact:version[:classifier]`."""
        parts = (self.group, self.artifact, self.version, self.classifier)
        return ":".join(part for part in parts if part)

    def is_at(self, path: Path) -> bool:
        """Tell whether this file is there, whole and unchanged."""
        try:
            if path.stat().st_size != self.size_bytes:
                return False
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == self.sha256
        except OSError:
            return False


def parse_lock(text: str) -> tuple[Jar, ...]:
    """Read a lock file: lines of `group:artifact:version[:classifier] sha256:HEX SIZE_BYTES`.

    Raises:
        ValueError: a line is of another shape.

    """
    jars = []
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        coordinates, digest, size_bytes = line.split()
        group, artifact, version, *classifier = coordinates.split(":")
        if not digest.startswith("sha256:") or len(classifier) > 1:
            raise ValueError(f"not a line of a jar lock: {line!r}")
        sha256 = digest.removeprefix("sha256:")
        jars.append(Jar(group, artifact, version, "".join(classifier), sha256, int(size_bytes)))
    return tuple(jars)


def locked() -> tuple[Jar, ...]:
    """Return the jars that this version of Abdrift runs."""
    return parse_lock(resources.files("abdrift.broker").joinpath(LOCK_NAME).read_text())


def folder() -> Path:
    """Return the folder of the cached jars, present or not."""
    return paths.cache_dir() / f"kafka-{KAFKA_VERSION}" / "libs"


def ensure(progress: Progress | None = None) -> tuple[Path, ...]:
    """Return the paths of Kafka's jars; `fetched` says how, and what it raises."""
    return fetched(locked(), folder(), progress)


def fetched(jars: tuple[Jar, ...], libs: Path, progress: Progress | None = None) -> tuple[Path, ...]:
    """Return the paths of jars in a folder of the cache, verified, after fetching those that it lacks.

    The hashes are checked at every call (45 MB: some 50 ms). A jar appears in the cache whole or not at all, so
    a download that was killed is continued with the jars it had not finished. Of two processes that find jars
    missing, one fetches while the other waits.

    Raises:
        JarsError: the cache can't be written, or a jar can't be fetched, or is another than the lock names.

    """
    if _missing(jars, libs):
        try:
            libs.mkdir(parents=True, exist_ok=True)
            with _exclusive(libs.parent / ".lock"):
                _fetch_all(jars, libs, progress)
        except OSError as error:
            raise JarsError(
                f"Jars can't be stored in {libs}: {error}. "
                "Free space there, or set ABDRIFT_CACHE to a folder that can be written."
            ) from error
    return tuple(libs / jar.file_name for jar in jars)


def _missing(jars: Iterable[Jar], libs: Path) -> list[Jar]:
    return [jar for jar in jars if not jar.is_at(libs / jar.file_name)]


@contextlib.contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _fetch_all(jars: tuple[Jar, ...], libs: Path, progress: Progress | None) -> None:
    for leftover in libs.glob(f"{_PART_PREFIX}*"):
        shutil.rmtree(leftover, ignore_errors=True)
    missing = _missing(jars, libs)
    total = sum(jar.size_bytes for jar in jars)
    meter = _Meter(total - sum(jar.size_bytes for jar in missing), total, progress)
    with (
        _trusted_authorities(),
        tempfile.TemporaryDirectory(dir=libs, prefix=_PART_PREFIX) as part,
        ThreadPoolExecutor(_DOWNLOADS_AT_ONCE) as threads,
    ):
        fetches = [threads.submit(_fetch, jar, libs, Path(part), meter) for jar in missing]
        try:
            for fetch in fetches:
                fetch.result()
        finally:
            threads.shutdown(wait=True, cancel_futures=True)


@contextlib.contextmanager
def _trusted_authorities() -> Iterator[None]:
    """Have requests trust what OpenSSL's own variables name; it reads others, and jgo lets nothing be passed."""
    named = os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR")
    if not named or os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE"):
        yield
        return
    os.environ["REQUESTS_CA_BUNDLE"] = named
    try:
        yield
    finally:
        del os.environ["REQUESTS_CA_BUNDLE"]


def _fetch(jar: Jar, libs: Path, part: Path, meter: "_Meter") -> None:
    reason = "no try was made"
    for attempt in range(_TRIES):
        # jgo refuses to overwrite, so every try has a folder of its own.
        repository = part / f"{jar.file_name}.{attempt}"
        try:
            path = _download(jar, repository, meter)
        except (RequestException, RuntimeError) as error:
            reason = str(error)
            time.sleep(attempt)
            continue
        if jar.is_at(path):
            path.replace(libs / jar.file_name)
            return
        reason = f"what arrived is not sha256:{jar.sha256} of {jar.size_bytes} bytes"
    raise JarsError(
        f"The jar {jar.coordinates} can't be fetched: {reason}. Check the network, the proxy settings and "
        f"SSL_CERT_FILE and run again (what has arrived is kept), or copy the jar to {libs / jar.file_name}."
    )


def _download(jar: Jar, repository: Path, meter: "_Meter") -> Path:
    resolver = PythonResolver(progress_callback=meter.file)
    context = MavenContext(resolver, repo_cache=repository, local_repos=[], timeout=_TIMEOUT_SECONDS)
    component = context.project(jar.group, jar.artifact).at_version(jar.version)
    return component.artifact(classifier=jar.classifier).resolve()


class _Meter:
    """Sums what several threads receive."""

    def __init__(self, present_bytes: int, total_bytes: int, progress: Progress | None) -> None:
        self._present_bytes = present_bytes
        self._total_bytes = total_bytes
        self._progress = progress
        self._lock = threading.Lock()

    def file(self, _name: str, _size_bytes: int) -> "contextlib.AbstractContextManager[Callable[[int], None]]":
        return contextlib.nullcontext(self._received)

    def _received(self, count: int) -> None:
        with self._lock:
            # A second try receives again what a failed one had.
            self._present_bytes = min(self._present_bytes + count, self._total_bytes)
            if self._progress:
                self._progress(self._present_bytes, self._total_bytes)


def class_path(jars: Iterable[Path]) -> str:
    """Return Java's `-cp` of these jars, in a fixed order."""
    return os.pathsep.join(str(path) for path in sorted(jars))
