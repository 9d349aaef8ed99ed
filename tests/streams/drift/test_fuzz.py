"""Objects are anyone's JSON: whatever their shape, a row is taken in or refused, and the others go on."""

import copy
from typing import Any

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.streams.drift.scenario import T0_MS, Scenario, config, edited, entry, kustomization, repository, web
from tests.streams.drift.test_quiet import hpa
from tests.streams.drift.test_releases import chart, live, manifest, release
from tests.streams.drift.test_releases import declared as rendered

SOUND = (
    repository(),
    kustomization(),
    web(),
    config(),
    hpa(),
    chart(),
    release(),
    live(),
    manifest(rendered()),
    edited(web(), "/spec/replicas", 5, entry("kubectl", "Update", T0_MS + 9_000, "spec.replicas", sub="scale")),
)
BEGUN = Scenario().proven(*SOUND[:-1])
JUNK = st.sampled_from(
    [None, 0, -1, True, "", "x", [], [1], ["x"], {}, {"x": 1}, {"f:": {}}, [{}], [None], {"a": [None]}]
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return found + [each for key, child in items for each in places(child, (*path, key))]


def broken(document: dict[str, Any], place: int, junk: Any) -> dict[str, Any]:
    made = copy.deepcopy(document)
    *parents, last = places(made)[place % len(places(made))]
    node: Any = made
    for parent in parents:
        node = node[parent]
    node[last] = junk
    return made


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.tuples(st.integers(0, len(SOUND) - 1), st.integers(0, 500), JUNK), min_size=1, max_size=3),
    st.booleans(),
)
def test_no_shape_of_an_object_stops_the_step(breaks: list[tuple[int, int, Any]], first: bool) -> None:
    scenario = Scenario() if first else BEGUN.copied()
    for index, place, junk in breaks:
        sound = SOUND[index]
        row = scenario.row("modified", sound)
        scenario.feed(replace(row, object=orjson.dumps(broken(sound, place, junk))))
    scenario.tick(1_000).see(*SOUND[:-1])
    assert scenario.verdict().owner.name in ("app", "demo")
