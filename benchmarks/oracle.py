"""What every engine must have counted, and whether one did.

The job: the sum of `count` per cluster and namespace, and of Warnings per object (cluster, namespace, kind, name) and
minute of event time. An engine leaves its counts in a folder as two files of tab-separated lines, which Java writes as
easily as Python:

- `totals.tsv`: cluster, namespace, count
- `warnings.tsv`: cluster, namespace, kind, name, minute (since the epoch), count
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from benchmarks import kubernetes_events
from benchmarks.workload import BEGIN_MS, MINUTE_MS, Rows, Workload

TOTALS_FILE: Final = "totals.tsv"
WARNINGS_FILE: Final = "warnings.tsv"
_FIRST_MINUTE: Final = BEGIN_MS // MINUTE_MS - 1
_MINUTES: Final = 1 << 12
_CONSOLIDATED_ROWS: Final = 1 << 21
_NAMES_A_WORKLOAD: Final = 1 << 14

Keys = npt.NDArray[np.int64]


class WrongCountsError(AssertionError):
    """An engine counted otherwise than the oracle; the message says where first."""


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums by key: keys ascending, each once."""

    keys: Keys
    sums: Keys

    @classmethod
    def of(cls, keys: Keys, values: Keys) -> "Sums":
        """Add up the values by key."""
        if not len(keys):
            return cls(keys, values)
        order = np.argsort(keys, kind="stable")
        keys, values = keys[order], values[order]
        firsts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
        return cls(keys[firsts], np.add.reduceat(values, firsts))


@dataclass(frozen=True, slots=True)
class Counts:
    """What the job counts: sums by packed key."""

    totals: Sums
    warnings: Sums


class Oracle:
    """A workload's counts, by numpy, apart from any engine."""

    def __init__(self, workload: Workload) -> None:
        self.workload = workload

    def expected(self) -> Counts:
        """Return what must be counted."""
        totals, warnings = _Adder(), _Adder()
        for frame in range(self.workload.spec.frames):
            rows = self.workload.rows(frame)
            totals.add(rows.cluster * self.workload.spec.namespaces + rows.namespace, rows.count)
            is_warning = rows.event_kind >= len(kubernetes_events.NORMAL)
            warnings.add(self._warning_keys(rows)[is_warning], rows.count[is_warning])
        return Counts(totals.sums(), warnings.sums())

    def check(self, folder: Path, expected: Counts) -> None:
        """Hold what an engine left in a folder against what is expected.

        Raises:
            WrongCountsError: it differs, names what no row of the workload has, or can't be read.

        """
        try:
            totals, warnings = self._read(folder, expected)
        except (OSError, pa.ArrowInvalid) as error:
            raise WrongCountsError(f"what was counted can't be read: {error}") from error
        for name, got, wanted in (
            (TOTALS_FILE, totals, expected.totals),
            (WARNINGS_FILE, warnings, expected.warnings),
        ):
            if len(got.keys) != len(wanted.keys):
                raise WrongCountsError(f"{name} has {len(got.keys)} keys, not {len(wanted.keys)}")
            if not np.array_equal(got.keys, wanted.keys) or not np.array_equal(got.sums, wanted.sums):
                at = int(np.flatnonzero((got.keys != wanted.keys) | (got.sums != wanted.sums))[0])
                raise WrongCountsError(
                    f"{name} differs first at key {wanted.keys[at]}: {got.keys[at]} has {got.sums[at]}, "
                    f"not {wanted.sums[at]}"
                )

    def _read(self, folder: Path, expected: Counts) -> tuple[Sums, Sums]:
        totals = _table(folder / TOTALS_FILE, ("cluster", "namespace"), ("count",))
        warnings = _table(folder / WARNINGS_FILE, ("cluster", "namespace", "kind", "name"), ("minute", "count"))
        names = self._names(expected)
        codes = {
            "cluster": pa.array(self.workload.cluster_names),
            "namespace": pa.array(self.workload.namespace_names),
            "kind": pa.array(kubernetes_events.OBJECT_KINDS),
            "name": self.workload.object_names(names),
        }
        at = {name: _codes(warnings, name, values) for name, values in codes.items()}
        keys = self._pack(at["cluster"], at["namespace"], at["kind"], names[at["name"]], _numbers(warnings, "minute"))
        of_totals = _codes(totals, "cluster", codes["cluster"]) * self.workload.spec.namespaces
        of_totals += _codes(totals, "namespace", codes["namespace"])
        return Sums.of(of_totals, _numbers(totals, "count")), Sums.of(keys, _numbers(warnings, "count"))

    def _warning_keys(self, rows: Rows) -> Keys:
        kinds = self.workload.kind_codes[rows.event_kind]
        return self._pack(rows.cluster, rows.namespace, kinds, rows.name, rows.last_ms // MINUTE_MS)

    def _pack(self, cluster: Keys, namespace: Keys, kind: Keys, name: Keys, minute: Keys) -> Keys:
        place = (cluster * self.workload.spec.namespaces + namespace) * len(kubernetes_events.OBJECT_KINDS) + kind
        since = minute - _FIRST_MINUTE
        if len(since) and not 0 <= since.min() <= since.max() < _MINUTES:
            raise WrongCountsError(f"minutes {minute.min()} to {minute.max()} are not the workload's")
        return (place * self._name_codes + name) * _MINUTES + since

    @property
    def _name_codes(self) -> int:
        return self.workload.spec.workloads * _NAMES_A_WORKLOAD

    def _names(self, expected: Counts) -> Keys:
        return np.unique(expected.warnings.keys // _MINUTES % self._name_codes)


class _Adder:
    """Adds up by key in memory that grows with the keys rather than with the rows."""

    def __init__(self) -> None:
        self._keys: list[Keys] = []
        self._values: list[Keys] = []
        self._pending = 0

    def add(self, keys: Keys, values: Keys) -> None:
        self._keys.append(keys)
        self._values.append(values)
        self._pending += len(keys)
        if self._pending > max(_CONSOLIDATED_ROWS, len(self._keys[0])):
            self.sums()

    def sums(self) -> Sums:
        sums = Sums.of(np.concatenate(self._keys), np.concatenate(self._values))
        self._keys, self._values, self._pending = [sums.keys], [sums.sums], 0
        return sums


def _table(path: Path, texts: tuple[str, ...], numbers: tuple[str, ...]) -> pa.Table:
    types = {**{name: pa.dictionary(pa.int32(), pa.string()) for name in texts}, **dict.fromkeys(numbers, pa.int64())}
    return csv.read_csv(
        path,
        read_options=csv.ReadOptions(column_names=list(types)),
        parse_options=csv.ParseOptions(delimiter="\t", quote_char=False),
        convert_options=csv.ConvertOptions(column_types=types),
    ).combine_chunks()


def _codes(table: pa.Table, column: str, values: pa.Array) -> Keys:
    found = pc.index_in(table[column].cast(pa.string()), value_set=values.cast(pa.string()))
    if found.null_count:
        stranger = table[column].filter(found.is_null())[0].as_py()
        raise WrongCountsError(f"{column} {stranger!r} is in no row of the workload")
    return np.asarray(found.to_numpy(), dtype=np.int64)


def _numbers(table: pa.Table, column: str) -> Keys:
    return np.asarray(table[column].to_numpy(), dtype=np.int64)
