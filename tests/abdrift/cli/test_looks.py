"""How the terminal shows values and differences."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table
from rich.text import Text

from abdrift.cli import looks
from abdrift.timeline import Entry, Kind, Tone

NOW_MS = 1_800_000_000_000
BY = {"manager": "kubectl-edit", "operation": "Update", "time": "2027-01-15T08:00:00.000Z"}


def printed(*what: Any, colour: bool = False) -> str:
    """Return what a terminal would show; without colour, as in a pipe or under NO_COLOR."""
    system: Any = "truecolor" if colour else None
    console = Console(file=io.StringIO(), width=100, force_terminal=colour, color_system=system, highlight=False)
    with console.capture() as captured:
        for each in what:
            console.print(each)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


POINTERS = {
    "/spec/replicas": "spec.replicas",
    "/spec/template/spec/containers/0/image": "spec.template.spec.containers[0].image",
    "/metadata/labels/app.kubernetes.io~1name": 'metadata.labels["app.kubernetes.io/name"]',
    "/data/a~0b": "data.a~b",
    "": "(the whole object)",
}


@pytest.mark.parametrize(("pointer", "path"), POINTERS.items())
def test_a_pointer_is_said_as_a_path(pointer: str, path: str) -> None:
    assert looks.pointed(pointer) == path


DIFFERENCES: dict[str, tuple[dict[str, Any], str, str]] = {
    "replaced": (
        {"path": "/spec/replicas", "op": "replace", "old": 2, "new": 5, "by": BY},
        "spec.replicas: 2 → 5",
        "spec.replicas  changed by kubectl-edit (Update, 2027-01-15T08:00:00.000Z)\n- 2\n+ 5",
    ),
    "added-map": (
        {"path": "/metadata/labels", "op": "add", "new": {"a": "b", "c": ["d"]}, "by": {"manager": "x"}},
        'metadata.labels: added {"a":"b","c":["d"]}',
        "metadata.labels  added by x\n+ a: b\n+ c:\n+ - d",
    ),
    "removed": (
        {"path": "/spec/paused", "op": "remove", "old": True},
        "spec.paused: removed, was true",
        "spec.paused  removed by nobody who left a trace\n- true",
    ),
    "unknown-before": (
        {"path": "/spec/x", "op": "replace", "old_known": False, "new": "y", "by": {"manager": "x"}},
        "spec.x: ? → y",
        "spec.x  changed by x\n- what it was is not known\n+ y",
    ),
    "a-map-of-which-one-line-differs": (
        {"path": "/d", "op": "replace", "old": {"a": 1, "b": 2}, "new": {"a": 1, "b": 3}, "by": {"manager": "x"}},
        'd: {"a":1,"b":2} → {"a":1,"b":3}',
        "d  changed by x\n  …\n  a: 1\n- b: 2\n+ b: 3",
    ),
    "a-text-of-lines": (
        {"path": "/data/conf", "op": "replace", "old": "a\nb\nc", "new": "a\nB\nc", "by": {"manager": "x"}},
        "data.conf: a b c → a B c",
        "data.conf  changed by x\n  …\n  a\n- b\n+ B\n  c",
    ),
    "markup-is-no-markup": (
        {"path": "/data/x", "op": "add", "new": "[bold]y[/]", "by": {"manager": "x"}},
        "data.x: added [bold]y[/]",
        "data.x  added by x\n+ [bold]y[/]",
    ),
}


@pytest.mark.parametrize(("change", "brief", "whole"), DIFFERENCES.values(), ids=DIFFERENCES)
def test_a_changed_field_is_shown(change: dict[str, Any], brief: str, whole: str) -> None:
    assert looks.brief(change) == brief
    assert printed(*looks.difference(change)) == whole


def test_what_was_is_red_and_what_is_is_green() -> None:
    change = {"path": "/a", "op": "replace", "old": 1, "new": 2}
    shown = printed(*looks.difference(change), colour=True)
    assert "\x1b[38;2;224;48;48m- 1" in shown
    assert "\x1b[38;2;26;154;26m+ 2" in shown


def test_a_whole_program_in_a_field_is_cut() -> None:
    change = {"path": "/data/x", "op": "add", "new": "\n".join(map(str, range(500)))}
    lines = list(looks.difference(change))
    assert len(lines) == 62
    assert "and 440 more lines" in lines[-1].plain


def test_entries_stand_in_rows_that_need_no_colour() -> None:
    fields = tuple({"path": f"/spec/f{number}", "op": "add", "new": number} for number in range(3))
    entry = Entry(NOW_MS, NOW_MS, Kind.DRIFT, "found", Tone.BAD, "off course", ("by kari",), fields=fields)
    assert printed(looks.entries([entry], fields=2)).splitlines() == [
        "08:00:00 ◆ drift     off course",
        "                       spec.f0: added 0",
        "                       spec.f1: added 1",
        "                       and 1 more field",
        "                       by kari",
    ]


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("tone", Tone)
def test_every_entry_has_a_look(kind: Kind, tone: Tone) -> None:
    entry = Entry(NOW_MS, NOW_MS, kind, "x", tone, "text")
    assert "text" in printed(looks.entries([entry]))


AGES = {None: "never", NOW_MS - 1_500: "1.5 s ago", NOW_MS - 600_000: "10 min ago", NOW_MS + 9_000: "0.0 s ago"}


@pytest.mark.parametrize(("at_ms", "said"), AGES.items())
def test_an_age_is_never_negative(at_ms: int | None, said: str) -> None:
    assert looks.ago(at_ms, NOW_MS) == said


def test_in_a_pipe_lines_are_long_and_end_where_their_text_ends(capsys: pytest.CaptureFixture[str]) -> None:
    console, grid = looks.console(), Table.grid()
    grid.add_row("a", "b" * 400)
    grid.add_row("c", "d")
    console.print(grid)
    looks.say(console, Text("e " * 300 + "f"), indent=4)
    lines = capsys.readouterr().out.splitlines()
    assert "cd" in lines
    assert not [line for line in lines if line.endswith(" ")]
    assert lines[-1] == "    " + "e " * 300 + "f"


def test_on_a_terminal_lines_are_broken_between_words() -> None:
    console = Console(file=io.StringIO(), width=20, force_terminal=True, color_system=None)
    with console.capture() as captured:
        looks.say(console, Text("Kustomization flux-system/apps"), indent=2)
    assert captured.get().split("\n") == ["  Kustomization     ", "  flux-system/apps  ", ""]
