"""What an incident says as an alert, and which alerts an Alertmanager is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from abdrift.clock import to_datetime
from abdrift.facts.incidents import CauseKind, IncidentCause, Severity
from sinks.alertmanager import alerts
from sinks.alertmanager.book import ENDED_KEPT_MS, HELD_TIMES, Book, Told
from sinks.alertmanager.config import AlertmanagerConfig
from tests.sinks.alertmanager.incidents import BAD, T0, closed, incident

if TYPE_CHECKING:
    from collections.abc import Sequence

    from abdrift.facts.incidents import Incident
    from sinks.alertmanager.alerts import Alert

TARGETS: dict[str, Any] = {"alertmanagers": [{"url": "http://am:9093"}]}
RESEND_MS = 60_000


def config(**more: Any) -> AlertmanagerConfig:
    return AlertmanagerConfig.model_validate(TARGETS | more)


def test_an_alert_names_the_cause_and_says_how_far_it_reaches() -> None:
    made = config(
        labels={"team": "platform"}, page_url="https://a/#{incident_id}", runbook_url="https://r/{cause_kind}?c={cause}"
    )
    alert = alerts.of(incident(outcomes={"failed": 2}), made)
    assert alert.labels == {
        "alertname": "AbdriftIncident",
        "severity": "critical",
        "cause_kind": "git-revision",
        "cause": BAD,
        "revision": BAD,
        "team": "platform",
    }
    said = dict(alert.annotations)
    assert said.pop("description") == (
        "7 clusters now, 7 in all; none lasts.\n"
        "First seen on edge-0 at 2026-01-01T00:00:00.000Z: Kustomization flux-system/infra fails\n"
        "Sites: 7 ber1.\n"
        "Clusters: edge-0, edge-1, edge-2, edge-3, edge-4 and 2 more.\n"
        "Commands: 2 failed."
    )
    assert said == {
        "summary": "main@bbbbbbb fails in 7 clusters",
        "incident_id": "i1",
        "clusters": "7",
        "source": "https://git.example/fleet.git",
        "author": "mallory",
        "commit_message": "Run more proxies",
        "first_cluster": "edge-0",
        "outcomes": "2 failed",
        "runbook_url": f"https://r/git-revision?c={BAD.replace('@', '%40').replace(':', '%3A')}",
        "page_url": "https://a/#i1",
    }
    assert alert.posted(to_datetime(T0 + 5)) == {
        "labels": alert.labels,
        "annotations": alert.annotations,
        "startsAt": "2026-01-01T00:00:00.000Z",
        "endsAt": "2026-01-01T00:00:00.005Z",
        "generatorURL": "https://a/#i1",
    }


LABELS: dict[str, tuple[CauseKind, str, dict[str, str]]] = {
    "site": (CauseKind.SITE, "ber1", {"site": "ber1"}),
    "node-pool": (CauseKind.NODE_POOL, "edge-1/gpu", {"cluster": "edge-1", "node_pool": "gpu"}),
    "dependency": (CauseKind.DEPENDENCY, "git.example", {}),
    "fleet": (CauseKind.FLEET, "all", {}),
}


@pytest.mark.parametrize(("kind", "name", "labels"), LABELS.values(), ids=LABELS)
def test_labels_are_those_by_which_other_alerts_are_inhibited(
    kind: CauseKind, name: str, labels: dict[str, str]
) -> None:
    alert = alerts.of(incident(cause=IncidentCause(kind=kind, name=name)), config())
    always = {"alertname": "AbdriftIncident", "severity": "critical", "cause_kind": kind.value, "cause": name}
    assert alert.labels == always | labels


def test_what_grows_changes_no_label_and_the_end_is_when_it_closed() -> None:
    first, grown, over = (alerts.of(one, config()) for one in (incident(), incident(clusters=80), closed()))
    assert first.key == grown.key == over.key
    assert over.posted(to_datetime(T0))["endsAt"] == "2026-01-01T00:01:00.000Z"


def told(state: Told, book: Book, at_ms: int) -> list[tuple[str, str, bool]]:
    """Tell what is due; return of each alert its severity, summary, and whether it fires."""
    current = book.current(at_ms)
    due: Sequence[Alert] = state.due(current, at_ms)
    state.note(due, current, at_ms)
    return [(one.labels["severity"], one.annotations["clusters"], one.ended_at is None) for one in due]


def test_alerts_are_told_when_they_change_and_again_before_they_would_end() -> None:
    book, state = Book(config()), Told(RESEND_MS)
    book.put(incident())
    assert told(state, book, T0) == [("critical", "7", True)]
    assert told(state, book, T0 + RESEND_MS - 1) == []
    assert told(state, book, T0 + RESEND_MS) == [("critical", "7", True)]
    book.put(incident(clusters=8))
    assert told(state, book, T0 + RESEND_MS + 1) == [("critical", "8", True)]
    book.put(closed())
    assert (book.firing, told(state, book, T0 + RESEND_MS + 2)) == (0, [("critical", "0", False)])
    assert told(state, book, T0 + 9 * RESEND_MS) == []
    assert told(state, book, T0 + 60_000 + ENDED_KEPT_MS + 1) == []


def test_an_alert_whose_labels_changed_ends() -> None:
    book, state = Book(config()), Told(RESEND_MS)
    book.put(incident(severity=Severity.WARNING))
    told(state, book, T0)
    book.put(incident())
    assert told(state, book, T0 + 1) == [("critical", "7", True), ("warning", "7", False)]
    assert told(state, book, T0 + 2) == []


def test_an_incident_that_is_forgotten_ends() -> None:
    book, state = Book(config()), Told(RESEND_MS)
    book.put(incident())
    told(state, book, T0)
    book.drop("i1")
    book.drop("unheard-of")
    assert told(state, book, T0 + 1) == [("critical", "7", False)]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["old-first", "new-first"])
def test_of_one_cause_that_came_back_the_open_incident_counts(order: tuple[int, ...]) -> None:
    book, both = Book(config()), (closed(), incident("i2", clusters=3, opened_at=to_datetime(T0 + 70_000)))
    for number in order:
        book.put(both[number])
    assert told(Told(RESEND_MS), book, T0 + 80_000) == [("critical", "3", True)]


def test_what_ended_long_ago_is_not_told_after_a_restart() -> None:
    book = Book(config())
    book.put(closed(T0))
    assert told(Told(RESEND_MS), book, T0 + ENDED_KEPT_MS) == [("critical", "0", False)]
    assert told(Told(RESEND_MS), book, T0 + ENDED_KEPT_MS + 1) == []


def test_an_alert_holds_for_several_intervals() -> None:
    book, state = Book(config()), Told(RESEND_MS)
    book.put(incident())
    (body,) = state.body(book.current(T0).values(), T0)
    assert body["endsAt"] == f"2026-01-01T00:0{HELD_TIMES}:00.000Z"


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "nobody": ({"alertmanagers": []}, "at least 1 item"),
    "twice": ({"alertmanagers": [{"url": "http://a"}, {"url": "http://a"}]}, "named twice"),
    "no-url": ({"alertmanagers": [{"url": "a:9093"}]}, "pattern"),
    "taken-label": ({"labels": {"severity": "none"}}, "set by the incident itself"),
    "unknown-place": ({"page_url": "https://a/{who}"}, "may hold {incident_id}"),
    "torn-place": ({"runbook_url": "https://a/{"}, "may hold {incident_id}"),
}


@pytest.mark.parametrize(("given", "said"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_meant_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        config(**given)


def test_texts_are_bounded() -> None:
    long: Incident = incident(title="t" * 9_000, cause=IncidentCause(kind=CauseKind.DEPENDENCY, name="n" * 9_000))
    alert = alerts.of(long, config())
    assert (len(alert.annotations["summary"]), len(alert.labels["cause"])) == (2_000, 200)
