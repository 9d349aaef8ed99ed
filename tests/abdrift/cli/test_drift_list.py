"""`abdrift drift list`: what is off course now, and what keeps coming back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from abdrift.cli import drift
from abdrift.policies import parse
from abdrift.topics import FLEET_DRIFT
from tests.abdrift.cli.governed import APP, Governed
from tests.streams.governor.world import World

if TYPE_CHECKING:
    from abdrift.broker import EmbeddedBroker

pytestmark = pytest.mark.parts
drift.register(APP)


@pytest.fixture(scope="module")
def governed(kafka: EmbeddedBroker, tmp_path_factory: pytest.TempPathFactory) -> Governed:
    """Topics with a closed finding, an open one that came back, and an open one of another cluster."""
    governed = Governed(kafka.bootstrap_servers, tmp_path_factory.mktemp("keys"))
    world = World()
    governed.write(
        FLEET_DRIFT,
        [
            world.finding("listed-closed"),
            world.closing("listed-closed"),
            world.finding("listed-again", recurrences=3, message="1 field\ndiffers"),
            world.finding("listed-other", cluster="edge-2"),
        ],
    )
    return governed


def listed(governed: Governed, *arguments: str) -> list[dict[str, Any]]:
    found: Any = governed.json("drift", "list", *arguments)
    return [each for each in found if each["finding_id"].startswith("listed-")]


LISTS = {
    "open": ([], {"listed-again", "listed-other"}),
    "closed": (["--state", "closed"], {"listed-closed"}),
    "all": (["--state", "all"], {"listed-again", "listed-other", "listed-closed"}),
    "of-a-cluster": (["--cluster", "edge-2"], {"listed-other"}),
}


@pytest.mark.parametrize(("arguments", "ids"), LISTS.values(), ids=LISTS)
def test_findings_are_listed_by_state_and_cluster(governed: Governed, arguments: list[str], ids: set[str]) -> None:
    assert {each["finding_id"] for each in listed(governed, *arguments)} == ids


def test_what_keeps_coming_back_is_told_with_a_rule_that_a_policy_takes(governed: Governed) -> None:
    (again,) = [each for each in listed(governed) if each["finding_id"] == "listed-again"]
    assert parse({"ignore": [again["suggested_ignore"]]}).ignore[0].paths == ("/spec/replicas",)
    shown = governed.run("drift", "list").stdout
    assert "came back 3 times" in shown
    assert "1 field differs" in shown
    assert shown.count("to ignore it") == 1


def test_where_nothing_is_off_course_it_says_no_more_than_is_known(governed: Governed) -> None:
    assert "as far as is known" in governed.run("drift", "list", "--cluster", "edge-0").stdout
