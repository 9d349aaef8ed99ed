from __future__ import annotations

from typing import Any

import pytest

from streams.drift.compare import UnjudgeableError, compare
from streams.drift.compare.options import parse_options
from tests.streams.drift.compare.pairs import C0, DEPLOYMENT, GONE, entry, put, shared

SCALED = put(DEPLOYMENT, {"/spec/replicas": 9, C0 + "/image": "x:9"})
BOTH = ["/spec/replicas", C0 + "/image"]
IMAGE = [C0 + "/image"]


@pytest.mark.parametrize(
    ("rules", "left"),
    [
        pytest.param(None, BOTH, id="none"),
        pytest.param("/spec/replicas", IMAGE, id="a pointer"),
        pytest.param(["/spec/replicas"], IMAGE, id="a list"),
        pytest.param([{"paths": ["/spec/replicas"]}], IMAGE, id="Flux's rule"),
        pytest.param({"paths": ["/spec/replicas"], "target": {"kind": "Deploy.*"}}, IMAGE, id="kind matches"),
        pytest.param({"paths": ["/spec/replicas"], "target": {"kind": "Deploy"}}, BOTH, id="patterns are anchored"),
        pytest.param({"paths": ["/spec/replicas"], "target": {"group": "apps", "version": "v1"}}, IMAGE, id="group"),
        pytest.param({"paths": ["/spec/replicas"], "target": {"namespace": "x"}}, BOTH, id="other namespace"),
        pytest.param({"paths": ["/spec/replicas"], "target": {"labelSelector": "app in (web,db)"}}, IMAGE, id="label"),
        pytest.param({"paths": ["/spec/replicas"], "target": {"labelSelector": "app!=web"}}, BOTH, id="label not"),
        pytest.param({"paths": ["/spec/replicas"], "target": {"labelSelector": "app,!x"}}, IMAGE, id="label exists"),
        pytest.param({"paths": ["/spec/replicas"], "target": {"annotationSelector": "note=x"}}, IMAGE, id="annotation"),
        pytest.param({"jsonPointers": ["/spec/replicas"], "kind": "Deployment"}, IMAGE, id="Argo CD's rule"),
        pytest.param({"jsonPointers": ["/spec/replicas"], "kind": "*"}, IMAGE, id="Argo CD's star"),
        pytest.param({"managedFieldsManagers": ["scaler"]}, IMAGE, id="a manager's fields"),
        pytest.param("/spec", [], id="a subtree"),
        pytest.param("", [], id="the whole"),
        pytest.param("/spec/rep", BOTH, id="no part of a name"),
    ],
)
def test_rules(rules: Any, left: list[str]) -> None:
    scale = {"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": 9}}
    live = shared(DEPLOYMENT, SCALED, entry("scaler", scale, "Update"))
    assert compare(live, DEPLOYMENT, parse_options({"ignore": rules})).paths == left


def test_a_part_is_judged_without_what_is_ignored_in_it() -> None:
    live, rule = put(DEPLOYMENT, {C0 + "/resources": GONE}), C0 + "/resources/limits"
    (change,) = compare(live, DEPLOYMENT, parse_options({"ignore": rule})).changes
    assert change.old == {"requests": {"cpu": "500m"}}
    everything = [rule, C0 + "/resources/requests"]
    assert not compare(live, DEPLOYMENT, parse_options({"ignore": everything})).modified


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        pytest.param("spec/replicas", "no JSON pointer", id="no slash"),
        pytest.param("/a~2", "no JSON pointer", id="bad escape"),
        pytest.param(7, "not int", id="a number"),
        pytest.param({"paths": [7]}, "are strings", id="a number within"),
        pytest.param({"target": {"kind": "x"}}, "neither paths nor managers", id="nothing to ignore"),
        pytest.param({"jqPathExpressions": [".spec"]}, "jqPathExpressions", id="jq"),
        pytest.param({"paths": ["/a"], "target": {"kind": "("}}, "regular expression", id="bad pattern"),
        pytest.param({"paths": ["/a"], "target": {"kind": "(?=a)"}}, "regular expression", id="no pattern of Go's"),
        pytest.param({"paths": ["/a"], "target": "web"}, "target is an object", id="no target"),
        pytest.param({"paths": ["/a"], "target": {"labelSelector": "a ! b"}}, "no selector", id="bad selector"),
        pytest.param({"paths": ["/a"], "target": {"labels": "x"}}, "a target has no", id="unknown key"),
    ],
)
def test_bad_rules_say_the_way_out(rules: Any, says: str) -> None:
    with pytest.raises(UnjudgeableError, match=says):
        parse_options({"ignore": rules})


def test_no_pattern_takes_long() -> None:
    name = "a" * 200
    live, desired = (put(document, {"/metadata/name": name}) for document in (SCALED, DEPLOYMENT))
    rule = {"paths": ["/spec/replicas"], "target": {"name": "(a+)+b"}}
    assert compare(live, desired, parse_options({"ignore": rule})).paths == BOTH
