from __future__ import annotations

from typing import Any

import pytest

from collectors.kubernetes.event_rows import EventCounts, count_of, event_row, times_of

T1, T2 = "2026-11-23T04:00:01Z", "2026-11-23T04:00:02.5Z"
T1_MS, T2_MS = 1795406401000, 1795406402500


def event(**fields: Any) -> dict[str, Any]:
    return {"metadata": {"uid": "e1", "name": "x"}, **fields}


@pytest.mark.parametrize(
    ("given", "times", "count"),
    [
        pytest.param(event(firstTimestamp=T1, lastTimestamp=T2, count=4), (T1_MS, T2_MS), 4, id="core"),
        pytest.param(event(eventTime=T1, series={"count": 7, "lastObservedTime": T2}), (T1_MS, T2_MS), 7, id="series"),
        pytest.param(event(eventTime=T1, firstTimestamp=None, lastTimestamp=None), (T1_MS, T1_MS), 1, id="once"),
        pytest.param({"metadata": {"uid": "e", "creationTimestamp": T1}}, (T1_MS, T1_MS), 1, id="created-only"),
        pytest.param(event(), (0, 0), 1, id="no-times"),
    ],
)
def test_times_and_counts_of_both_apis(given: dict[str, Any], times: tuple[int, int], count: int) -> None:
    assert (times_of(given), count_of(given)) == (times, count)


def test_counts_are_told_as_differences() -> None:
    counts = EventCounts()
    seen = [counts.added("e", count, first_sight=count) for count in (3, 3, 5, 2)]
    assert seen == [3, 0, 2, 0]


def test_the_oldest_counts_make_room() -> None:
    counts = EventCounts(capacity=2)
    for uid in "abc":
        counts.added(uid, 1, first_sight=1)
    assert len(counts) == 2
    assert [counts.added(uid, 1, first_sight=9) for uid in "bca"] == [0, 0, 9]


def test_an_event_becomes_a_row() -> None:
    given = event(
        type="Warning",
        reason="BackOff",
        message="m" * 3000,
        source={"component": "kubelet"},
        involvedObject={"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "demo", "name": "web", "uid": "u"},
        firstTimestamp=T1,
        lastTimestamp=T2,
    )
    given["metadata"]["annotations"] = {"kustomize.toolkit.fluxcd.io/revision": "main@sha1:ab"}
    row = event_row("edge", given, 2, 99)
    assert (row.object_group, row.object_kind, row.object_name, row.namespace) == ("apps", "Deployment", "web", "demo")
    assert (row.count, row.first_ms, row.last_ms, row.observed_ms) == (2, T1_MS, T2_MS, 99)
    assert (row.component, row.revision, len(row.message)) == ("kubelet", "main@sha1:ab", 2000)
