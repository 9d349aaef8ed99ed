"""The judge against Argo CD's and Flux's own engines: against their recorded answers, and asked anew."""

from __future__ import annotations

import json
from typing import Any

import pytest

from streams.drift.compare import compare
from streams.drift.compare.managed_fields import entries_of
from streams.drift.compare.options import parse_options
from tests.streams.drift.compare import edges, pairs
from tests.streams.drift.compare.record import ANSWERS

CASES = pairs.cases() + edges.cases()

# Where the judge answers otherwise than the engine it follows, and why; docs/decisions/0003-drift-judge.md has more.
DEVIATIONS = {
    "custom-resources/null-desired": "an API server drops null, which the oracle's schemaless one keeps",
    "defaults/claim-template": "an API server fills in the embedded kind, which the oracle's one does not",
    "edges/rollout-quantity/argocd": "Argo CD reads a Rollout's pods as Kubernetes' own; its engine alone does not",
    "edges/rollout-zero-values/argocd": "as before",
    "ignore/root": "Flux's jsondiff excludes the whole object, its ssa does not",
    "nothing/rules-null": "Argo CD and Kubernetes read no rules and null alike",
    "secrets/null-value": "Argo CD reads null as empty, as an API server does",
}


def followed(case: dict[str, Any]) -> str:
    manager = case.get("options", {}).get("manager", "")
    if manager == "argocd-controller":
        if "predicted_live" in case:
            return "argo-server-side"
        applied = any(entry.operation == "Apply" for entry in entries_of(case["live"] or {}))
        return "argo-structured-merge" if applied else "argo-client-side"
    return "flux-jsondiff" if manager == "helm-controller" else "flux-ssa"


def deviation(name: str) -> str | None:
    return next((why for prefix, why in DEVIATIONS.items() if name.startswith(prefix)), None)


def verdict(case: dict[str, Any]) -> bool:
    options = parse_options(case.get("options"))
    return compare(case["live"], case["desired"], options, case.get("predicted_live")).modified


RECORDED: dict[str, Any] = {line["id"]: line["engines"] for line in map(json.loads, ANSWERS.read_text().splitlines())}
JUDGED = [case for case in CASES if "error" not in RECORDED[case["id"]][followed(case)]]
"""What the followed engine can judge; it fails on the others, so there is nothing to agree with."""


@pytest.fixture(scope="module")
def recorded() -> dict[str, Any]:
    return RECORDED


@pytest.mark.parametrize("case", JUDGED, ids=lambda case: case["id"])
def test_the_judge_says_what_the_engine_says_that_it_follows(case: dict[str, Any], recorded: dict[str, Any]) -> None:
    answer = recorded[case["id"]][followed(case)]
    if deviation(case["id"]) is None:
        assert verdict(case) == answer["modified"]
    else:
        assert verdict(case) is False, "every deviation keeps quiet"


def test_every_deviation_is_one(recorded: dict[str, Any]) -> None:
    differing = [case["id"] for case in CASES if verdict(case) != recorded[case["id"]][followed(case)].get("modified")]
    unused = [prefix for prefix in DEVIATIONS if not any(name.startswith(prefix) for name in differing)]
    assert not unused


@pytest.mark.parts
@pytest.mark.timeout(1_800)  # the oracle may have to be built
def test_the_engines_still_answer_as_recorded(recorded: dict[str, Any]) -> None:
    from tests.oracle import engines  # noqa: PLC0415  only this test needs Go

    answers = engines.ask(CASES)
    assert {name: _verdicts(answer) for name, answer in answers.items()} == {
        name: _verdicts(answer) for name, answer in recorded.items()
    }


def _verdicts(answer: dict[str, Any]) -> dict[str, bool | None]:
    return {engine: None if "error" in said else said["modified"] for engine, said in answer.items()}
