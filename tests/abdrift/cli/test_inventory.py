"""`abdrift inventory withdraw` and `show`, as a user calls them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest

from abdrift.cli import inventory, topics
from abdrift.topics import FLEET_INVENTORY
from tests.abdrift.cli.governed import APP, Governed
from tests.streams.governor.world import World

if TYPE_CHECKING:
    from abdrift.broker import EmbeddedBroker

pytestmark = pytest.mark.parts
inventory.register(APP)
topics.register(APP)

NAMES = ("gone-declared", "gone-heard", "gone-withdrawn", "gone-forgotten")


@pytest.fixture(scope="module")
def governed(kafka: EmbeddedBroker, tmp_path_factory: pytest.TempPathFactory) -> Governed:
    """A fleet of which one cluster is declared, one only heard, one withdrawn already, and one forgotten."""
    governed = Governed(kafka.bootstrap_servers, tmp_path_factory.mktemp("keys"))
    world = World()
    told = [world.inventory(name, declared=name == NAMES[0]) for name in NAMES]
    told.append(world.inventory(NAMES[2], withdrawn="sold"))
    governed.write(FLEET_INVENTORY, told)
    governed.bury(FLEET_INVENTORY, NAMES[3])
    return governed


def said(governed: Governed, cluster: str) -> list[Any]:
    """What was said of a cluster to the steps."""
    lines = governed.run("topics", "cat", "signals.objects", "--cluster", cluster).stdout.splitlines()
    return [row["detail"] for row in map(orjson.loads, lines) if row.get("cluster") == cluster]


def test_clusters_are_withdrawn_with_the_reason(governed: Governed) -> None:
    shown = governed.run("inventory", "withdraw", NAMES[1], NAMES[0], "--reason", "site closed").stdout
    assert f"{NAMES[0]} is withdrawn; it was last seen 2027-" in shown
    assert "forgotten 10 minutes after it is silent" in shown
    assert [said(governed, name) for name in NAMES[:2]] == [
        [{"labels": {}, "withdrawn": True, "reason": "site closed"}]
    ] * 2


def test_nothing_is_said_of_any_where_one_is_not_known(governed: Governed) -> None:
    failed = governed.run("inventory", "withdraw", NAMES[2], NAMES[3], "gone-never", exit_code=1)
    assert "no inventory names gone-forgotten, gone-never" in " ".join(failed.stderr.split())
    assert said(governed, NAMES[2]) == []


def test_a_dry_run_tells_and_says_nothing(governed: Governed) -> None:
    told = governed.json("inventory", "withdraw", NAMES[2], NAMES[2], "--dry-run")
    assert told == {"withdrawn": [NAMES[2]], "reason": ""}
    assert said(governed, NAMES[2]) == []


def test_a_reason_that_nobody_would_read_is_refused(governed: Governed) -> None:
    assert "200 characters" in governed.run("inventory", "withdraw", "x", "--reason", "x" * 201, exit_code=2).stderr


def test_who_is_withdrawn_is_shown_with_the_reason(governed: Governed) -> None:
    lines = governed.run("inventory", "show").stdout.splitlines()
    rows = {words[0]: words[1] for line in lines if (words := line.split())}
    assert {name: rows.get(name) for name in NAMES} == dict(zip(NAMES, ("yes", "no", "withdrawn", None), strict=True))
    assert f"{NAMES[2]}: withdrawn, sold" in lines
