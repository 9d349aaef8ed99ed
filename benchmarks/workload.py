"""The events of a fleet, from a seed: by columns, as frames, as JSON, and what every engine must have counted of them.

Row `i` of frame `f` is the same whoever asks, so a peer that reads fewer rows reads the first frames of the same
workload. Clusters are drawn evenly; workload names, and reasons within Normal and Warning, by Zipf's law; event times
lie within three seconds of the time of arrival, in whole seconds where the writer uses the older Events API.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from abdrift import frames
from abdrift.frames import EncodedFrame
from abdrift.partitions import partition_of
from abdrift.signals.events import EVENTS
from benchmarks import kubernetes_events
from benchmarks.messages import messages, uids

Codes = npt.NDArray[np.int64]

BEGIN_MS: Final = 1_790_000_040_000
"""When the first row arrives: the start of a minute."""
MINUTE_MS: Final = 60_000
_JITTER_MS: Final = 3_000
_WARNINGS: Final = 0.14
_REPEATED: Final = 0.1
_ZIPF_NAMES: Final = 1.1
_ZIPF_REASONS: Final = 1.3
_TABLE: Final = 1 << 16
_REPLICAS: Final = 3
_HASHES: Final = 1 << 12
_TYPES: Final = pa.array(["Normal", "Warning"])
_SAFE: Final = np.array(list("bcdfghjklmnpqrstvwxz2456789"))
"""The letters that Kubernetes makes generated names of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadSpec:
    """What to make."""

    rows: int
    rows_per_frame: int = 10_000
    seed: int = 1
    partitions: int = 4
    clusters: int = 1_000
    namespaces: int = 17
    workloads: int = 1_000
    rows_per_second: int = 5_000_000
    """How fast the fleet speaks: event times, and the times at which the broker appends, follow it. It decides how many
    minutes the rows span; no more of them than a workload's window keeps, or an engine's last state could not be held
    against the oracle."""
    clusters_per_frame: int | None = None
    """None: a lane of many, so any cluster of the frame's partition. 1: one cluster a record."""
    messages: bool = False
    """Whether rows carry free text."""
    uids: bool = False
    """Whether rows carry the UIDs of the object and of the Event; collectors leave them out."""
    pod_names: bool = False
    """Whether Pods have generated names (api-000-5f6d8c7b9d-x2vzq): three replicas, named otherwise in each cluster."""

    @property
    def frames(self) -> int:
        """How many frames hold the rows."""
        return -(-self.rows // self.rows_per_frame)

    @property
    def rows_made(self) -> int:
        """`rows`, rounded up to whole frames."""
        return self.frames * self.rows_per_frame


@dataclass(frozen=True, slots=True)
class Rows:
    """One frame's rows as codes into the workload's tables; arrays of one length."""

    frame: int
    partition: int
    cluster: Codes
    namespace: Codes
    event_kind: Codes
    name: Codes
    """Of the object, for `Workload.object_names`: the workload's, or that of one of its Pods."""
    count: Codes
    first_ms: Codes
    last_ms: Codes
    observed_ms: Codes

    def __len__(self) -> int:
        return len(self.cluster)


class Workload:
    """A workload's tables, and its rows frame by frame. Holds no rows itself."""

    def __init__(self, spec: WorkloadSpec) -> None:
        self.spec = spec
        self.cluster_names = pa.array(f"edge-{i:05d}" for i in range(spec.clusters))
        self.namespace_names = pa.array(f"team-{i:02d}" for i in range(spec.namespaces))
        self.workload_names = _workload_names(spec.workloads)
        by_partition: list[list[int]] = [[] for _ in range(spec.partitions)]
        for code, name in enumerate(self.cluster_names.to_pylist()):
            by_partition[partition_of(name, spec.partitions)].append(code)
        if not all(by_partition):
            raise ValueError(f"{spec.clusters} clusters leave a partition of {spec.partitions} empty: take more")
        self._clusters = [np.array(codes) for codes in by_partition]
        self._workload_table = _drawing(_zipf(spec.workloads, _ZIPF_NAMES))
        normal = _zipf(len(kubernetes_events.NORMAL), _ZIPF_REASONS) * (1 - _WARNINGS)
        warning = _zipf(len(kubernetes_events.WARNING), _ZIPF_REASONS) * _WARNINGS
        self._event_kind_table = _drawing(np.concatenate([normal, warning]))

    @cached_property
    def kind_codes(self) -> Codes:
        """By event kind, its object's kind as an index into `kubernetes_events.OBJECT_KINDS`."""
        return np.array([kubernetes_events.OBJECT_KINDS.index(e.object_kind) for e in kubernetes_events.ALL])

    def rows(self, frame: int) -> Rows:
        """Return the rows of a frame; the same at every call."""
        spec = self.spec
        partition = frame % spec.partitions
        size = spec.rows_per_frame
        rng = np.random.default_rng([spec.seed, frame])
        pool = self._clusters[partition]
        if spec.clusters_per_frame:
            first = frame // spec.partitions * spec.clusters_per_frame
            pool = pool[np.arange(first, first + spec.clusters_per_frame) % len(pool)]
        event_kind = self._event_kind_table[rng.integers(0, _TABLE, size)]
        workload = self._workload_table[rng.integers(0, _TABLE, size)]
        cluster = pool[rng.integers(0, len(pool), size)]
        name = workload
        if spec.pod_names:
            pod = (cluster * 7919 + workload * 104_729) % _HASHES * _REPLICAS + rng.integers(0, _REPLICAS, size)
            is_pod = self.kind_codes[event_kind] == kubernetes_events.OBJECT_KINDS.index("Pod")
            name = np.where(is_pod, workload + (pod + 1) * spec.workloads, workload)
        count = np.where(rng.random(size) < _REPEATED, rng.integers(2, 10, size), 1)
        observed_ms = BEGIN_MS + (frame * spec.rows_per_frame + np.arange(size)) * 1000 // spec.rows_per_second
        last_ms = observed_ms + rng.integers(-_JITTER_MS, _JITTER_MS + 1, size)
        last_ms -= np.where(_HAS_MILLISECONDS[event_kind], 0, last_ms % 1000)
        first_ms = last_ms - np.where(count > 1, rng.integers(1, 600, size) * 1000, 0)
        return Rows(
            frame=frame,
            partition=partition,
            cluster=cluster,
            namespace=rng.integers(0, spec.namespaces, size),
            event_kind=event_kind,
            name=name,
            count=count,
            first_ms=first_ms,
            last_ms=last_ms,
            observed_ms=observed_ms,
        )

    def arrived_ms(self, frame: int) -> int:
        """Return when a frame's first row arrives, since the workload's first one."""
        return frame * self.spec.rows_per_frame * 1000 // self.spec.rows_per_second

    def columns(self, rows: Rows) -> dict[str, pa.Array]:
        """Return the rows as columns of `EVENTS`, as `abdrift.frames.encode` takes them."""
        columns = {
            "cluster": _dictionary(rows.cluster, self.cluster_names),
            "namespace": _dictionary(rows.namespace, self.namespace_names),
            "type": _dictionary((rows.event_kind >= len(kubernetes_events.NORMAL)).astype(np.int64), _TYPES),
            **{
                name: _dictionary(rows.event_kind, pa.array(getattr(kind, name) for kind in kubernetes_events.ALL))
                for name in ("reason", "component", "object_group", "object_kind")
            },
            "object_name": self.object_names(rows.name),
            "count": pa.array(rows.count, type=pa.int32()),
            **{name: pa.array(getattr(rows, name)) for name in ("first_ms", "last_ms", "observed_ms")},
        }
        rng = np.random.default_rng([self.spec.seed, rows.frame, 1])
        if self.spec.uids:
            columns["object_uid"], columns["uid"] = uids(rng, len(rows)), uids(rng, len(rows))
        if self.spec.messages:
            columns["message"] = messages(rng, rows.event_kind, columns)
        return columns

    def object_names(self, codes: Codes) -> pa.Array:
        """Return the names that codes of `Rows.name` stand for."""
        plain = _dictionary(codes % self.spec.workloads, self.workload_names)
        pod = codes // self.spec.workloads - 1
        if not self.spec.pod_names:
            return plain
        of_replica_set = _dictionary(pod // _REPLICAS, _HASH_NAMES).cast(pa.string())
        of_pod = pc.utf8_slice_codeunits(_dictionary(pod % _HASHES, _HASH_NAMES).cast(pa.string()), 0, 5)
        named = pc.binary_join_element_wise(plain.cast(pa.string()), of_replica_set, of_pod, "-")
        return pc.if_else(pa.array(pod >= 0), named, plain.cast(pa.string()))

    def frames(self) -> Iterator[tuple[int, EncodedFrame]]:
        """Yield (partition, frame) in the order of arrival, as one source's lanes send them."""
        sequences = [0] * self.spec.partitions
        for frame in range(self.spec.frames):
            rows = self.rows(frame)
            sequences[rows.partition] += 1
            part = ("kubernetes/bench", 1, sequences[rows.partition])
            yield rows.partition, frames.encode(EVENTS, self.columns(rows), part)

    def json_events(self) -> Iterator[tuple[int, list[tuple[bytes, bytes]]]]:
        """Yield (partition, [(key, CloudEvent as JSON)]) for each frame's rows, one record a row, keyed by cluster."""
        for frame in range(self.spec.frames):
            rows = self.rows(frame)
            times = pc.strftime(pa.array(rows.last_ms, type=pa.timestamp("ms")), "%Y-%m-%dT%H:%M:%SZ").to_pylist()
            columns = {name: _values(column) for name, column in self.columns(rows).items()}
            said = {name: values for name, values in columns.items() if any(values)}
            yield (
                rows.partition,
                [
                    _cloudevent(f"{frame}-{row}", time, dict(zip(said, values, strict=True)))
                    for row, (time, *values) in enumerate(zip(times, *said.values(), strict=True))
                ],
            )


def workload(spec: WorkloadSpec, **changes: Any) -> Workload:
    """Return the workload of a spec, changed by field."""
    return Workload(replace(spec, **changes))


def _cloudevent(position: str, time: str, data: dict[str, Any]) -> tuple[bytes, bytes]:
    cluster = data["cluster"]
    event = {
        "specversion": "1.0",
        "id": f"{cluster}-{position}",
        "source": f"/clusters/{cluster}",
        "type": "io.k8s.core.v1.Event",
        "time": time,
        "datacontenttype": "application/json",
        "data": data,
    }
    return cluster.encode(), orjson.dumps(event)


def _zipf(size: int, exponent: float) -> npt.NDArray[np.float64]:
    weights = 1.0 / np.arange(1, size + 1) ** exponent
    shares: npt.NDArray[np.float64] = weights / weights.sum()
    return shares


def _drawing(shares: npt.NDArray[np.float64]) -> Codes:
    """Return a table whose entries, drawn evenly, follow the shares: much faster than drawing by shares."""
    return np.searchsorted(np.cumsum(shares), (np.arange(_TABLE) + 0.5) / _TABLE).clip(0, len(shares) - 1)


def _dictionary(codes: Codes, values: pa.Array) -> pa.DictionaryArray:
    # A code below zero stands for what the caller masks.
    return pa.DictionaryArray.from_arrays(pa.array(codes.clip(0), type=pa.int32()), values)


def _values(column: pa.Array) -> list[Any]:
    if not pa.types.is_dictionary(column.type):
        return list(column.to_pylist())
    # Ten times as fast as Arrow's own way, which makes a scalar of each row.
    values = column.dictionary.to_pylist()
    return [values[code] for code in column.indices.to_numpy().tolist()]


def _workload_names(size: int) -> pa.Array:
    nouns = ("api", "web", "worker", "cache", "gateway", "billing", "ledger", "search", "mail", "metrics")
    return pa.array(f"{nouns[i % len(nouns)]}-{i // len(nouns):03d}" for i in range(size))


def _hash_names() -> pa.Array:
    """Return names of ten letters that differ in their first five."""
    drawn = np.random.default_rng(0).integers(0, len(_SAFE), (2 * _HASHES, 10))
    names = {"".join(letters[:5]): "".join(letters) for letters in _SAFE[drawn]}
    return pa.array(list(names.values())[:_HASHES])


_HASH_NAMES: Final = _hash_names()
_HAS_MILLISECONDS: Final = np.array([kind.has_milliseconds for kind in kubernetes_events.ALL])
