"""Ignore rules are suggested for what keeps coming back, and quiet just that."""

from __future__ import annotations

from typing import Any

import pytest

from abdrift.facts.drift import FieldChange, Finding
from abdrift.suggestions import RECURRENCES, ignore_rule
from streams.drift.cells import Ref
from streams.drift.ignores import Ignores
from tests.streams.governor.world import World

BY_HPA = {"path": "/spec/replicas", "op": "replace", "by": {"manager": "scaler"}}
REMOVED = {"path": "/spec/paused", "op": "remove"}


def finding(**given: Any) -> Finding:
    stated = {"recurrences": RECURRENCES, "fields": [BY_HPA], "managers": ["scaler"], **given}
    return Finding.model_validate(World().finding("f1", **stated).data)


QUIETED = {"written": [BY_HPA], "removed": [REMOVED], "both": [BY_HPA, REMOVED]}


@pytest.mark.parametrize("fields", QUIETED.values(), ids=QUIETED)
def test_the_rule_quiets_the_finding_and_no_more(fields: list[dict[str, Any]]) -> None:
    found = finding(fields=fields)
    rule = ignore_rule(found)
    assert rule
    ref = Ref(found.object.group, found.object.version or "", found.object.kind, "web", found.object.name)
    quiet = Ignores([rule], ref)
    assert all(map(quiet.covers, found.fields))
    assert not quiet.covers(FieldChange(path="/spec/template", op="replace"))
    assert not quiet.everything


NOT_SUGGESTED = {
    "first-time": {"recurrences": RECURRENCES - 1},
    "nothing-to-ignore": {"kind": "deleted", "fields": []},
    "not-a-change": {"kind": "suspended"},
}


@pytest.mark.parametrize("given", NOT_SUGGESTED.values(), ids=NOT_SUGGESTED)
def test_nothing_is_suggested_otherwise(given: dict[str, Any]) -> None:
    assert ignore_rule(finding(**given)) is None
