"""The committed saved objects: made from this code, whole, and naming only fields that documents have."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from sinks.elasticsearch.indices import STREAMS_PATTERN
from sinks.elasticsearch.kibana.saved import ndjson
from sinks.elasticsearch.mappings import FACTS, SIGNALS
from tests.sinks.elasticsearch import saved_objects

if TYPE_CHECKING:
    from tests.sinks.elasticsearch.saved_objects import Asked

ASKED = saved_objects.asked()


def test_what_is_committed_is_what_the_code_makes() -> None:
    assert saved_objects.FILE.read_text() == ndjson(), "run: python -m sinks.elasticsearch.kibana"


def test_every_object_is_there_once_and_refers_to_what_came_before_it() -> None:
    known: set[tuple[str, str]] = set()
    for each in saved_objects.objects():
        assert (each["type"], each["id"]) not in known
        for reference in each["references"]:
            assert (reference["type"], reference["id"]) in known
        known.add((each["type"], each["id"]))
    assert Counter(kind for kind, _ in known)["dashboard"] == 4


def test_names_of_references_differ_within_an_object() -> None:
    for each in saved_objects.objects():
        names = [reference["name"] for reference in each["references"]]
        assert len(names) == len(set(names))


@pytest.mark.parametrize("one", ASKED, ids=[one.name for one in ASKED])
def test_every_field_that_is_named_is_one_that_is_written(one: Asked) -> None:
    assert one.query
    declared = SIGNALS if one.index == STREAMS_PATTERN else FACTS
    assert one.fields
    assert not one.fields - set(declared)


def test_what_people_choose_by_is_one_word() -> None:
    chosen = saved_objects.controls()
    assert len(chosen) > 5
    assert {FACTS[name] for name in chosen} == {"keyword"}
