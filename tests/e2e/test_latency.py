"""Many edits while other objects churn: nothing missed, nothing invented. How long it took is told by latency.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.latency import Load, run

if TYPE_CHECKING:
    from tests.e2e.stack import Stack

pytestmark = [pytest.mark.parts, pytest.mark.asyncio(loop_scope="session")]

SHORT = Load(owners=8, objects=5, edits_per_second=2, churning=100, churn_per_second=20)


@pytest.mark.parametrize("load", [SHORT, pytest.param(Load(), marks=pytest.mark.soak)], ids=["short", "whole"])
@pytest.mark.parametrize("backend", ["real"], indirect=True)
async def test_mixed_edits_are_all_found_and_corrected_while_others_churn(stack: Stack, load: Load) -> None:
    figures = await run(stack, load)
    assert figures["edited"] == load.owners * load.objects
    assert {name: figures[name] for name in ("missed", "not_corrected", "false_alarms")} == {
        "missed": 0,
        "not_corrected": 0,
        "false_alarms": 0,
    }, figures
