from __future__ import annotations

import pytest

from abdrift.kubeapi import Credentials
from collectors.hub import Claim, Roster


def claim(name: str, origin: str = "", stamp: str = "1") -> Claim:
    return Claim(name, origin or f"file {name}", lambda: Credentials.embedded(b""), stamp)


def test_the_first_to_name_a_cluster_keeps_it_and_the_second_takes_over_when_it_goes() -> None:
    roster = Roster()
    roster.put("directory", claim("edge", "file a"))
    roster.put("cluster-api", claim("edge", "secret b/edge-kubeconfig"))
    assert roster.clusters()["edge"].origin == "file a"
    assert list(roster.problems()) == ["secret b/edge-kubeconfig"]
    roster.remove("directory", "file a")
    assert roster.clusters()["edge"].origin == "secret b/edge-kubeconfig"
    assert roster.problems() == {}


def test_two_sources_may_find_the_same_secret() -> None:
    roster = Roster()
    roster.put("cluster-api", claim("edge", "secret a/edge-kubeconfig"))
    roster.put("flux", claim("edge", "secret a/edge-kubeconfig"))
    assert roster.problems() == {}
    roster.remove("flux", "secret a/edge-kubeconfig")
    assert list(roster.clusters()) == ["edge"]


def test_who_names_another_cluster_than_before_waits_its_turn() -> None:
    roster = Roster()
    roster.put("directory", claim("one", "file a"))
    roster.put("directory", claim("two", "file b"))
    roster.put("directory", claim("two", "file a"))
    assert {name: each.origin for name, each in roster.clusters().items()} == {"two": "file b"}


def test_what_can_not_be_used_is_said_and_no_longer_watched() -> None:
    roster = Roster()
    roster.put("directory", claim("edge"))
    roster.refuse("directory", "file edge", "it has no key `value`")
    assert (roster.clusters(), roster.problems()) == ({}, {"file edge": "it has no key `value`"})
    roster.put("directory", claim("edge"))
    assert (list(roster.clusters()), roster.problems()) == (["edge"], {})


@pytest.mark.parametrize("name", ["", "-edge", "a/b", "x" * 254, "edge\n"], ids=repr)
def test_a_name_that_is_none_is_refused(name: str) -> None:
    roster = Roster()
    roster.put("directory", claim(name, "file x"))
    assert roster.clusters() == {}
    assert "is no name of a cluster" in roster.problems()["file x"]


def test_the_same_claim_again_is_no_news() -> None:
    roster = Roster()
    roster.put("directory", claim("edge"))
    roster.changed.clear()
    roster.put("directory", claim("edge"))
    assert not roster.changed.is_set()
    roster.put("directory", claim("edge", stamp="2"))
    assert roster.changed.is_set()


def test_a_claim_shows_nothing_of_its_credentials() -> None:
    made = Claim.embedded("edge", "secret a/edge-kubeconfig", b"token: s3cret")
    assert "s3cret" not in repr(made)
    assert made.stamp not in repr(made)
