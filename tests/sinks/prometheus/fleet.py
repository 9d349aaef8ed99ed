"""A small fleet as facts, of which something of everything happened."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from abdrift.clock import to_datetime
from abdrift.facts.commands import DecisionResult, OutcomeResult
from abdrift.facts.drift import GitCommit, Times, Verdict
from abdrift.facts.health import HealthReason
from abdrift.facts.incidents import BlastRadius
from abdrift.latest import Change
from tests import facts

if TYPE_CHECKING:
    from datetime import datetime

    from pydantic import BaseModel

    from abdrift.topics import Topic

NOW_MS = 1_795_000_000_000
COMMIT = GitCommit(revision="main@sha1:bad", author="Ada <ada@example.org>", message='say "no" to limits')


@dataclass(frozen=True)
class Fleet:
    """Makes facts of a moment, in milliseconds since the epoch."""

    now_ms: int = NOW_MS

    def ago(self, seconds: float) -> datetime:
        return to_datetime(self.now_ms) - timedelta(seconds=seconds)

    def change(self, fact: BaseModel) -> Change:
        return facts.said(fact, to_datetime(self.now_ms)).change(self.now_ms)

    def gone(self, topic: Topic, key: str) -> Change:
        return Change(topic.name, key, None, self.now_ms)

    def health(self, name: str, status: str, *, age_seconds: float = 5, reason: str = "NotReady") -> Change:
        why = () if status == "healthy" else (HealthReason(code=reason, message="so", status=status),)
        return self.change(facts.health(name, status, self.ago(age_seconds), reasons=why))

    def inventory(self, name: str, **labels: str) -> Change:
        """An inventory of a cluster that was not heard of when it was written."""
        return self.change(facts.inventory(name, labels, self.ago(1), last_seen=None))

    def finding(
        self, finding_id: str, cluster: str, kind: str, *, age_seconds: float = 30, state: str = "open"
    ) -> Change:
        times = Times(opened_at=self.ago(age_seconds))
        return self.change(facts.finding(cluster, finding_id, self.ago(1), kind=kind, state=state, times=times))

    def verdict(self, cluster: str, word: str) -> Change:
        return self.change(facts.verdict(cluster, Verdict(word), self.ago(1), verdict_id=f"v/{cluster}"))

    def incident(self, incident_id: str, clusters: int, *, state: str = "open") -> Change:
        radius = BlastRadius(
            clusters=clusters,
            clusters_ever=clusters,
            objects=2 * clusters,
            clusters_by_site={"berlin": clusters},
            clusters_by_environment={"prd": clusters},
        )
        given = {"incident_id": incident_id, "state": state, "blast_radius": radius, "commit": COMMIT}
        return self.change(facts.incident({"edge-1": "berlin"}, self.ago(60), **given))

    def command(self, command_id: str, cluster: str) -> Change:
        return self.change(facts.command(cluster, command_id, self.ago(9)))

    def outcome(self, command_id: str, cluster: str, result: str) -> Change:
        order = facts.command(cluster, command_id, self.ago(9))
        return self.change(facts.outcome(order, OutcomeResult(result), took_seconds=7))

    def decision(self, result: str, code: str) -> Change:
        return self.change(facts.decision(f"d/{code}", DecisionResult(result), code, at=self.ago(1)))

    def breaker(self, *codes: str) -> Change:
        return self.change(facts.breaker(*codes, at=self.ago(30)))

    def dead_letter(self, refused_by: str, reason: str) -> Change:
        return self.change(facts.dead_letter(refused_by, reason, self.ago(1)))

    def story(self) -> list[Change]:
        """Return a fleet in which something of everything happened."""
        return [
            self.inventory("edge-1", site="berlin", region="eu", environment="prd", latitude="52.5", longitude="13.4"),
            self.inventory("edge-2", site="berlin", region="eu", environment="prd", latitude="52.5", longitude="13.4"),
            self.inventory("edge-3", site="porto", region="eu", environment="tst", latitude="41.1", longitude="-8.6"),
            self.health("edge-1", "failing"),
            self.health("edge-2", "healthy"),
            self.health("edge-3", "unknown", age_seconds=600, reason="Silent"),
            self.finding("f1", "edge-1", "changed"),
            self.finding("f2", "edge-1", "failing", age_seconds=7_200),
            self.finding("f3", "edge-2", "behind", state="closed"),
            self.verdict("edge-1", "drifted"),
            self.incident("i1", 2),
            self.breaker("surge"),
            self.command("c1", "edge-1"),
            self.command("c2", "edge-1"),
            self.outcome("c1", "edge-1", "corrected"),
            self.decision("refused", "held"),
            self.dead_letter("streams.drift", "bad-row"),
        ]
