"""One hub on many clusters, some of which fall sick: nothing of the others is missed. How long it took hub.py tells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from collectors.hub import HubConfig
from tests.e2e.hub import Load, run

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.parts

QUICK = HubConfig(heartbeat_seconds=1, lost_after_seconds=1, request_timeout_seconds=2, max_objects=2_000)
SHORT = Load(clusters=20, objects=40, edits_per_second=100, seconds=1, hub=QUICK)


@pytest.mark.parametrize("load", [SHORT, pytest.param(Load(), marks=pytest.mark.soak)], ids=["short", "whole"])
async def test_sick_clusters_take_nothing_from_the_others(load: Load, tmp_path: Path) -> None:
    figures = await run(load, tmp_path)
    assert [figures[name]["missed"] for name in ("well", "sick")] == [0, 0], figures
    hanging, expired, flood, lie = figures["states"]
    assert {hanging, expired} <= set(figures["said_out_of_reach"]), figures
    assert (figures["states"][hanging], figures["states"][expired]) == ("unreachable", "unauthorized"), figures
    assert (flood, lie) == ("flood", "lie")
