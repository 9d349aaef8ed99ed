"""A fleet's facts on their way to their topics, of any size: for the page's tests and its measuring."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from abdrift.facts.commands import OutcomeResult
from abdrift.facts.drift import Corrects, DriftKind, FieldChange, FindingState, Times, Verdict
from abdrift.facts.incidents import IncidentState
from abdrift.facts.inventory import GitSource
from tests import facts
from tests.facts import COMMIT, REVISION, Said, deployment, kustomization, said

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = facts.NOW
REGIONS = {
    "eu-central": ("ber", "fra", "ham", "muc", "prg", "vie", "waw", "zrh"),
    "eu-north": ("cph", "hel", "osl", "sto"),
    "eu-south": ("ath", "bcn", "lis", "mad", "mil", "rom"),
    "eu-west": ("ams", "bru", "dub", "lon", "lux", "man", "par"),
    "us-east": ("atl", "bos", "iad", "mia", "nyc"),
    "us-west": ("den", "lax", "phx", "sea", "sfo"),
}


def moment() -> datetime:
    """The present, for where the page's server has a clock of its own."""
    return datetime.now(UTC)


def inventory(cluster: str, **labels: str) -> Said:
    given = {
        "kubernetes_version": "v1.34.4",
        "git_sources": (GitSource(url=facts.URL, ref="refs/heads/main"),),
        "inventoried_objects": 412,
    }
    return said(facts.inventory(cluster, labels, NOW, **given), NOW)


def health(
    cluster: str, status: str = "healthy", *, at: datetime | None = None, why: str = "", revision: int = 1
) -> Said:
    at = at or NOW
    return said(facts.health(cluster, status, at, why=why, revision=revision), at)


def changed(cluster: str, finding_id: str, **given: Any) -> Said:
    """A hand edit, as `kubectl edit` makes it."""
    at = NOW - timedelta(minutes=6)
    image = "registry.example/shop/checkout:1.14.2"
    by = facts.changed("", None, None, at).by
    fields = (
        facts.changed("/spec/template/spec/containers/0/image", image, f"{image}-debug", at),
        FieldChange(path="/spec/template/spec/containers/0/env/1", op="add", new={"name": "LOG", "value": "9"}, by=by),
        FieldChange(path="/metadata/annotations/team.example~1owner", op="remove", old="shop"),
    )
    values = {
        "object": deployment("checkout"),
        "message": "Deployment shop/checkout: 3 fields differ from what Git says",
        "fields": fields,
        "times": Times(changed_at=at, opened_at=at),
        "reconcile_corrects": Corrects.YES,
    }
    return said(facts.finding(cluster, finding_id, NOW, **(values | given)), NOW)


def failing(cluster: str, finding_id: str) -> Said:
    """What a bad commit does."""
    return changed(
        cluster,
        finding_id,
        kind=DriftKind.FAILING,
        object=kustomization("apps"),
        owner=None,
        message=f"Kustomization flux-system/apps cannot apply {REVISION}: Deployment shop/cart is invalid: "
        "spec.template.spec.containers[0].image: Required value",
        fields=(),
        managers=(),
        desired=COMMIT,
        reconcile_corrects=Corrects.NO,
    )


def verdict(cluster: str, owner: str, word: Verdict = Verdict.IN_SYNC) -> Said:
    given = {
        "owner": kustomization(owner),
        "objects": 120,
        "proven": 120 if word is not Verdict.UNKNOWN else 87,
        "ready": True,
        "applied_revision": "main@sha1:4b825dc642cb6eb9a060e54bf8d69288fbee4904",
    }
    return said(facts.verdict(cluster, word, NOW, **given), NOW)


def corrected(cluster: str, command_id: str, finding_id: str) -> tuple[Said, Said]:
    """A command for a finding, and that it worked."""
    issued = NOW - timedelta(minutes=5)
    given = {"finding_ids": (finding_id,), "reason": "changed: Deployment shop/checkout"}
    command = facts.command(cluster, command_id, issued, **given)
    outcome = facts.outcome(command, OutcomeResult.CORRECTED, took_seconds=0.7)
    return said(command, issued), said(outcome, issued)


def incident(members: dict[str, str], *, incident_id: str = "inc-1", state: str = "open", author: str = "") -> Said:
    """One bad revision; `members` are clusters by name with their sites."""
    given: dict[str, Any] = {
        "incident_id": incident_id,
        "revision": 3,
        "state": IncidentState(state),
        "changed_at": NOW - timedelta(minutes=1),
        "commit": COMMIT.model_copy(update={"author": author}) if author else COMMIT,
    }
    if state == "closed":
        given |= {"closed_at": NOW, "closed_because": "recovered"}
    return said(facts.incident(members, NOW - timedelta(minutes=8), **given), NOW)


def frozen_by(person: str) -> Said:
    """That nothing is commanded, since a person said so."""
    return said(facts.breaker(at=NOW - timedelta(minutes=3), revision=2, open=True, frozen_by=person), NOW)


def names(clusters: int) -> dict[str, dict[str, str]]:
    """Labels of as many clusters by name; some sites are larger than others, as they are."""
    sites = [
        (region, site) for region, found in REGIONS.items() for site in found for _ in range(1 + len(site + region) % 3)
    ]
    found = {}
    for number in range(clusters):
        region, site = sites[(number * 7919) % len(sites)]
        environment = ("tst", "ref", "prd", "prd", "prd")[number % 5]
        found[f"edge-{number:05}"] = {
            "region": region,
            "site": f"{site}{1 + number % 2}",
            "environment": environment,
            "customer": ("core", "ran", "media", "retail")[number // 3 % 4],
            "wave": {"tst": "0", "ref": "1", "prd": "2"}[environment],
        }
    return found


def fleet(clusters: int) -> Iterator[Said]:
    """Yield a fleet as it may be on a weekday: most of it healthy, a bad revision under way, some hand edits."""
    labels = names(clusters)
    everyone = list(labels)
    hit = [name for name in everyone if labels[name]["environment"] == "tst"][: max(1, clusters // 125)]
    for number, name in enumerate(everyone):
        yield inventory(name, **labels[name])
        if name in hit:
            yield health(name, "failing", why="Kustomization flux-system/apps is not ready")
            yield failing(name, f"failing-{name}")
        elif number % 97 == 5:
            yield health(name, "degraded", why="Deployment shop/cart has 2 of 3 replicas")
        elif number % 211 == 17:
            yield health(name, "unknown", why="no heartbeat for 21 minutes")
        elif number % 503 == 101:
            yield health(name, "failing", why="3 of 5 nodes are not ready")
        else:
            yield health(name)
        if number % 83 == 40:
            yield changed(name, f"changed-{name}")
            yield verdict(name, "apps", Verdict.DRIFTED)
    first = everyone[40 % clusters]
    closed = Times(
        changed_at=NOW - timedelta(minutes=30),
        opened_at=NOW - timedelta(minutes=30),
        closed_at=NOW - timedelta(minutes=29),
    )
    yield changed(
        first, f"closed-{first}", state=FindingState.CLOSED, times=closed, closed_because="corrected", revision=2
    )
    yield from corrected(first, "command-1", f"closed-{first}")
    yield incident({name: labels[name]["site"] for name in hit})
    yield incident({name: labels[name]["site"] for name in everyone[:3]}, incident_id="inc-0", state="closed")
