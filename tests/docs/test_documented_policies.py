"""Policies that the docs show are read as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from abdrift import policies

DOCS = Path(__file__).parents[2] / "docs"
SHOWN = [
    pytest.param(block, id=f"{page.name}-{number}")
    for page in sorted(DOCS.glob("*.md"))
    for number, block in enumerate(re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL))
    if re.search(r"^(rules|alerts|health):", block, re.MULTILINE)
]


@pytest.mark.parametrize("text", SHOWN)
def test_a_policy_that_is_shown_can_be_meant(text: str) -> None:
    policies.parse(yaml.safe_load(text))


def test_some_are_shown() -> None:
    assert SHOWN
