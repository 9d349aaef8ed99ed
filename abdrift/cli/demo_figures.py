"""What a demonstration found, judged against the simulator's own plan."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.console import Console

from abdrift.observed import Observed, percentiles
from abdrift.simulation import Ledger, Verdict, judge_incidents

FAULTY: Final = ("missed", "false_alarms", "lost", "incidents_missed", "incidents_false")
"""Figures that should be none."""


def observed_findings(seen: Observed) -> list[dict[str, Any]]:
    """Return the findings as the simulator's ledger takes them, each opened when it was in Kafka for all to read."""
    return [
        {
            "cluster": finding["cluster"]["name"],
            "kind": finding["kind"],
            "object": finding["object"],
            "opened_at_ns": seen.told_ms[finding_id] * 1_000_000,
        }
        for finding_id, finding in seen.findings.items()
    ]


def symptom_to_incident_ms(seen: Observed) -> list[float]:
    """Return how long after the first of the findings that it opened with each incident was in Kafka for all to read.

    Clusters that an earlier incident had say nothing of how fast a later one was seen: who is behind a bad revision is,
    from the revert on, behind that.
    """
    delays, before = list[float](), set[str]()
    for incident_id in sorted(seen.incidents, key=lambda each: seen.told_ms[each]):
        findings = seen.opened_with[incident_id].items()
        told = [seen.told_ms[one] for one, cluster in findings if cluster not in before and one in seen.told_ms]
        before.update(member["cluster"]["name"] for member in seen.incidents[incident_id]["members"])
        if told:
            delays.append(float(seen.told_ms[incident_id] - min(told)))
    return delays


def summary(seen: Observed, ledger: Ledger, sites: Mapping[str, str]) -> dict[str, Any]:
    """Return the figures, judged against the simulator's own plan. `sites` gives each cluster's."""
    verdict: Verdict = ledger.judge(observed_findings(seen))
    judged = judge_incidents(ledger, list(seen.incidents.values()), sites)
    return {
        "faults_injected": sum(1 for entry in ledger.entries.values() if not entry.error),
        "findings": seen.finding_kinds(),
        "commands": len(seen.commands),
        "outcomes": seen.outcome_results(),
        "edit_to_finding_ms": percentiles(list(verdict.edit_to_finding_ms)),
        "edit_to_corrected_ms": percentiles(list(verdict.edit_to_corrected_ms)),
        "incidents": [
            f"{one['title']} ({one['state']}, {one['blast_radius']['clusters_ever']} clusters)"
            for one in seen.incidents.values()
        ],
        "symptom_to_incident_ms": percentiles(symptom_to_incident_ms(seen)),
        "missed": len(verdict.missed),
        "false_alarms": len(verdict.false_alarms),
        "lost": len(verdict.lost),
        "incidents_missed": len(judged.missed),
        "incidents_false": len(judged.false_alarms),
        "details": {
            "missed": list(verdict.missed),
            "false_alarms": list(verdict.false_alarms),
            "lost": list(verdict.lost),
            "incidents_missed": list(judged.missed),
            "incidents_false": list(judged.false_alarms),
            "not_injected": [f"{i}: {entry.error}" for i, entry in ledger.entries.items() if entry.error],
        },
    }


def show(console: Console, figures: Mapping[str, Any]) -> None:
    """Print the figures."""
    console.print("\n[bold]Judged against the simulator's plan[/bold]")
    for name, value in figures.items():
        if name != "details":
            for number, line in enumerate(_shown(value)):
                console.print(f"  {'' if number else name:24}{line}", highlight=False, soft_wrap=True, markup=False)
    for name, items in figures["details"].items():
        for item in items:
            console.print(f"  {name}: {item}", highlight=False, style="yellow", soft_wrap=True, markup=False)


def _shown(value: Any) -> Sequence[str]:
    """Return a figure's lines: a list has one for each of its items."""
    if isinstance(value, dict):
        return [", ".join(f"{name} {one}" for name, one in value.items() if one is not None) or "none"]
    return value or ["none"] if isinstance(value, list) else [f"{value:,}" if isinstance(value, int) else str(value)]
