"""Free text and UIDs for a workload's rows: templates filled with names, hashes and numbers."""

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from benchmarks import kubernetes_events


def messages(rng: np.random.Generator, event_kind: npt.NDArray[np.int64], columns: Mapping[str, Any]) -> pa.Array:
    """Return a message a row: its reason's template with the row's names, and hashes and numbers drawn anew."""
    size = len(event_kind)
    names = columns["object_name"].to_pylist()
    namespaces = columns["namespace"].to_pylist()
    hashes = [f"{number:010x}" for number in rng.integers(0, 1 << 40, size)]
    numbers = rng.integers(1, 200, size).tolist()
    milliseconds = rng.integers(20, 30_000, size).tolist()
    scheduled = rng.integers(29_833_000, 29_834_000, size).tolist()
    drawn_uids = uids(rng, size).to_pylist()
    templates = [kind.message.format for kind in kubernetes_events.ALL]
    return pa.array(
        templates[code](
            name=name,
            pod=f"{name}-{digest[:9]}-{digest[5:]}",
            namespace=namespace,
            hash=digest,
            ip=f"10.{number}.{duration & 255}.{duration >> 8}",
            number=number,
            milliseconds=duration,
            scheduled=minutes,
            # The same image is as large in every cluster.
            tag=zlib.crc32(name.encode()) % 200,
            image_bytes=zlib.crc32(name.encode()) >> 3,
            uid=uid,
        )
        for code, name, namespace, digest, number, duration, minutes, uid in zip(
            event_kind.tolist(), names, namespaces, hashes, numbers, milliseconds, scheduled, drawn_uids, strict=True
        )
    )


def uids(rng: np.random.Generator, size: int) -> pa.Array:
    """Return random UIDs as Kubernetes writes them."""
    text = rng.bytes(16 * size).hex()
    digits = [text[at : at + 32] for at in range(0, len(text), 32)]
    return pa.array(f"{d[:8]}-{d[8:12]}-4{d[13:16]}-a{d[17:20]}-{d[20:]}" for d in digits)
