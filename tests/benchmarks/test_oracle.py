"""The oracle agrees with counting row by row, and refuses an engine that is off by one."""

from collections import Counter
from pathlib import Path

import pytest

from benchmarks.oracle import TOTALS_FILE, WARNINGS_FILE, Oracle, WrongCountsError
from benchmarks.workload import MINUTE_MS, Workload, WorkloadSpec


def counted(workload: Workload) -> tuple[Counter[tuple[object, ...]], Counter[tuple[object, ...]]]:
    totals: Counter[tuple[object, ...]] = Counter()
    warnings: Counter[tuple[object, ...]] = Counter()
    for frame in range(workload.spec.frames):
        columns = {name: column.to_pylist() for name, column in workload.columns(workload.rows(frame)).items()}
        for row in zip(*columns.values(), strict=True):
            event = dict(zip(columns, row, strict=True))
            totals[event["cluster"], event["namespace"]] += event["count"]
            if event["type"] == "Warning":
                place = (event["cluster"], event["namespace"], event["object_kind"], event["object_name"])
                warnings[*place, event["last_ms"] // MINUTE_MS] += event["count"]
    return totals, warnings


def leave(folder: Path, totals: Counter[tuple[object, ...]], warnings: Counter[tuple[object, ...]]) -> None:
    for name, counts in ((TOTALS_FILE, totals), (WARNINGS_FILE, warnings)):
        lines = ("\t".join(map(str, (*key, count))) for key, count in counts.items())
        folder.joinpath(name).write_text("".join(f"{line}\n" for line in lines))


@pytest.mark.parametrize("pod_names", [False, True], ids=["workloads", "pods"])
def test_right_counts_pass(tmp_path: Path, pod_names: bool) -> None:
    workload = Workload(WorkloadSpec(rows=4_000, rows_per_frame=500, pod_names=pod_names))
    leave(tmp_path, *counted(workload))
    oracle = Oracle(workload)
    oracle.check(tmp_path, oracle.expected())


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        pytest.param("totals", 1, "differs first", id="one too many"),
        pytest.param("warnings", -1, "differs first", id="one Warning lost"),
        pytest.param("warnings", None, "keys", id="a key lost"),
    ],
)
def test_wrong_counts_are_refused(tmp_path: Path, file: str, change: int | None, said: str) -> None:
    workload = Workload(WorkloadSpec(rows=2_000, rows_per_frame=500))
    counts = dict(zip(("totals", "warnings"), counted(workload), strict=True))
    key = next(iter(counts[file]))
    if change is None:
        del counts[file][key]
    else:
        counts[file][key] += change
    leave(tmp_path, counts["totals"], counts["warnings"])
    oracle = Oracle(workload)
    with pytest.raises(WrongCountsError, match=said):
        oracle.check(tmp_path, oracle.expected())


def test_a_name_that_no_row_has_is_refused(tmp_path: Path) -> None:
    workload = Workload(WorkloadSpec(rows=500, rows_per_frame=500))
    totals, warnings = counted(workload)
    totals["edge-x", "team-01"] = 1
    leave(tmp_path, totals, warnings)
    oracle = Oracle(workload)
    with pytest.raises(WrongCountsError, match="edge-x"):
        oracle.check(tmp_path, oracle.expected())
