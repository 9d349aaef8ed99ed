from __future__ import annotations

import pytest

from collectors.inventory import Contradiction, Record, merged


def record(origin: str = "file a", name: str = "edge", **labels: str) -> Record:
    return Record(name, {key.replace("_", "-"): value for key, value in labels.items()}, origin)


@pytest.mark.parametrize(
    ("labels", "sound"),
    [
        ({"environment": "prd"}, True),
        ({"environment": "dev"}, False),
        ({"wave": "2"}, True),
        ({"wave": "last"}, False),
        ({"node-kinds": "bare-metal"}, True),
        ({"node-kinds": "bare-metal,microvm,vm"}, True),
        ({"node-kinds": "vm,bare-metal"}, False),
        ({"node-kinds": "vm,vm"}, False),
        ({"node-kinds": "mainframe"}, False),
        ({"site": "ber-1"}, True),
        ({"site": ""}, False),
        ({"site": "a b"}, False),
        ({"example.com/team": "core"}, True),
        ({"-key": "x"}, False),
    ],
    ids=str,
)
def test_a_label_is_taken_or_left_out_with_the_reason(labels: dict[str, str], sound: bool) -> None:
    found = merged([Record("edge", {**labels, "customer": "core"}, "file a")])
    assert found.clusters == {"edge": {"customer": "core", **(labels if sound else {})}}
    assert bool(found.refused) is not sound


def test_a_cluster_without_a_proper_name_is_left_out() -> None:
    found = merged([record(name="a/b"), record(name="edge")])
    assert list(found.clusters) == ["edge"]
    assert found.refused == ("file a: 'a/b' is no name of a cluster",)


def test_readers_add_to_each_other() -> None:
    found = merged([record("file a", site="ber-1", wave="1"), record("git b", site="ber-1", customer="core")])
    assert found.clusters == {"edge": {"site": "ber-1", "wave": "1", "customer": "core"}}
    assert found.contradictions == ()


def test_what_readers_contradict_each_other_in_is_left_out_and_said() -> None:
    found = merged([record("file a", environment="tst", wave="1"), record("git b", environment="prd")])
    assert found.clusters == {"edge": {"wave": "1"}}
    assert found.contradictions == (Contradiction("edge", "environment", (("file a", "tst"), ("git b", "prd"))),)
    assert str(found.contradictions[0]) == (
        "edge: environment is 'tst' by file a, 'prd' by git b; it is left out until they agree"
    )


def test_no_cluster_has_labels_without_end() -> None:
    found = merged([Record("edge", {f"key-{number:03d}": "x" for number in range(100)}, "file a")])
    assert len(found.clusters["edge"]) == 64
    assert len(found.refused) == 36
