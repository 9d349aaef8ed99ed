import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from abdrift.cli.live import Camera
from abdrift.cli.view import Phase, Scene, View
from abdrift.observed import Line, Observed

NOW_MS = 1_767_225_630_000  # 2026-01-01T00:00:30Z
SITES = {f"edge-{number:02d}": f"site{number % 4}" for number in range(12)}


def finding(**given: Any) -> dict[str, Any]:
    change = {"path": "/spec/template/spec/containers/0/image", "op": "replace", "old": "r/app:1", "new": "r/app:2"}
    base = {
        "finding_id": "f1",
        "kind": "changed",
        "state": "open",
        "cluster": {"name": "edge-01"},
        "object": {"kind": "Deployment", "namespace": "shop", "name": "app"},
        "message": "1 field differs",
        "fields": [change],
        "managers": ["kubectl-edit"],
        "times": {"opened_at": "2026-01-01T00:00:28Z"},
    }
    return base | given


def scene(*findings: dict[str, Any], **given: Any) -> Scene:
    seen = Observed()
    seen.findings = {each["finding_id"]: each for each in findings}
    return Scene("Abdrift", Phase("making faults", 42, 90, is_exact=True), seen, SITES, NOW_MS, hint="hint", **given)


def shown(what: Scene, width: int = 140, height: int = 45) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height)
    with console.capture() as captured:
        console.print(View(what))
    return captured.get().splitlines()


@pytest.mark.parametrize(("width", "height"), [(140, 45), (110, 30), (80, 24), (200, 60)])
def test_the_view_fills_the_terminal_and_no_more(width: int, height: int) -> None:
    lines = shown(
        scene(*[finding(finding_id=f"f{n}", message="two\nlines", fields=[]) for n in range(99)]), width, height
    )
    assert len(lines) == height
    assert max(len(line) for line in lines) <= width


def incident(**given: Any) -> dict[str, Any]:
    base = {
        "incident_id": "i1",
        "state": "open",
        "severity": "critical",
        "title": "main@bbbbbbb fails in 3 clusters: “Run more” by mallory",
        "blast_radius": {"clusters": 2, "clusters_ever": 3},
        "opened_at": "2026-01-01T00:00:27Z",
    }
    return base | given


def with_incidents(*incidents: dict[str, Any]) -> Scene:
    what = scene(finding())
    what.seen.incidents = {each["incident_id"]: each for each in incidents}
    return what


def test_an_incident_says_why_for_how_long_and_how_far() -> None:
    row = next(line for line in shown(with_incidents(incident())) if "mallory" in line)
    for part in ("✖", "3.0 s", "main@bbbbbbb fails in 3 clusters: “Run more” by mallory", "2 of 3 clusters still"):
        assert part in row


def test_open_incidents_stand_above_closed_ones_and_leave_room_for_findings() -> None:
    over = {"state": "closed", "closed_at": "2026-01-01T00:00:29Z", "closed_because": "recovered"}
    past = [incident(incident_id=f"p{number}", title=f"past {number}", **over) for number in range(9)]
    for width, height in ((140, 45), (80, 24)):
        lines = shown(with_incidents(*past, incident()), width, height)
        assert len(lines) == height
        first = next(number for number, line in enumerate(lines) if "✖" in line)
        assert "recovered" in lines[first + 1]
        assert any("edge-01" in line for line in lines)


CHANGES = {
    "replaced": ({}, "containers/0/image: app:1 → app:2"),
    "unknown before": ({"old_known": False}, "containers/0/image: ? → app:2"),
    "added": ({"op": "add", "path": "/metadata/labels/a.b~1c", "new": "x"}, "metadata/labels/a.b/c: added x"),
    "removed": ({"op": "remove", "path": "/spec/replicas", "old": 2}, "spec/replicas: removed, was 2"),
}


@pytest.mark.parametrize(("change", "expected"), CHANGES.values(), ids=CHANGES)
def test_a_finding_says_what_where_who_and_for_how_long(change: dict[str, Any], expected: str) -> None:
    one = finding()
    one["fields"] = [one["fields"][0] | change]
    row = next(line for line in shown(scene(one)) if "edge-01" in line)
    for part in ("◆", "2.0 s", "changed", "deploy shop/app", expected, "kubectl-edit"):
        assert part in row


@pytest.mark.parametrize(("recurrences", "said"), [(0, "  containers/0"), (2, "  again, containers/0")])
def test_what_was_corrected_and_came_back_is_said_so(recurrences: int, said: str) -> None:
    assert any(said in line for line in shown(scene(finding(recurrences=recurrences)), width=160))


def decision(result: str, code: str) -> dict[str, Any]:
    return {"result": result, "reasons": [{"code": code, "message": "why"}]}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"decided": {"f1": decision("refused", "verb-not-listed")}}, "- verb-not-listed"),
        ({"decided": {"f1": decision("observed", "orphaned")}}, "- orphaned"),
        ({"decided": {"f1": decision("commanded", "allowed")}}, ""),
        ({"decided": {"f1": decision("deferred", "grace")}, "awaiting": {"f1": {}}}, "waits for a person"),
    ],
)
def test_what_is_not_commanded_says_why(given: dict[str, Any], says: str) -> None:
    what = scene(finding())
    for name, value in given.items():
        setattr(what.seen, name, value)
    row = next(line for line in shown(what) if "edge-01" in line)
    assert row.rstrip(" │").endswith(says or "kubectl-edit")


@pytest.mark.parametrize(("width", "height"), [(140, 45), (80, 24)])
def test_workloads_are_counted_by_health(width: int, height: int) -> None:
    what = scene()
    for name, degraded in (("a", 0), ("b", 2)):
        what.seen.namespaces[name] = {"healthy": 600, "degraded": degraded, "failing": 1, "unknown": 0}
    row = next(line for line in shown(what, width, height) if "workloads: " in line)
    assert "● 1,200 healthy  ◐ 2 degraded  ▲ 2 failing  ○ 0 unknown" in row


def test_a_count_is_not_parted_from_what_it_counts() -> None:
    kinds = [
        finding(finding_id=f"f{n}", kind=kind, fields=[]) for n, kind in enumerate(("behind", "deleted", "failing"))
    ]
    text = "".join(line.split("││")[-1] for line in shown(scene(*kinds)) if "││" in line)
    assert all(f"1\N{NO-BREAK SPACE}{each['kind']}" in text for each in kinds)


def test_the_newest_open_findings_stand_above_closed_ones() -> None:
    closed = {"opened_at": "2026-01-01T00:00:01Z", "closed_at": "2026-01-01T00:00:29Z"}
    what = scene(
        finding(finding_id="a", state="closed", closed_because="corrected", times=closed, cluster={"name": "edge-03"}),
        finding(finding_id="b", times={"opened_at": "2026-01-01T00:00:10Z"}, cluster={"name": "edge-04"}),
        finding(finding_id="c", cluster={"name": "edge-05"}),
    )
    rows = [line for line in shown(what) if "deploy shop/app" in line]
    assert [next(name for name in SITES if name in row) for row in rows] == ["edge-05", "edge-04", "edge-03"]
    assert "✓" in rows[2]
    assert "corrected" in rows[2]


def test_a_command_shows_its_outcome_and_how_long_it_took() -> None:
    what = scene(finding())
    target = {"kind": "Kustomization", "namespace": "flux-system", "name": "apps"}
    issued = "2026-01-01T00:00:10Z"
    command = {"verb": "reconcile", "finding_ids": ["f1"], "cluster": {"name": "edge-07"}, "target": target}
    what.seen.commands["c1"] = command | {"issued_at": issued}
    outcome = {"result": "corrected", "issued_at": issued, "corrected_at": "2026-01-01T00:00:11.2Z", "reasons": []}
    what.seen.outcomes["c1"] = outcome
    what.seen.lines.append(Line("2026-01-01T00:00:12Z", "refused", "edge-08", "held by alice"))
    rows = shown(what)
    assert any("reconcile ks flux-system/apps" in row and "corrected in 1.2 s" in row for row in rows)
    assert any("edge-08" in row and "held by alice" in row and "not done" in row for row in rows)


def test_sites_are_counted_where_there_is_no_room_for_dots() -> None:
    many = {f"edge-{number:04d}": f"site{number % 4}" for number in range(1000)}
    large = Scene("Abdrift", Phase("x"), Observed(), many, NOW_MS)
    assert any("site3 ○250" in line for line in shown(large, 80, 24))
    assert any("site0 ○ ○ ○" in line for line in shown(scene(), 80, 24))


def test_the_picture_is_of_an_incident_with_its_author_where_there_was_one(tmp_path: Path) -> None:
    camera = Camera(tmp_path / "demo.svg", "demo")
    calm, told, over = scene(finding(), finding(finding_id="f2", kind="deleted")), with_incidents(incident()), scene()
    told.seen.incidents["i1"]["cause"] = {"commit": {"author": "mallory"}}
    for what in (calm, told, over):
        camera.see(what)
    assert "mallory" in camera.path.read_text()
