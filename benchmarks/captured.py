"""Remote write's request bodies as a real Prometheus sent them, and the same again at later times.

A Prometheus scrapes itself under many names and writes what it scraped to a server here, which keeps the bodies. To
send more than was captured, all times of a body are moved on by the length of the capture, in place: a time has as
many bytes before as after.
"""

import contextlib
import json
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

import cramjam
import numpy as np
import numpy.typing as npt

from abdrift.broker import ports
from benchmarks.measuring import PinnedProgram, RunError
from collectors.prometheus import protobuf, snappy
from collectors.prometheus.samples import FULL, ZERO

SHARDS: Final = 8
"""How many requests Prometheus sends at the same time."""
_SERIES_TAG: Final = 0x0A
_TIME_BYTES: Final = 6
_MOST_BYTES: Final = 64 << 20
_POLL_SECONDS: Final = 0.1
_INTERVAL_SECONDS: Final = 1
_PATIENCE_SECONDS: Final = 120.0


@dataclass(frozen=True, slots=True)
class Body:
    """One request, decompressed, and where the times of its samples are."""

    raw: bytes
    places: npt.NDArray[np.int64]
    times_ms: npt.NDArray[np.int64]
    chain: int = 0
    """Requests of one chain have series in common and follow one another; Prometheus sends each from a shard."""

    @property
    def rows(self) -> int:
        """The number of samples."""
        return len(self.places)

    def moved(self, by_ms: int) -> bytes:
        """Return the request with all times moved, compressed as senders do it."""
        data = np.frombuffer(self.raw, dtype=np.uint8).copy()
        septets = (self.times_ms + by_ms)[:, None] >> np.arange(0, 7 * _TIME_BYTES, 7)
        more = np.array([0x80] * (_TIME_BYTES - 1) + [0])
        data[self.places[:, None] + np.arange(_TIME_BYTES)] = septets & 0x7F | more
        return bytes(cramjam.snappy.compress_raw(data.tobytes()))


@dataclass(frozen=True, slots=True)
class Captured:
    """Bodies in the order in which they came, and over which time their samples range."""

    bodies: tuple[Body, ...]
    span_ms: int

    @property
    def rows(self) -> int:
        """The number of samples."""
        return sum(body.rows for body in self.bodies)

    def enough(self, rows: int) -> Iterator[tuple[bytes, Body]]:
        """Yield requests and what they were made of, over and over at later times, until there are so many samples.

        The last of them are of now.
        """
        rounds = -(-rows // self.rows)
        latest_ms = max(int(body.times_ms.max()) for body in self.bodies)
        begin_ms = round(time.time() * 1_000) - latest_ms - rounds * self.span_ms
        made = 0
        for turn in range(rounds):
            for body in self.bodies:
                if made < rows:
                    yield body.moved(begin_ms + turn * self.span_ms), body
                    made += body.rows


def program() -> Path:
    """Return the path of Prometheus.

    Raises:
        RunError: it is not installed; the message says how to get it.

    """
    if found := shutil.which("prometheus"):
        return Path(found)
    raise RunError("prometheus is not installed. On Debian or Ubuntu, as root: apt-get install prometheus")


def capture(folder: Path, *, instances: int, samples_per_request: int, rows: int, core: int) -> Captured:
    """Run a Prometheus until it has written so many samples, and return what it wrote.

    Raises:
        RunError: it ended, or took too long.

    """
    kept: list[bytes] = []
    with _recorder(kept) as port:
        own, config = f"{ports.HOST}:{ports.choose()}", folder / "capture.json"
        queue = {"max_samples_per_send": samples_per_request, "capacity": 10 * samples_per_request}
        queue |= {"min_shards": SHARDS, "max_shards": SHARDS}
        to = {"url": f"http://{ports.HOST}:{port}/", "queue_config": queue}
        targets = [{"targets": [own], "labels": {"instance": f"host-{number:04d}:9090"}} for number in range(instances)]
        settings = {
            "global": {"scrape_interval": f"{_INTERVAL_SECONDS}s", "scrape_timeout": f"{_INTERVAL_SECONDS}s"},
            "scrape_configs": [{"job_name": "prometheus", "static_configs": targets}],
            "remote_write": [{**to, "metadata_config": {"send": False}}],
        }
        config.write_text(json.dumps(settings))  # which is YAML too
        command = (str(program()), f"--config.file={config}", f"--web.listen-address={own}", "--log.level=warn")
        with PinnedProgram((*command, f"--storage.tsdb.path={folder / 'capture'}"), core) as running:
            deadline = time.monotonic() + _PATIENCE_SECONDS
            while samples_per_request * len(kept) < rows:
                if running.process.popen.poll() is not None or time.monotonic() > deadline:
                    running.drain()
                    raise RunError(running.told(f"Prometheus wrote {len(kept)} requests only"))
                time.sleep(_POLL_SECONDS)
    bodies = chained([found for body in kept if (found := body_of(snappy.decompressed(body, _MOST_BYTES)))])
    times = np.concatenate([body.times_ms for body in bodies])
    return Captured(bodies, int(times.max() - times.min()) + 1_000 * _INTERVAL_SECONDS)


def body_of(raw: bytes) -> Body | None:
    """Return a request whose series all have one sample, laid out as Prometheus does it; None for others."""
    starts: list[int] = []
    stops: list[int] = []
    if protobuf.run(raw, 0, _SERIES_TAG, starts, stops) != len(raw) or not starts:
        return None
    data, ends = np.frombuffer(raw, dtype=np.uint8), np.array(stops)
    full = FULL.found(data, ends - FULL.size)
    zero = ZERO.found(data, ends - ZERO.size) & ~full
    if not (full | zero).all():
        return None
    _, times_ms = ZERO.read(data, ends - ZERO.size)
    return Body(raw, ends - _TIME_BYTES, times_ms)


def chained(bodies: Sequence[Body]) -> tuple[Body, ...]:
    """Return the bodies with their chains told."""
    chains = list(range(len(bodies)))

    def first(number: int) -> int:
        while chains[number] != number:
            chains[number] = chains[chains[number]]
            number = chains[number]
        return number

    seen: dict[bytes, int] = {}
    for number, body in enumerate(bodies):
        for series in _series(body):
            chains[first(seen.setdefault(series, number))] = first(number)
    return tuple(replace(body, chain=first(number)) for number, body in enumerate(bodies))


def _series(body: Body) -> Iterator[bytes]:
    """Yield what names each series: its message up to the sample."""
    starts: list[int] = []
    stops: list[int] = []
    protobuf.run(body.raw, 0, _SERIES_TAG, starts, stops)
    data, ends = np.frombuffer(body.raw, dtype=np.uint8), np.array(stops)
    samples = np.where(FULL.found(data, ends - FULL.size), FULL.size, ZERO.size)
    for start, end in zip(starts, (ends - samples).tolist(), strict=True):
        yield body.raw[start:end]


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Say nothing: a sender that is stopped breaks its connections off."""


@contextlib.contextmanager
def _recorder(kept: list[bytes]) -> Iterator[int]:
    """Keep what is sent to a port of this machine while inside; yield the port."""

    class Keep(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(size_bytes := int(self.headers["Content-Length"]))
            if len(body) == size_bytes:
                kept.append(body)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with _Server((ports.HOST, 0), Keep) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()
