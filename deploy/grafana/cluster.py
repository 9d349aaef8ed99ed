"""Abdrift / Cluster: one cluster, its drifted objects, and what its agent sends."""

from typing import Final

from grafana_foundation_sdk.builders import dashboard

from deploy.grafana.panels import (
    BAD,
    GOOD,
    MEDIUM,
    QUARTER,
    UNKNOWN,
    Panel,
    chosen,
    kibana,
    lines,
    page,
    per_second,
    row,
    rows,
    states,
    tile,
)

UID: Final = "abdrift-cluster"
_STATUS: Final = {0: ("healthy", GOOD), 1: ("degraded", MEDIUM), 2: ("failing", BAD), 3: ("unknown", UNKNOWN)}
_SOURCE: Final = 'source="kubernetes/$cluster"'
_OBJECT: Final = "cluster, kind, object_kind, namespace, name, owner"
_OBJECT_IN_KIBANA: Final = {
    "orchestrator__cluster__name": "$cluster",
    "orchestrator__resource__name": "${__data.fields.name}",
}
_OPENED: Final = "abdrift_drift_finding_opened_timestamp_seconds"


def build() -> dashboard.Dashboard:
    """Return the dashboard."""
    cluster = chosen("cluster", "abdrift_cluster_health", many=False)
    kinds = chosen("object_kind", _OPENED + '{cluster="$cluster"}')
    made = page("Cluster", UID, "One cluster: its health, its drifted objects and its agent.", cluster, kinds)
    made = made.link(kibana("Kibana: this cluster's story", "abdrift-cluster", orchestrator__cluster__name="$cluster"))
    for panel in (*_now(), _health(), _objects()):
        made = made.with_panel(panel)
    made = made.with_row(row("Agent"))
    for panel in _agent():
        made = made.with_panel(panel)
    return made


def _now() -> list[Panel]:
    return [
        tile(
            "Status",
            'max(abdrift_cluster_health{cluster="$cluster"})',
            "As its newest health fact says.",
            width=QUARTER,
            words=_STATUS,
            thresholds=[(None, GOOD), (1, MEDIUM), (2, BAD), (3, UNKNOWN)],
        ),
        tile(
            "Open findings",
            'max(abdrift_cluster_findings{cluster="$cluster"}) or vector(0)',
            "Objects that differ from Git, are late, fail, or of which alerts fire.",
            width=QUARTER,
            thresholds=[(None, GOOD), (1, MEDIUM)],
        ),
        tile(
            "Oldest finding",
            f'time() - min({_OPENED}{{cluster="$cluster"}}) or vector(0)',
            "For how long it has been open.",
            width=QUARTER,
            unit="s",
            thresholds=[(None, GOOD), (3_600, MEDIUM), (86_400, BAD)],
        ),
        tile(
            "Where",
            'max by (site, region, environment) (abdrift_cluster_health{cluster="$cluster"})',
            "Its site, region and environment by the inventory.",
            name="{{site}} · {{region}} · {{environment}}",
            width=QUARTER,
            words=_STATUS,
        ),
    ]


def _health() -> Panel:
    return states(
        "Health over time",
        'max by (cluster) (abdrift_cluster_health{cluster="$cluster"})',
        "{{cluster}}",
        "A gap: the exporter itself did not know.",
        words=_STATUS,
    )


def _objects() -> Panel:
    return rows(
        "Objects off course",
        f'1000 * max by ({_OBJECT}) ({_OPENED}{{cluster="$cluster",object_kind=~"$object_kind"}})',
        "Each open finding: the object, its owner, and since when. The fields that differ are in Kibana, or "
        "`abdrift drift show`.",
        value="Since",
        hidden=["cluster"],
        units={"Since": "dateTimeFromNow"},
        links=[kibana("This object in Kibana", "abdrift-cluster", **_OBJECT_IN_KIBANA)],
    )


def _agent() -> list[Panel]:
    return [
        lines(
            "Rows",
            {"{{signal}} {{op}}": per_second("signal, op", "abdrift_collector_rows_total", _SOURCE)},
            "What its agent or hub sends. Sources are named kubernetes/<cluster>.",
        ),
        lines(
            "Watches",
            {
                "open": f"sum(abdrift_collector_open_watches{{{_SOURCE}}})",
                "opened again: {{reason}}": per_second("reason", "abdrift_collector_watch_restarts_total", _SOURCE),
                "listed again: {{reason}}": per_second("reason", "abdrift_collector_relists_total", _SOURCE),
            },
            "Open watches, and how often they had to begin again.",
        ),
        lines(
            "Objects known",
            {"objects": f"sum(abdrift_collector_known_objects{{{_SOURCE}}})"},
            "Held by fingerprint.",
        ),
        lines(
            "Requests that failed",
            {"{{code}}": per_second("code", "abdrift_collector_api_errors_total", _SOURCE)},
            "By the API server's answer.",
        ),
        lines(
            "Waiting on its disk",
            {"bytes": f"sum(abdrift_collector_spooled_bytes{{{_SOURCE}}})"},
            "Frames that wait until Kafka can be reached.",
            unit="bytes",
        ),
        lines(
            "Lost and left out",
            {
                "lost: {{reason}}": per_second("reason", "abdrift_collector_rows_dropped_total", _SOURCE),
                "left out: {{reason}}": per_second("reason", "abdrift_collector_suppressed_total", _SOURCE),
            },
            "Rows lost are a fault; what is left out is meant.",
        ),
    ]
