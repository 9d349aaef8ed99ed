"""`abdrift policy`, from the file to Kafka."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest
import typer
from typer.testing import CliRunner

from abdrift.cli import stored
from abdrift.topics import FLEET_POLICY, FLEET_REDUCED
from streams.governor import approvals
from streams.governor.work import Work
from tests.abdrift.cli.governed import APP, PARTITIONS, Governed
from tests.streams.governor.world import World

if TYPE_CHECKING:
    from pathlib import Path

    from abdrift.broker import EmbeddedBroker

GOOD = "rules:\n- {name: all, mode: act, grace_seconds: 0}\n"


def check(path: Path, text: str, *more: str) -> tuple[int, str, str]:
    path.write_text(text)
    result = CliRunner().invoke(APP, ["policy", "check", str(path), *more])
    return result.exit_code, result.stdout, result.stderr


def test_check_says_what_a_policy_would_do(tmp_path: Path) -> None:
    code, out, _ = check(tmp_path / "p.yaml", GOOD)
    assert (code, out.endswith("1 rule; acts under all\n")) == (0, True)
    assert "only observes" in check(tmp_path / "p.yaml", "")[1]
    levels = "health: {rules: [{name: deep, selector: depth, threshold: 1}]}"
    assert "only observes; 1 health rule" in check(tmp_path / "p.yaml", levels)[1]
    assert orjson.loads(check(tmp_path / "p.yaml", GOOD, "--json")[1])["policy"]["rules"][0]["mode"] == "act"


def test_check_says_what_is_wrong(tmp_path: Path) -> None:
    code, _, err = check(tmp_path / "p.yaml", "rulez: []")
    assert (code, "did you mean rules?" in err) == (1, True)
    code, out, _ = check(tmp_path / "p.yaml", "rulez: []", "--json")
    assert (code, orjson.loads(out)["valid"]) == (1, False)


DURATIONS = {"90s": 90, "30m": 1800, "1.5h": 5400, "1d": 86_400}


@pytest.mark.parametrize(("text", "seconds"), DURATIONS.items())
def test_durations_are_read(text: str, seconds: float) -> None:
    assert stored.duration(text).total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "2", "h", "-1h", "0s", "2w", "1h30m"])
def test_what_is_no_duration_is_told(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="write 90s"):
        stored.duration(text)


@pytest.mark.parts
def test_a_policy_is_applied_shown_and_believed(kafka: EmbeddedBroker, tmp_path: Path) -> None:
    governed = Governed(kafka.bootstrap_servers, tmp_path / "keys")
    file = tmp_path / "policy.yaml"
    file.write_text("name: shown\n" + GOOD)
    assert governed.json("policy", "apply", str(file), "--by", "kari") == {
        "policy": "shown",
        "revision": 1,
        "partitions": PARTITIONS,
        "id": governed.read(FLEET_POLICY)[0].event.id,  # type: ignore[union-attr]
    }
    governed.run("policy", "apply", str(file))
    copies = [r for r in governed.read(FLEET_POLICY) if r.event and r.event.subject == "shown"]
    newest = {r.partition: r.event.data["revision"] for r in copies if r.event}
    assert newest == dict.fromkeys(range(PARTITIONS), 2)
    work = Work({}, "shown")
    assert copies[-1].event is not None
    approvals.take_policy(work, copies[-1].event, governed.ring.trust_operators)
    assert work.policy is not None
    assert work.policy.rules[0].mode == "act"
    file.write_text("name: shown\nrevision: 2\n" + GOOD)
    assert "give a higher revision" in governed.run("policy", "apply", str(file), exit_code=1).stderr
    shown = governed.run("policy", "show").stdout
    assert "signature trusted" in shown
    assert "mode: act" in shown
    (facts,) = [p for p in governed.json("policy", "show") if p["name"] == "shown"]  # type: ignore[attr-defined]
    assert facts["applied_by"]


@pytest.mark.parts
def test_a_policy_is_tried_on_recorded_facts(kafka: EmbeddedBroker, tmp_path: Path) -> None:
    governed = Governed(kafka.bootstrap_servers, tmp_path / "keys")
    # Times must be the broker's own: evidence older than it would be stale.
    world = World(now_ms=stored.ago_ms("1s"))
    governed.write(
        FLEET_REDUCED, [world.inventory("tried"), world.verdict("tried"), world.finding("tried", cluster="tried")]
    )
    file = tmp_path / "policy.yaml"
    file.write_text(GOOD)
    found = governed.json("policy", "backtest", str(file), "--since", "1h")
    assert [c["finding_ids"] for c in found["commands"] if c["cluster"] == "tried"] == [["tried"]]  # type: ignore[index]
    assert found["decisions"]["commanded"]["allowed"] >= 1  # type: ignore[index]
    told = governed.run("policy", "backtest", str(file)).stdout
    assert "commanded" in told
