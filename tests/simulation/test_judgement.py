"""What incidents are worth against what was rolled out."""

from typing import Any

import pytest

from abdrift.simulation import FaultKind, FleetSpec, Ledger, judge_incidents, plan

SHA, REVERT = "b" * 40, "c" * 40
SITES = {"edge-0000": "fra1", "edge-0001": "muc1", "edge-0002": "fra1"}


def ledger(clusters: int = 2, *, error: str = "", bad: FaultKind = FaultKind.BAD_REVISION) -> Ledger:
    made = Ledger()
    spec = FleetSpec(clusters=3, early=clusters)
    silences = [each for each in plan(1, spec, 10, kinds=[FaultKind.SILENCE]) if each.cluster == "edge-0002"]
    rolled_out = {bad: SHA, FaultKind.REVERTED: REVERT}
    for fault in (*plan(1, spec, 10, kinds=[*rolled_out]), *silences):
        made.open(fault)
        if fault.kind in rolled_out:
            made.rolled_out(fault.id, rolled_out[fault.kind])
        made.done(fault.id, 1)
        if error and fault.cluster == "edge-0000":
            made.failed(fault.id, error)
    return made


def incident(name: str = f"early@sha1:{SHA}", clusters: int = 2, kind: str = "git-revision") -> dict[str, Any]:
    return {
        "cause": {"kind": kind, "name": name},
        "blast_radius": {"clusters_ever": clusters},
        "title": f"{name} fails",
    }


CASES: dict[str, tuple[Ledger, list[dict[str, Any]], int, int]] = {
    "one-with-all": (ledger(), [incident()], 0, 0),
    "none": (ledger(), [], 1, 0),
    "one-bad-image": (ledger(bad=FaultKind.BAD_IMAGE), [incident()], 0, 0),
    "no-bad-image": (ledger(bad=FaultKind.BAD_IMAGE), [], 1, 0),
    "two-for-one": (ledger(), [incident(clusters=1), incident(clusters=1)], 1, 0),
    "one-with-some": (ledger(), [incident(clusters=1)], 1, 0),
    "another-revision": (ledger(), [incident(), incident("main@sha1:" + "a" * 40)], 0, 1),
    "clusters-behind-a-revert": (ledger(), [incident(), incident(f"early@sha1:{REVERT}")], 0, 0),
    "a-revert-beyond-its-clusters": (ledger(), [incident(), incident(f"early@sha1:{REVERT}", clusters=3)], 0, 1),
    "one-cluster-is-none": (ledger(1), [], 0, 0),
    "a-cluster-that-refused": (ledger(3, error="503"), [incident()], 0, 0),
    "a-dark-site": (ledger(), [incident(), incident("fra1", kind="site")], 0, 0),
    "a-site-with-light": (ledger(), [incident(), incident("muc1", kind="site")], 0, 1),
}


@pytest.mark.parametrize(("done", "told", "missed", "false"), CASES.values(), ids=CASES)
def test_one_incident_for_each_revision_and_none_beside(
    done: Ledger, told: list[dict[str, Any]], missed: int, false: int
) -> None:
    verdict = judge_incidents(done, told, SITES)
    assert (len(verdict.missed), len(verdict.false_alarms)) == (missed, false)
