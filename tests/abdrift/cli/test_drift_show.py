"""`abdrift drift show`: one finding whole."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from abdrift.cli.drift_show import Shown
from abdrift.facts.drift import Finding
from abdrift.timeline import Entry, Kind, Tone
from tests.abdrift.cli.test_looks import BY, printed
from tests.contract.examples import full
from tests.streams.governor.world import START_MS, World, stamp

NOW_MS = START_MS + 60_000
FIELDS = [
    {"path": "/spec/template/spec/containers/0/image", "op": "replace", "old": "r/app:1", "new": "r/app:2", "by": BY},
    {"path": "/metadata/labels", "op": "add", "new": {"a": "b"}, "by": BY},
]
EVIDENCE = {
    "as_of": stamp(START_MS + 30_000),
    "complete": False,
    "sources": [
        {
            "source": "kubernetes/edge-1",
            "what": "apps/Deployment",
            "as_of": stamp(START_MS + 30_000),
            "complete": False,
            "gap": {"since": "2027-01-15T08:00:00Z", "reason": "watch-expired"},
        }
    ],
}
OWNER = {
    "group": "kustomize.toolkit.fluxcd.io",
    "version": "v1",
    "kind": "Kustomization",
    "namespace": "flux-system",
    "name": "apps",
}
INCIDENT = {"incident_id": "0123456789abcdef", "state": "open", "title": "a bad revision", "changed_at": stamp(NOW_MS)}


def finding(**given: Any) -> Finding:
    data = World().finding("f1", fields=FIELDS, evidence=EVIDENCE, message="2 fields differ", **given).data
    return Finding.model_validate(data)


def entry(kind: Kind, what: str) -> Entry:
    return Entry(START_MS + 2_000, START_MS + 2_000, kind, what, Tone.NEWS, f"{what} it", ("detail",), ("f1",))


def test_all_that_is_known_of_it_is_shown() -> None:
    done = (entry(Kind.GOVERNOR, "refused"), entry(Kind.COMMAND, "commanded"))
    shown = Shown(finding(desired={"revision": "main@sha1:" + "b" * 40, "author": "Kari"}), done, INCIDENT, NOW_MS)
    assert printed(shown).splitlines() == [
        "◆ changed  Deployment web/of-f1  in edge-1",
        "  2 fields differ",
        "  opened 60 s ago, open",
        "  by kubectl-edit",
        "  id f1, revision 1",
        "  owned by Kustomization flux-system/apps",
        "  should be at main@bbbbbbb by Kari",
        "  would a reconcile correct it: yes",
        "",
        "  spec.template.spec.containers[0].image  changed by kubectl-edit (Update, 2027-01-15T08:00:00.000Z)",
        "  - r/app:1",
        "  + r/app:2",
        "",
        "  metadata.labels  added by kubectl-edit (Update, 2027-01-15T08:00:00.000Z)",
        "  + a: b",
        "",
        "evidence  as of 30 s ago, not complete",
        "  kubernetes/edge-1 apps/Deployment: as of 30 s ago, not complete; a gap since 08:00:00 until now:",
        "watch-expired",
        "",
        "what was decided and done",
        "  08:00:02 - governor  refused it",
        "                         detail",
        "  08:00:02 → command   commanded it",
        "                         detail",
        "",
        "incident  0123456789abcdef  a bad revision",
        "",
        "next  abdrift incident show 0123456789ab    # it is one of many",
    ]


def test_what_makes_it_special_is_said() -> None:
    shown = printed(
        Shown(
            finding(
                certainty="suspect",
                contested=True,
                held_until="2027-01-15T09:00:00Z",
                recurrences=3,
                fields_omitted=7,
                reconcile_corrects="no",
                reconcile_corrects_reason="it is suspended",
                state="closed",
                closed_because="corrected",
                times={"opened_at": stamp(START_MS), "closed_at": stamp(START_MS + 30_000)},
            ),
            (),
            None,
            NOW_MS,
        )
    )
    for said in (
        "✓ changed",
        "opened 60 s ago, closed 30 s ago: corrected",
        "suspected only",
        "contested",
        "held by a person until 2027-01-15 09:00:00 UTC",
        "came back 3 times",
        "would a reconcile correct it: no, it is suspended",
        "and 7 more fields",
        "nothing, as far as is known",
    ):
        assert said in shown


NEXT: dict[str, tuple[dict[str, Any], tuple[Entry, ...], dict[str, Any] | None, str]] = {
    "closed": ({"state": "closed"}, (), INCIDENT, "abdrift timeline edge-1"),
    "one-of-many": ({}, (entry(Kind.GOVERNOR, "awaiting-approval"),), INCIDENT, "abdrift incident show 0123456789ab"),
    "an-incident-that-is-over": ({}, (), {**INCIDENT, "state": "closed"}, "abdrift policy check"),
    "waits": ({}, (entry(Kind.GOVERNOR, "awaiting-approval"),), None, "abdrift command approve f1"),
    "keeps-coming-back": ({"recurrences": 2}, (), None, "abdrift policy apply FILE"),
    "nothing-was-done": ({}, (), None, "abdrift policy check FILE"),
    "only-observed": ({}, (entry(Kind.GOVERNOR, "observed"),), None, "abdrift policy check FILE"),
    "suspended": (
        {"kind": "suspended", "object": OWNER, "owner": OWNER},
        (entry(Kind.GOVERNOR, "refused"),),
        None,
        "flux resume kustomization apps --namespace flux-system",
    ),
    "refused": ({}, (entry(Kind.GOVERNOR, "refused"),), None, "abdrift timeline edge-1"),
}


@pytest.mark.parametrize(("given", "done", "incident", "begins"), NEXT.values(), ids=NEXT)
def test_what_to_look_at_next_is_said(
    given: dict[str, Any], done: tuple[Entry, ...], incident: dict[str, Any] | None, begins: str
) -> None:
    assert Shown(finding(**given), done, incident, NOW_MS).next_step().startswith(begins)


def test_json_has_it_whole() -> None:
    done = (entry(Kind.COMMAND, "commanded"),)
    facts = orjson.loads(orjson.dumps(Shown(finding(recurrences=2), done, INCIDENT, NOW_MS).facts()))
    assert facts["finding"]["fields"][0]["by"] == BY
    assert facts["done"][0]["what"] == "commanded"
    assert facts["incident"]["incident_id"] == INCIDENT["incident_id"]
    assert facts["suggested_ignore"]["managers"] == ["kubectl-edit"]
    assert facts["next"]


def test_every_finding_of_the_contract_can_be_shown() -> None:
    example = Finding.model_validate(full(Finding).model_dump(mode="json"))
    assert example.finding_id in printed(Shown(example, (), None, NOW_MS))
