"""What the models of facts refuse, and how they read times."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from abdrift.clock import to_datetime
from abdrift.facts.base import ClusterRef, Gap
from abdrift.facts.governance import Approval, IgnoreRule, LabelSelector, Policy, Requirement, Rule

AT = to_datetime(1_700_000_000_123)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        pytest.param("2023-11-14T22:13:20Z", "2023-11-14T22:13:20.000Z", id="seconds"),
        pytest.param("2023-11-14T22:13:20.123999Z", "2023-11-14T22:13:20.123Z", id="microseconds-are-cut"),
        pytest.param("2023-11-15T00:13:20.5+02:00", "2023-11-14T22:13:20.500Z", id="to-utc"),
    ],
)
def test_a_time_is_written_in_utc_with_milliseconds(text: str, written: str) -> None:
    gap = Gap.model_validate({"since": text, "reason": "r"})
    assert gap.model_dump(mode="json", exclude_none=True)["since"] == written
    assert Gap.model_validate(gap.model_dump(mode="json")) == gap


def test_a_time_needs_its_zone() -> None:
    with pytest.raises(ValidationError, match="timezone"):
        Gap.model_validate({"since": "2023-11-14T22:13:20", "reason": "r"})


def test_facts_are_frozen_and_drop_what_they_do_not_know() -> None:
    ref = ClusterRef.model_validate({"name": "edge-1", "novelty": 1})
    assert ref.model_dump(exclude_none=True) == {"name": "edge-1"}
    with pytest.raises(ValidationError, match="frozen"):
        ref.name = "edge-2"  # type: ignore[misc]


LABELS = {"site": "ber", "wave": "prd"}
SELECTORS = [
    pytest.param({}, True, id="empty-matches-all"),
    pytest.param({"match_labels": {"site": "ber"}}, True, id="label"),
    pytest.param({"match_labels": {"site": "muc"}}, False, id="other-value"),
    pytest.param({"match_expressions": [{"key": "wave", "operator": "In", "values": ["tst", "prd"]}]}, True, id="in"),
    pytest.param({"match_expressions": [{"key": "rack", "operator": "In", "values": ["a"]}]}, False, id="in-absent"),
    pytest.param({"match_expressions": [{"key": "wave", "operator": "NotIn", "values": ["prd"]}]}, False, id="not-in"),
    pytest.param(
        {"match_expressions": [{"key": "rack", "operator": "NotIn", "values": ["a"]}]}, True, id="not-in-absent"
    ),
    pytest.param({"match_expressions": [{"key": "site", "operator": "Exists"}]}, True, id="exists"),
    pytest.param({"match_expressions": [{"key": "rack", "operator": "Exists"}]}, False, id="exists-not"),
    pytest.param({"match_expressions": [{"key": "rack", "operator": "DoesNotExist"}]}, True, id="does-not-exist"),
    pytest.param(
        {"match_labels": {"site": "ber"}, "match_expressions": [{"key": "site", "operator": "DoesNotExist"}]},
        False,
        id="all-must-hold",
    ),
]


@pytest.mark.parametrize(("selector", "matches"), SELECTORS)
def test_label_selectors_are_those_of_kubernetes(selector: dict[str, Any], matches: bool) -> None:
    assert LabelSelector.model_validate(selector).matches(LABELS) is matches


REFUSED = [
    pytest.param(Requirement, {"key": "k", "operator": "In"}, "at least one value", id="in-without-values"),
    pytest.param(
        Requirement, {"key": "k", "operator": "Exists", "values": ["v"]}, "no values", id="exists-with-values"
    ),
    pytest.param(IgnoreRule, {"name": "n"}, "at least one of", id="rule-that-ignores-everything"),
    pytest.param(IgnoreRule, {"name": "n", "paths": ["spec"]}, "not a JSON pointer", id="no-pointer"),
    pytest.param(Rule, {"name": "n", "grace_seconds": -1}, "greater than or equal", id="negative-grace"),
    pytest.param(Policy, {"breaker": {"surge_percent": 0}}, "greater than", id="breaker-always-open"),
    pytest.param(
        Approval,
        {"approval_id": "a", "action": "hold", "subject_id": "f", "by": "x", "reason": "r", "issued_at": AT},
        "needs an expiry",
        id="hold-for-ever",
    ),
]


@pytest.mark.parametrize(("model", "data", "words"), REFUSED)
def test_what_would_be_unsafe_is_refused(model: Any, data: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        model.model_validate(data)


def test_an_empty_policy_observes() -> None:
    assert Policy().rules == ()
    assert Rule(name="r").mode == "observe"
    assert [verb.value for verb in Rule(name="r").verbs] == ["reconcile"]
