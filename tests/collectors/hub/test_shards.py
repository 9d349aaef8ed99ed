"""Which hub watches which clusters."""

from __future__ import annotations

from collections import Counter

import pytest

from collectors.hub.shards import assigned

PARTITIONS = list(range(64))


def members(*names: str) -> dict[str, str]:
    return {f"id-{name}": name for name in names}


@pytest.mark.parametrize("names", [("a",), ("a", "b"), ("a", "b", "c"), tuple("abcdefg")], ids=len)
def test_every_partition_goes_to_one_hub_and_none_has_more_than_its_share(names: tuple[str, ...]) -> None:
    found = assigned(PARTITIONS, members(*names))
    assert sorted(place for places in found.values() for place in places) == PARTITIONS
    assert max(Counter({name: len(places) for name, places in found.items()}).values()) <= -(-64 // len(names))


def test_a_restarted_hub_gets_what_it_had() -> None:
    before = assigned(PARTITIONS, {"id-1": "a", "id-2": "b", "id-3": "c"})
    after = assigned(PARTITIONS, {"id-9": "b", "id-8": "a", "id-1": "c"})
    assert (before["id-1"], before["id-2"], before["id-3"]) == (after["id-8"], after["id-9"], after["id-1"])


def test_a_lost_hub_moves_little_more_than_what_it_had() -> None:
    before = assigned(PARTITIONS, members("a", "b", "c", "d"))
    after = assigned(PARTITIONS, members("a", "b", "c"))
    owner_before = {place: member for member, places in before.items() for place in places}
    owner_after = {place: member for member, places in after.items() for place in places}
    moved = [place for place in PARTITIONS if owner_before[place] != owner_after[place]]
    assert len(before["id-d"]) <= len(moved) <= 2 * len(before["id-d"])


def test_two_hubs_of_one_name_still_share() -> None:
    found = assigned(PARTITIONS, {"id-1": "same", "id-2": "same"})
    assert [len(places) for places in found.values()] == [32, 32]


def test_nobody_gets_nothing() -> None:
    assert assigned(PARTITIONS, {}) == {}
