"""Relabelling against what Prometheus's own documentation and tests say of each action."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from collectors.prometheus.relabelling import Rule, Rules

LABELS = {"__name__": "m", "a": "foo", "b": "bar", "c": "baz"}


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        pytest.param(
            [{"source_labels": ["a"], "regex": "f(.*)", "target_label": "d", "replacement": "ch${1}-ch${1}"}],
            {**LABELS, "d": "choo-choo"},
            id="replace",
        ),
        pytest.param([{"source_labels": ["a"], "regex": "o+", "target_label": "d"}], LABELS, id="whole-match-only"),
        pytest.param([{"target_label": "d", "replacement": "x"}], {**LABELS, "d": "x"}, id="replace-without-source"),
        pytest.param(
            [{"source_labels": ["a", "b"], "target_label": "d"}], {**LABELS, "d": "foo;bar"}, id="default-separator"
        ),
        pytest.param(
            [{"source_labels": ["a"], "target_label": "b", "regex": "(foo)", "replacement": "$2"}],
            {"__name__": "m", "a": "foo", "c": "baz"},
            id="an-unknown-group-is-empty-and-takes-the-label-away",
        ),
        pytest.param(
            [{"source_labels": ["a"], "target_label": "${1}", "regex": "(.*)", "replacement": "v"}],
            {**LABELS, "foo": "v"},
            id="target-from-a-group",
        ),
        pytest.param(
            [{"source_labels": ["a"], "target_label": "x-${1}", "replacement": "v"}],
            LABELS,
            id="target-that-is-no-name",
        ),
        pytest.param(
            [
                {
                    "source_labels": ["a"],
                    "regex": "(?P<one>.)(?<rest>.*)",
                    "target_label": "d",
                    "replacement": "$rest$$",
                }
            ],
            {**LABELS, "d": "oo$"},
            id="named-groups-and-a-dollar",
        ),
        pytest.param([{"action": "keep", "source_labels": ["a"], "regex": "foo|x"}], LABELS, id="keep"),
        pytest.param([{"action": "keep", "source_labels": ["a"], "regex": "fo"}], None, id="keep-what-is-not-there"),
        pytest.param([{"action": "drop", "source_labels": ["a"], "regex": ".*o.*"}], None, id="drop"),
        pytest.param([{"action": "drop", "source_labels": ["a"], "regex": "b"}], LABELS, id="drop-another"),
        pytest.param(
            [{"action": "hashmod", "source_labels": ["c"], "target_label": "d", "modulus": 1000}],
            {**LABELS, "d": "976"},
            id="hashmod",
        ),
        pytest.param(
            [{"action": "labelmap", "regex": "(b|c)", "replacement": "x_$1"}],
            {**LABELS, "x_b": "bar", "x_c": "baz"},
            id="labelmap",
        ),
        pytest.param(
            [{"action": "labeldrop", "regex": "b.*"}], {k: v for k, v in LABELS.items() if k != "b"}, id="drop-b"
        ),
        pytest.param([{"action": "labelkeep", "regex": "__name__|a"}], {"__name__": "m", "a": "foo"}, id="labelkeep"),
        pytest.param(
            [{"action": "uppercase", "source_labels": ["a"], "target_label": "a"}], {**LABELS, "a": "FOO"}, id="upper"
        ),
        pytest.param(
            [{"action": "lowercase", "source_labels": ["a", "b"], "separator": "-", "target_label": "d"}],
            {**LABELS, "d": "foo-bar"},
            id="lowercase",
        ),
        pytest.param([{"action": "keepequal", "source_labels": ["a"], "target_label": "b"}], None, id="keepequal"),
        pytest.param([{"action": "dropequal", "source_labels": ["a"], "target_label": "b"}], LABELS, id="dropequal"),
        pytest.param(
            [
                {"source_labels": ["a"], "target_label": "b"},
                {"action": "dropequal", "source_labels": ["a"], "target_label": "b"},
            ],
            None,
            id="in-their-order",
        ),
    ],
)
def test_rules(rules: list[dict[str, Any]], expected: dict[str, str] | None) -> None:
    assert Rules([Rule.model_validate(rule) for rule in rules]).applied(LABELS) == expected


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        pytest.param({"action": "replace"}, "target_label", id="no-target"),
        pytest.param({"action": "hashmod", "target_label": "x"}, "modulus", id="no-modulus"),
        pytest.param({"action": "labeldrop", "source_labels": ["a"], "regex": "x"}, "regex only", id="labeldrop"),
        pytest.param({"action": "keepequal", "target_label": "a", "regex": "x"}, "only", id="keepequal"),
        pytest.param({"action": "explode"}, "action", id="unknown-action"),
        pytest.param({"action": "keep", "regex": "("}, "regex", id="no-regex"),
        pytest.param({"action": "keep", "regex": "(?=x)"}, "RE2", id="look-ahead"),
        pytest.param({"action": "keep", "regex": "(?<!x)y"}, "RE2", id="look-behind"),
        pytest.param({"action": "keep", "regex": r"(a)\1"}, "RE2", id="back-reference"),
        pytest.param({"action": "keep", "regex": "(?>a)"}, "RE2", id="atomic"),
        pytest.param({"action": "keep", "regex": "a++"}, "RE2", id="possessive"),
        pytest.param({"action": "keep", "regexp": "a"}, "regexp", id="unknown-field"),
    ],
)
def test_rules_that_cannot_be(rule: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Rule.model_validate(rule)
