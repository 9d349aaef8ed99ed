"""Free text and UIDs for a workload's rows: templates filled with names, hashes and numbers."""

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
    sizes = rng.integers(1 << 20, 1 << 29, size).tolist()
    drawn_uids = uids(rng, size).to_pylist()
    templates = [kind.message.format for kind in kubernetes_events.ALL]
    return pa.array(
        templates[code](
            name=name,
            pod=f"{name}-{digest[:9]}-{digest[5:]}",
            namespace=namespace,
            hash=digest,
            ip=f"10.{number}.{size_bytes & 255}.{size_bytes >> 8 & 255}",
            number=number,
            milliseconds=duration,
            size_bytes=size_bytes,
            uid=uid,
        )
        for code, name, namespace, digest, number, duration, size_bytes, uid in zip(
            event_kind.tolist(), names, namespaces, hashes, numbers, milliseconds, sizes, drawn_uids, strict=True
        )
    )


def uids(rng: np.random.Generator, size: int) -> pa.Array:
    """Return random UIDs as Kubernetes writes them."""
    text = rng.bytes(16 * size).hex()
    digits = [text[at : at + 32] for at in range(0, len(text), 32)]
    return pa.array(f"{d[:8]}-{d[8:12]}-4{d[13:16]}-a{d[17:20]}-{d[20:]}" for d in digits)
