"""What a view or a summary makes of facts."""

from __future__ import annotations

from abdrift.cli.demo_figures import observed_findings
from abdrift.observed import Observed
from tests.streams.governor.world import World


def test_a_finding_counts_from_when_it_could_be_read() -> None:
    world, seen = World(), Observed()
    first = world.finding("f1")
    seen.absorb(first, 1_000)
    seen.absorb(first.model_copy(update={"data": {**first.data, "revision": 2}}), 5_000)
    (found,) = observed_findings(seen)
    assert found["opened_at_ns"] == 1_000 * 1_000_000
    assert (found["cluster"], found["kind"]) == ("edge-1", first.data["kind"])
