from typing import Any

import pytest

from abdrift.simulation import Expect, Fault, FaultKind, Ledger, ObjectRef
from abdrift.simulation.ledger import reference

MS = 1_000_000
WEB = ObjectRef("Deployment", "shop", "web")
APPS = ObjectRef("Kustomization", "flux-system", "apps")
DONE_NS = 5_000 * MS


def ledger(expect: Expect, *, restored_ns: int | None = None, error: str = "") -> Ledger:
    kept = Ledger()
    kept.open(Fault("f1", 0, "edge-0000", FaultKind.IMAGE, WEB, expect))
    if error:
        kept.failed("f1", error)
    else:
        kept.done("f1", DONE_NS)
    if restored_ns is not None:
        kept.restored("f1", restored_ns)
    return kept


def found(kind: str, where: ObjectRef, cluster: str = "edge-0000", **more: Any) -> dict[str, Any]:
    return {"cluster": cluster, "kind": kind, "object": str(where), **more}


CHANGED = Expect("changed", corrected=True)
BEHIND = Expect("behind", also_on=(APPS,))
CASES = {
    "found": (CHANGED, [found("changed", WEB)], (), ()),
    "missed": (CHANGED, [], ("f1",), ()),
    "of-another-kind": (CHANGED, [found("deleted", WEB)], ("f1",), ("edge-0000 deleted Deployment/shop/web",)),
    "in-another-cluster": (
        CHANGED,
        [found("changed", WEB, "edge-0001")],
        ("f1",),
        ("edge-0001 changed Deployment/shop/web",),
    ),
    "on-another-object": (BEHIND, [found("behind", APPS)], (), ()),
    "comes-along": (
        Expect("changed", allowed=(("behind", APPS),)),
        [found("changed", WEB), found("behind", APPS)],
        (),
        (),
    ),
    "comes-along-is-not-enough": (Expect("changed", allowed=(("behind", APPS),)), [found("behind", APPS)], ("f1",), ()),
    "harmless-and-quiet": (Expect(None), [], (), ()),
    "harmless-yet-found": (Expect(None), [found("changed", WEB)], (), ("edge-0000 changed Deployment/shop/web",)),
}


@pytest.mark.parametrize(("expect", "findings", "missed", "false_alarms"), CASES.values(), ids=CASES)
def test_verdicts(expect: Expect, findings: list[Any], missed: Any, false_alarms: Any) -> None:
    verdict = ledger(expect).judge(findings)
    assert (verdict.missed, verdict.false_alarms) == (missed, false_alarms)


def test_delays_count_from_the_answer() -> None:
    early, late = found("changed", WEB, opened_at_ns=1), found("changed", WEB, opened_at_ns=DONE_NS + 250 * MS)
    verdict = ledger(CHANGED, restored_ns=DONE_NS + 900 * MS).judge([early, late])
    assert (verdict.edit_to_finding_ms, verdict.edit_to_corrected_ms) == ((250.0,), (900.0,))
    assert verdict.lost == ()


def test_what_never_came_back_is_lost() -> None:
    assert ledger(CHANGED).judge([found("changed", WEB)]).lost == ("f1",)
    assert ledger(Expect("suspended")).judge([found("suspended", WEB)]).lost == ()


def test_what_was_refused_is_not_judged() -> None:
    verdict = ledger(CHANGED, error="403").judge([])
    assert (verdict.missed, verdict.lost) == ((), ())


@pytest.mark.parametrize(
    ("named", "ref"),
    [
        ("Deployment/shop/web", WEB),
        ("Node/a", ObjectRef("Node", "", "a")),
        ({"kind": "Deployment", "namespace": "shop", "name": "web"}, WEB),
    ],
    ids=["three-parts", "cluster-scoped", "mapping"],
)
def test_references(named: Any, ref: ObjectRef) -> None:
    assert reference({"object": named}) == ref
