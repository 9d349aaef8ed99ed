import pytest

from abdrift.simulation import USUAL, FaultKind, FleetSpec, plan
from abdrift.simulation.plan import BENIGN, CLUSTER_WIDE, EDITS, ROLLED_OUT

SPEC = FleetSpec(clusters=40, seed=1, early=16)


def test_the_seed_decides() -> None:
    assert plan(7, SPEC, 60) == plan(7, SPEC, 60)
    assert plan(7, SPEC, 60) != plan(8, SPEC, 60)


def test_a_plan_keeps_its_time_and_its_clusters_apart() -> None:
    faults = plan(7, SPEC, 60)
    times = [each.at_seconds for each in faults]
    assert times == sorted(times)
    assert times[0] >= 6
    assert times[-1] <= 54
    assert {each.kind for each in faults} == set(USUAL)
    wide = {each.cluster for each in faults if each.kind in CLUSTER_WIDE}
    assert not wide & {each.cluster for each in faults if each.kind not in CLUSTER_WIDE}
    for kind in set(ROLLED_OUT) & set(USUAL):
        assert {each.cluster for each in faults if each.kind is kind} == set(SPEC.early_names())
    assert len({(each.cluster, each.object) for each in faults if each.kind in EDITS}) == len(
        [each for each in faults if each.kind in EDITS]
    )


@pytest.mark.parametrize("kind", BENIGN)
def test_what_is_harmless_expects_nothing(kind: FaultKind) -> None:
    faults = plan(1, SPEC, 10, kinds=[kind])
    assert faults
    assert {each.expect.finding for each in faults} == {None}


@pytest.mark.parametrize("kind", EDITS)
def test_every_edit_expects_a_finding_that_reconciling_corrects(kind: FaultKind) -> None:
    faults = plan(1, SPEC, 10, kinds=[kind])
    assert {(each.expect.finding in ("changed", "deleted"), each.expect.corrected) for each in faults} == {(True, True)}


@pytest.mark.parametrize("clusters", [1, 2, 3, 4])
def test_small_fleets_have_plans_too(clusters: int) -> None:
    assert plan(1, FleetSpec(clusters=clusters), 10)
