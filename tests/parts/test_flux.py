"""What counts as Ready, on statuses as Flux 2.7 writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.parts.flux import is_ready

if TYPE_CHECKING:
    from tests.parts.discovery import Object

READY = {"type": "Ready", "status": "True", "observedGeneration": 2}


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        pytest.param({"observedGeneration": 2, "conditions": [READY]}, True, id="done"),
        pytest.param({"observedGeneration": -1, "conditions": [READY]}, False, id="conditions written, status not yet"),
        pytest.param({"observedGeneration": 1, "conditions": [READY]}, False, id="spec changed since"),
        pytest.param({"observedGeneration": 2, "conditions": [{**READY, "status": "Unknown"}]}, False, id="at work"),
        pytest.param({"observedGeneration": -1}, False, id="no conditions yet"),
    ],
)
def test_is_ready(status: Object, expected: bool) -> None:
    assert is_ready({"metadata": {"generation": 2}, "status": status}) is expected
