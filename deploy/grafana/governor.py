"""Abdrift / Governor: what may be commanded, what was, what came of it, and how far each incident reaches."""

from typing import Final

from grafana_foundation_sdk.builders import dashboard

from deploy.grafana.panels import (
    BAD,
    FULL,
    GOOD,
    HALF,
    QUARTER,
    Panel,
    bars,
    chosen,
    kibana,
    lines,
    page,
    per_second,
    percentile,
    row,
    rows,
    tile,
)

UID: Final = "abdrift-governor"
_INCIDENT: Final = "incident_id, severity, cause_kind, cause, source, author, message, first_cluster"
_ONE: Final = 'incident_id=~"$incident"'
_RATE: Final = "[$__rate_interval]"


def build() -> dashboard.Dashboard:
    """Return the dashboard."""
    incident = chosen("incident", "abdrift_incident_open", label="incident_id")
    made = page("Governor", UID, "What is commanded and why not, and how far incidents reach.", incident)
    made = made.link(kibana("Kibana: audit of commands", "abdrift-audit"))
    for panel in _now():
        made = made.with_panel(panel)
    made = made.with_row(row("Blast radius"))
    for panel in _radius():
        made = made.with_panel(panel)
    made = made.with_row(row("Decisions, commands and outcomes"))
    for panel in _acts():
        made = made.with_panel(panel)
    return made


def _now() -> list[Panel]:
    return [
        tile(
            "Breaker",
            "max(abdrift_governor_breaker_open)",
            "Whether the governor may command anything. No data: it has said nothing yet.",
            width=QUARTER,
            words={0: ("closed: may act", GOOD), 1: ("open: commands nothing", BAD)},
            thresholds=[(None, GOOD), (1, BAD)],
        ),
        tile(
            "Since",
            "time() - max(abdrift_governor_breaker_since_timestamp_seconds)",
            "For how long that has been so.",
            width=QUARTER,
            unit="s",
        ),
        tile(
            "Commands under way",
            "sum(max by (verb) (abdrift_fleet_commands_in_flight))",
            "Given, and not ended.",
            width=QUARTER,
        ),
        tile(
            "Corrected within an hour",
            'sum(max by (verb) (increase(abdrift_fleet_outcomes_total{result="corrected"}[1h])))',
            "Commands whose findings were seen closed.",
            width=QUARTER,
        ),
        rows(
            "Why nothing is commanded",
            'max by (reason) (abdrift_governor_breaker_reason) or label_replace(vector(0), "reason", "none", "", "")',
            "The breaker's reasons: a surge, failing outcomes, or a freeze. It is open until a person thaws the fleet.",
            height=5,
        ),
    ]


def _affected(by: str) -> str:
    return f"sum by ({by}) (max by (incident_id, {by}) (abdrift_incident_{by}_clusters{{{_ONE}}}))"


def _radius() -> list[Panel]:
    return [
        rows(
            "Incidents",
            f"max by ({_INCIDENT}) (abdrift_incident_open{{{_ONE}}})",
            "The cause, and how many clusters have a symptom now.",
            value="Clusters",
            links=[
                kibana("Timeline in Kibana", "abdrift-incidents", abdrift__incident__id="${__data.fields.incident_id}")
            ],
        ),
        bars(
            "By environment",
            _affected("environment"),
            "{{environment}}",
            "Clusters with a symptom now. A cluster of two incidents counts twice.",
        ),
        bars(
            "By site",
            f"topk(30, {_affected('site')})",
            "{{site}}",
            "Likewise.",
        ),
        lines(
            "Members over time",
            {"{{incident_id}}": f"max by (incident_id) (abdrift_incident_objects{{{_ONE}}})"},
            "Objects, nodes and clusters whose symptoms last.",
        ),
        tile(
            "Open for",
            f"time() - max by (incident_id) (abdrift_incident_opened_timestamp_seconds{{{_ONE}}})",
            "Since each incident was opened.",
            name="{{incident_id}}",
            width=FULL,
            unit="s",
        ),
    ]


def _acts() -> list[Panel]:
    quantiles = {f"p{n}": percentile(n, "", "abdrift_fleet_corrected_seconds") for n in (50, 99)}
    steps = {"{{step}} p99": percentile(99, "step", "abdrift_gitops_step_seconds")}
    return [
        lines(
            "Decisions",
            {"{{result}} {{reason}}": f"max by (result, reason) (rate(abdrift_fleet_decisions_total{_RATE}))"},
            "By result and first reason: refusals say why nothing was done.",
        ),
        lines(
            "Commands",
            {"{{verb}}": f"max by (verb) (rate(abdrift_fleet_commands_total{_RATE}))"},
            "By verb.",
        ),
        lines(
            "Outcomes",
            {"{{result}}": f"sum by (result) (max by (verb, result) (rate(abdrift_fleet_outcomes_total{_RATE})))"},
            "By result.",
            stacked=True,
        ),
        lines("From command to corrected", quantiles, "Until the findings were seen closed.", unit="s"),
        lines("Steps of the GitOps sink", steps, "From one step of a command to the next.", unit="s"),
        lines(
            "Refused by the sink",
            {"{{reason}}": per_second("reason", "abdrift_gitops_commands_refused_total")},
            "Whatever is signed, a sink keeps its own verbs, caps and freeze.",
        ),
        lines(
            "Commands read and under way in the sink",
            {
                "read": f"sum(rate(abdrift_gitops_commands_read_total{_RATE}))",
                "under way": "sum(abdrift_gitops_commands_in_flight)",
            },
            "Of all GitOps sinks.",
            width=HALF,
        ),
        lines(
            "Ended by the sink",
            {"{{result}}": per_second("result", "abdrift_gitops_outcomes_total")},
            "By result.",
            width=HALF,
        ),
    ]
