"""A policy file: what it may say, and what is said of what it may not."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from abdrift.facts.commands import Verb
from abdrift.policies import PolicyError, load, parse

GOOD = """
rules:
  - name: edge
    clusters:
      match_labels: {environment: tst}
      match_expressions: [{key: site, operator: In, values: [oslo]}]
    mode: act
    verbs: [reconcile, resume]
    grace_seconds: 30
  - name: rest
budgets:
  fleet: {in_flight: 3, per_hour: 30}
ignore:
  - {name: hpa, paths: [/spec/replicas]}
"""


def test_a_policy_is_read(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(GOOD)
    policy = load(tmp_path / "policy.yaml")
    assert policy.rules[0].verbs == (Verb.RECONCILE, Verb.RESUME)
    assert policy.budgets.fleet.in_flight == 3
    assert policy.rules[0].clusters.matches({"environment": "tst", "site": "oslo"})


def test_an_empty_file_observes(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text("")
    assert load(tmp_path / "policy.yaml").rules == ()


WRONG: dict[str, tuple[Any, str]] = {
    "misspelt": (
        {"rules": [{"name": "a", "verb": ["reconcile"]}]},
        "rules[0].verb: there is no such field; did you mean verbs?",
    ),
    "camel-case": (
        {"rules": [{"name": "a", "clusters": {"matchLabels": {}}}]},
        "rules[0].clusters.matchLabels: there is no such field; did you mean match_labels?",
    ),
    "unheard-of": ({"xyzzy": 1}, "xyzzy: there is no such field; there are: name, revision"),
    "nested-model": (
        {"budgets": {"fleet": {"inflight": 1}}},
        "budgets.fleet.inflight: there is no such field; did you mean in_flight?",
    ),
    "selector-values": (
        {"rules": [{"name": "a", "clusters": {"match_expressions": [{"key": "site", "operator": "In"}]}}]},
        "rules[0].clusters.match_expressions[0]: In takes at least one value",
    ),
    "level-selector": (
        {"health": {"rules": [{"name": "deep", "selector": "depth{", "threshold": 1}]}},
        "health.rules[0]: at character 7 of 'depth{' stands the end, not a label's name",
    ),
    "level-function": (
        {"health": {"rules": [{"name": "deep", "selector": "depth", "function": "avg(5m)", "threshold": 1}]}},
        "health.rules[0]: 'avg(5m)' is none of value",
    ),
    "level-misspelt": (
        {"health": {"rules": [{"name": "deep", "selector": "depth", "treshold": 1}]}},
        "health.rules[0].treshold: there is no such field; did you mean threshold?",
    ),
    "level-twice": (
        {"health": {"rules": [{"name": "deep", "selector": "depth", "threshold": n} for n in (1, 2)]}},
        "health: 'deep' is the name of several rules",
    ),
    "level-of-ours": (
        {"health": {"rules": [{"name": "log-errors", "selector": "depth", "threshold": 1}]}},
        "health: 'log-errors' is the name of a rule of Abdrift's own",
    ),
    "selector-operator": (
        {"rules": [{"name": "a", "clusters": {"match_expressions": [{"key": "site", "operator": "Is"}]}}]},
        "rules[0].clusters.match_expressions[0].operator: Input should be 'In', 'NotIn'",
    ),
    "unknown-mode": ({"rules": [{"name": "a", "mode": "yolo"}]}, "rules[0].mode: Input should be 'observe'"),
    "unknown-verb": ({"rules": [{"name": "a", "verbs": ["delete"]}]}, "rules[0].verbs[0]: Input should be 'reconcile'"),
    "argo-verb": ({"rules": [{"name": "a", "mode": "act", "verbs": ["sync"]}]}, "rules[0].verbs: sync is Argo CD's"),
    "no-verbs": ({"rules": [{"name": "a", "mode": "act", "verbs": []}]}, "rules[0].verbs: mode act without verbs"),
    "same-name": (
        {"rules": [{"name": "a", "kinds": ["changed"]}, {"name": "a"}]},
        "rules: 'a' is the name of several rules",
    ),
    "shadowed": ({"rules": [{"name": "all"}, {"name": "b", "mode": "act"}]}, "rules[0]: 'all' matches everything"),
    "ignore-nothing": ({"ignore": [{"name": "x"}]}, "ignore[0]: an ignore rule needs at least one of"),
    "ignore-pointer": ({"ignore": [{"name": "x", "paths": ["spec"]}]}, "ignore[0]: not a JSON pointer: 'spec'"),
    "signed": ({"applied_by": "me"}, "applied_by: this is set by `abdrift policy apply`"),
    "a-list": ([1], "a policy is a mapping"),
    "wrong-shape": ({"rules": ["a"]}, "rules[0]: Input should be a valid dictionary"),
}


@pytest.mark.parametrize(("data", "problem"), WRONG.values(), ids=WRONG)
def test_what_a_policy_cannot_mean_is_told(data: Any, problem: str) -> None:
    with pytest.raises(PolicyError) as caught:
        parse(yaml.safe_load(yaml.safe_dump(data)))
    assert any(p.startswith(problem) for p in caught.value.problems), caught.value.problems


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(PolicyError) as caught:
        parse({"rule": [], "rules": [{"name": "a", "mode": "yolo"}], "budget": {}})
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize(
    ("text", "problem"), [("{", "is no YAML"), (None, "can't be read")], ids=["no-yaml", "no-file"]
)
def test_a_file_that_cannot_be_read_is_told(tmp_path: Path, text: str | None, problem: str) -> None:
    path = tmp_path / "policy.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(PolicyError, match=problem):
        load(path)
