from typing import Any

import pytest

from streams.drift.order import READ_PATIENCE_MS
from tests.streams.drift.scenario import T0_MS, Scenario, edited, entry, web

EDIT_MS = T0_MS + 5_000
IMAGE = "/spec/template/spec/containers/0/image"
ENV = "/spec/template/spec/containers/0/env"
CONTAINER = "spec.template.spec.containers.[name=web]"

EDITS: dict[str, tuple[Any, ...]] = {
    "image by kubectl set": (
        edited(
            web(),
            IMAGE,
            "web:hotfix",
            entry("kubectl-set", "Update", EDIT_MS, f"{CONTAINER}.image"),
            (f"{CONTAINER}.image",),
        ),
        [(IMAGE, "replace", "web:1.0.0", "web:hotfix", "kubectl-set")],
        "yes",
    ),
    "replicas through the scale subresource": (
        edited(
            web(),
            "/spec/replicas",
            5,
            entry("kubectl", "Update", None, "spec.replicas", sub="scale"),
            ("spec.replicas",),
        ),
        [("/spec/replicas", "replace", 2, 5, "kubectl")],
        "yes",
    ),
    "an env var added": (
        edited(
            web(),
            f"{ENV}/1",
            {"name": "DEBUG", "value": "1"},
            entry(
                "kubectl-set",
                "Update",
                EDIT_MS,
                f"{CONTAINER}.env.[name=DEBUG].name",
                f"{CONTAINER}.env.[name=DEBUG].value",
            ),
        ),
        [(f"{ENV}/1", "add", None, {"name": "DEBUG", "value": "1"}, "kubectl-set")],
        "yes",
    ),
    "an env var put before the others": (
        edited(
            web(),
            ENV,
            [{"name": "DEBUG", "value": "1"}, {"name": "COLOR", "value": "blue"}],
            entry(
                "kubectl-set",
                "Update",
                EDIT_MS,
                f"{CONTAINER}.env.[name=DEBUG].name",
                f"{CONTAINER}.env.[name=DEBUG].value",
            ),
        ),
        [(f"{ENV}/0", "add", None, {"name": "DEBUG", "value": "1"}, "kubectl-set")],
        "yes",
    ),
    "a label added": (
        edited(
            web(),
            "/metadata/labels/oncall",
            "alice",
            entry("kubectl-label", "Update", EDIT_MS, "metadata.labels.oncall"),
        ),
        [("/metadata/labels/oncall", "add", None, "alice", "kubectl-label")],
        "yes",
    ),
    "a field that Flux owns removed": (
        edited(web(), ENV, None, None, (f"{CONTAINER}.env",)),
        [(ENV, "remove", [{"name": "COLOR", "value": "blue"}], None, None)],
        "yes",
    ),
    "an edit under the name kustomize-controller": (
        web(applied_ms=EDIT_MS, image="web:evil"),
        [(IMAGE, "replace", "web:1.0.0", "web:evil", "kustomize-controller")],
        "yes",
    ),
    "a default set by another operator": (
        edited(
            web(), "/spec/revisionHistoryLimit", 3, entry("my-operator", "Update", EDIT_MS, "spec.revisionHistoryLimit")
        ),
        [("/spec/revisionHistoryLimit", "replace", 10, 3, "my-operator")],
        "no",
    ),
    "a default set by kubectl": (
        edited(
            web(),
            "/spec/revisionHistoryLimit",
            3,
            entry("kubectl-patch", "Update", EDIT_MS, "spec.revisionHistoryLimit"),
        ),
        [("/spec/revisionHistoryLimit", "replace", 10, 3, "kubectl-patch")],
        "yes",
    ),
}


@pytest.mark.parametrize(("live", "expected", "corrects"), EDITS.values(), ids=EDITS)
def test_an_edit_of_a_proven_object_is_found_and_its_correction_closes_it(
    live: Any, expected: Any, corrects: str
) -> None:
    scenario = Scenario().proven()
    assert scenario.verdict().verdict == "in-sync"
    scenario.after(5_000).see(live).tick(READ_PATIENCE_MS + 100)
    (found,) = scenario.open()
    seen = [(f.path, f.op, f.old, f.new, f.by.manager if f.by else None) for f in found.fields]
    assert seen == expected
    assert (found.kind, found.certainty, found.reconcile_corrects) == ("changed", "proven", corrects)
    assert scenario.verdict().verdict == "drifted"
    scenario.after(1_000).see(web(applied_ms=scenario.now_ms))
    assert scenario.closed() == ["changed corrected"]
    assert scenario.verdict().verdict == "in-sync"


@pytest.mark.parametrize("name", [name for name in EDITS if "under the name" not in name])
def test_an_edit_while_the_owner_is_idle_is_told_at_once(name: str) -> None:
    scenario = Scenario().proven().after(5_000).see(EDITS[name][0])
    assert scenario.kinds() == ["changed web"]
