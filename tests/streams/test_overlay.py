"""The scratch copy of a step's state."""

from __future__ import annotations

from streams.overlay import Overlay


def test_reads_fall_through_and_writes_stay_here() -> None:
    base: dict[str, object] = {"a": 1, "b": "two"}
    overlay = Overlay(base)
    overlay.put("c", 3)
    overlay.put("a", 10)
    overlay.drop("b")
    assert [overlay.get(key, int) for key in "abc"] == [10, None, 3]
    assert overlay.changed == {"a": 10, "b": None, "c": 3}
    assert base == {"a": 1, "b": "two"}


def test_only_what_differs_in_the_end_is_a_change() -> None:
    overlay: Overlay[object] = Overlay({"a": 1})
    overlay.put("a", 2)
    overlay.put("a", 1)
    overlay.put("new", 1)
    overlay.drop("new")
    overlay.drop("never")
    assert not overlay.changed


def test_a_cell_of_another_kind_is_none() -> None:
    overlay: Overlay[object] = Overlay({"a": 1})
    assert overlay.get("a", str) is None
