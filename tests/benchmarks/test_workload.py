"""The workload is what it says, and the same for every engine."""

from collections import Counter

import msgspec
import numpy as np
import pytest

from abdrift import frames
from abdrift.partitions import partition_of
from abdrift.signals.events import rows_of
from benchmarks import kubernetes_events
from benchmarks.workload import Workload, WorkloadSpec

SMALL = WorkloadSpec(rows=40_000)


def test_same_seed_same_rows_and_another_seed_other_ones() -> None:
    first, again = Workload(SMALL).rows(3), Workload(SMALL).rows(3)
    other = Workload(WorkloadSpec(rows=40_000, seed=2)).rows(3)
    assert np.array_equal(first.cluster, again.cluster)
    assert not np.array_equal(first.cluster, other.cluster)


def test_a_shorter_workload_is_the_beginning_of_a_longer_one() -> None:
    short, long = Workload(WorkloadSpec(rows=10_000)), Workload(SMALL)
    assert [f.value for _, f in short.frames()] == [f.value for _, f in long.frames()][:1]


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(SMALL, id="many clusters a frame"),
        pytest.param(WorkloadSpec(rows=4_000, rows_per_frame=500, messages=True), id="messages"),
        pytest.param(WorkloadSpec(rows=4_000, rows_per_frame=500, pod_names=True, uids=True), id="pods and uids"),
        pytest.param(WorkloadSpec(rows=4_000, rows_per_frame=500, clusters_per_frame=1), id="one cluster a record"),
    ],
)
def test_frames_and_json_hold_the_same_rows_in_their_clusters_partition(spec: WorkloadSpec) -> None:
    workload = Workload(spec)
    of_frames = [(p, rows_of(frames.decode(f.value, f.headers).batch)) for p, f in workload.frames()]
    of_json = [(p, [msgspec.json.decode(value)["data"] for _, value in rows]) for p, rows in workload.json_events()]
    for (partition, rows), (json_partition, said) in zip(of_frames, of_json, strict=True):
        assert partition == json_partition
        assert {partition_of(row.cluster, spec.partitions) for row in rows} == {partition}
        assert spec.clusters_per_frame is None or len({row.cluster for row in rows}) == spec.clusters_per_frame
        for row, data in zip(rows, said, strict=True):
            assert data == {name: value for name, value in msgspec.structs.asdict(row).items() if name in data}


def test_it_is_as_mixed_as_a_fleet() -> None:
    workload = Workload(WorkloadSpec(rows=200_000))
    rows = [workload.rows(frame) for frame in range(20)]
    names = Counter(np.concatenate([r.name for r in rows]).tolist())
    kinds = np.concatenate([r.event_kind for r in rows])
    late = np.concatenate([r.last_ms - r.observed_ms for r in rows])
    assert len(set(np.concatenate([r.cluster for r in rows]).tolist())) == 1_000
    assert len(set(np.concatenate([r.namespace for r in rows]).tolist())) == 17
    assert len(names) > 900
    assert names.most_common(1)[0][1] > 100 * names.most_common(900)[-1][1]
    assert len(set(kinds.tolist())) == 24
    assert 0.13 < (kinds >= len(kubernetes_events.NORMAL)).mean() < 0.15
    assert late.min() < -2_900
    assert late.max() > 2_000


def test_a_partition_without_clusters_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        Workload(WorkloadSpec(rows=1, clusters=2, partitions=64))
