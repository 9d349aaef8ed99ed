"""Abdrift / Fleet: how the fleet is, what is wrong with it and where."""

from typing import Final

from grafana_foundation_sdk.builders import dashboard

from deploy.grafana.panels import (
    BAD,
    FULL,
    GOOD,
    HALF,
    MEDIUM,
    PLACE,
    STATUS_COLOURS,
    THIRD,
    UNKNOWN,
    Panel,
    kibana,
    lines,
    link,
    page,
    places,
    row,
    rows,
    site_map,
    tile,
)

UID: Final = "abdrift-fleet"
_CLUSTERS: Final = f"max by (status, site, region, environment) (abdrift_fleet_clusters{{{PLACE}}})"
_UNWELL: Final = _CLUSTERS.replace("{", '{status!="healthy",', 1)
_SITE_UNWELL: Final = f"(sum by (site) ({_UNWELL}) / (sum by (site) ({_CLUSTERS}) > 0))"
_BY_AGE: Final = "abdrift_fleet_clusters_by_evidence_age"
_SHARE: Final = [(None, GOOD), (0.05, MEDIUM), (0.25, BAD)]
_ANY_BAD: Final = [(None, GOOD), (1, BAD)]
_ANY_MEDIUM: Final = [(None, GOOD), (1, MEDIUM)]
_INCIDENT: Final = "incident_id, severity, cause_kind, cause, author, message, first_cluster"


def build() -> dashboard.Dashboard:
    """Return the dashboard."""
    made = page("Fleet", UID, "How the fleet is, what is wrong with it, and where.", *places())
    for panel in (*_now(), _incidents(), *_where()):
        made = made.with_panel(panel)
    made = made.with_row(row("Drift"))
    for panel in _drift():
        made = made.with_panel(panel)
    made = made.with_row(row("Clusters"))
    return made.with_panel(_clusters())


def _now() -> list[Panel]:
    return [
        tile(
            "Clusters",
            f"sum by (status) ({_CLUSTERS})",
            "Clusters by status. Unknown is not healthy: nothing vouches for them.",
            name="{{status}}",
            width=THIRD,
            colours=STATUS_COLOURS,
        ),
        tile(
            "Known",
            "max(abdrift_exporter_caught_up)",
            "Whether an exporter has read all that Kafka holds. Where it has not, nothing is told of the fleet.",
            words={0: ("not known", UNKNOWN), 1: ("known", GOOD)},
            thresholds=[(None, UNKNOWN), (1, GOOD)],
            links=[link("Pipeline", "/d/abdrift-pipeline")],
        ),
        tile(
            "Open incidents",
            "sum(max by (cause_kind) (abdrift_incidents_open))",
            "One cause in place of its many symptoms.",
            thresholds=_ANY_BAD,
            links=[link("Blast radius", "/d/abdrift-governor")],
        ),
        tile(
            "Clusters with drift",
            f"sum(max by (site, region, environment) (abdrift_fleet_clusters_drifted{{{PLACE}}}))",
            "Clusters with an open finding.",
            thresholds=_ANY_MEDIUM,
        ),
        tile(
            "Silent agents",
            f"sum(max by (site, region, environment) (abdrift_fleet_clusters_silent{{{PLACE}}}))",
            "Clusters that say nothing: they are unknown.",
            thresholds=_ANY_MEDIUM,
        ),
    ]


def _incidents() -> Panel:
    return rows(
        "Incidents",
        f"max by ({_INCIDENT}) (abdrift_incident_open)",
        "What is wrong, by cause: the revision with its author and message, where it was seen first, and how many "
        "clusters have a symptom now.",
        value="Clusters",
        links=[
            link("Blast radius", "/d/abdrift-governor?var-incident=${__data.fields.incident_id}"),
            kibana("Timeline in Kibana", "abdrift-incidents", abdrift__incident__id="${__data.fields.incident_id}"),
        ],
    )


def _where() -> list[Panel]:
    return [
        site_map(
            "Sites on the map",
            f"{_SITE_UNWELL} * on (site) group_right () max by (site, latitude, longitude) (abdrift_site_location)",
            "The share of each site's clusters that are not healthy. A site is there whose clusters have the labels "
            "latitude and longitude in the inventory.",
            unit="percentunit",
            thresholds=_SHARE,
        ),
        tile(
            "Sites",
            f"sort_desc({_SITE_UNWELL})",
            "The same for every site, the worst first. A click narrows this page to the site.",
            name="{{site}}",
            width=HALF,
            height=12,
            unit="percentunit",
            thresholds=_SHARE,
            links=[link("Only this site", f"/d/{UID}?var-site=${{__field.labels.site}}")],
        ),
        lines(
            "Clusters over time",
            {"{{status}}": f"sum by (status) ({_CLUSTERS})"},
            "By status.",
            width=HALF,
            stacked=True,
            colours=STATUS_COLOURS,
        ),
        lines(
            "Age of evidence",
            {"older than {{older_than_seconds}} s": f"max by (older_than_seconds) ({_BY_AGE})"},
            "Clusters whose newest fact rests on evidence older than this. A fact is written at least every minute.",
            width=HALF,
        ),
    ]


def _drift() -> list[Panel]:
    found = f"sum by (kind) (max by (kind, site, region, environment) (abdrift_drift_findings{{{PLACE}}}))"
    return [
        lines("Open findings", {"{{kind}}": found}, "By kind.", stacked=True),
        lines(
            "Old findings",
            {
                "{{kind}}, older than {{older_than_seconds}} s": "max by (kind, older_than_seconds) "
                '(abdrift_drift_findings_by_age{older_than_seconds=~"3600|86400"})'
            },
            "Findings that nobody mends, by kind.",
        ),
        lines(
            "Kustomizations and HelmReleases",
            {"{{verdict}}": "max by (verdict) (abdrift_drift_owners)"},
            "By what is known of their objects. Unknown: not every object is proven.",
        ),
    ]


def _clusters() -> Panel:
    by_cluster = "max by (cluster, site, region, environment)"
    return rows(
        "The worst clusters",
        f"topk(100, {by_cluster} (abdrift_cluster_health{{{PLACE}}}))",
        "0 healthy, 1 degraded, 2 failing, 3 unknown. A click opens the cluster.",
        value="Status",
        height=12,
        width=FULL,
        links=[link("Cluster", "/d/abdrift-cluster?var-cluster=${__data.fields.cluster}")],
    )
