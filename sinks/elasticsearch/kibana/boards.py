"""The dashboards: fleet drift, incidents, a cluster's story, and the audit of what was done."""

from typing import Final

from sinks.elasticsearch.kibana.panels import Board, Chart, Listing, Note, Shape, View

_CLUSTER: Final = "orchestrator.cluster.name"
_REVISION: Final = "abdrift.git.revision"
_OWNER: Final = "abdrift.owner.id"
_OPEN_FINDINGS: Final = "abdrift.type:finding AND abdrift.open:true"
_CLUSTERS_HEALTH: Final = "abdrift.type:health AND abdrift.health.scope:cluster"
_OPEN_INCIDENTS: Final = "abdrift.type:incident AND abdrift.open:true"

_LINKS: Final = (
    "[Fleet drift](#/view/abdrift-drift) · [Incidents](#/view/abdrift-incidents) · "
    "[A cluster's story](#/view/abdrift-cluster) · [Audit](#/view/abdrift-audit)"
)

_BY_CLUSTER: Final = (_CLUSTER, "Cluster")
_BY_SITE: Final = ("abdrift.cluster.site", "Site")
_BY_ENVIRONMENT: Final = ("abdrift.cluster.environment", "Environment")
_BY_REVISION: Final = (_REVISION, "Git revision")

DRIFT: Final = Board(
    "drift",
    "Abdrift: fleet drift",
    "What is off course now, where, since when and by whom; and how it came and went.",
    "now-24h",
    (_BY_ENVIRONMENT, _BY_SITE, _BY_CLUSTER, ("abdrift.finding.kind", "Kind"), (_OWNER, "Owner")),
    (
        Note("drift-note", f"{_LINKS}\n\nNo evidence is `unknown`, never healthy: look at its age."),
        Chart("drift-open", "Open findings", View.CURRENT, _OPEN_FINDINGS, Shape.METRIC, width=8, height=6),
        Chart(
            "drift-clusters",
            "Clusters off course",
            View.CURRENT,
            _OPEN_FINDINGS,
            Shape.METRIC,
            distinct=_CLUSTER,
            width=8,
            height=6,
        ),
        Chart(
            "drift-unknown",
            "Clusters nothing is known of",
            View.CURRENT,
            f"{_CLUSTERS_HEALTH} AND abdrift.health.status:unknown",
            Shape.METRIC,
            width=8,
            height=6,
        ),
        Chart(
            "drift-partial",
            "Findings on incomplete evidence",
            View.CURRENT,
            f"{_OPEN_FINDINGS} AND NOT abdrift.evidence.complete:true",
            Shape.METRIC,
            width=8,
            height=6,
        ),
        Chart(
            "drift-uncorrected",
            "Not corrected by a reconcile",
            View.CURRENT,
            f"{_OPEN_FINDINGS} AND NOT abdrift.finding.reconcile_corrects:yes",
            Shape.METRIC,
            width=16,
            height=6,
        ),
        Chart("drift-kinds", "By kind", View.CURRENT, _OPEN_FINDINGS, Shape.PIE, ("abdrift.finding.kind",)),
        Chart(
            "drift-health", "Clusters by health", View.CURRENT, _CLUSTERS_HEALTH, Shape.PIE, ("abdrift.health.status",)
        ),
        Chart(
            "drift-verdicts", "Owners by verdict", View.CURRENT, "abdrift.type:verdict", Shape.PIE, ("abdrift.verdict",)
        ),
        Chart(
            "drift-sites",
            "Clusters off course by site",
            View.CURRENT,
            _OPEN_FINDINGS,
            Shape.BARS,
            ("abdrift.cluster.site",),
            distinct=_CLUSTER,
        ),
        Chart("drift-fields", "Fields", View.CURRENT, _OPEN_FINDINGS, Shape.BARS, ("abdrift.field.path",)),
        Chart(
            "drift-managers", "Who wrote them", View.CURRENT, _OPEN_FINDINGS, Shape.BARS, ("abdrift.finding.managers",)
        ),
        Chart("drift-owners", "Owners", View.CURRENT, _OPEN_FINDINGS, Shape.BARS, (_OWNER,), width=48),
        Chart(
            "drift-time",
            "Opened, changed and closed",
            View.FACTS,
            "abdrift.type:finding",
            Shape.OVER_TIME,
            ("event.action",),
            width=48,
        ),
        Listing(
            "drift-list",
            "Open findings",
            View.CURRENT,
            _OPEN_FINDINGS,
            (_CLUSTER, "abdrift.object", "message", "abdrift.finding.managers", "event.start", _REVISION),
        ),
    ),
)

INCIDENTS: Final = Board(
    "incidents",
    "Abdrift: incidents",
    "One cause in place of many symptoms: its commit, how far it reaches, and what happened in which order.",
    "now-24h",
    (("abdrift.incident.id", "Incident"), _BY_REVISION, _BY_CLUSTER),
    (
        Note("incidents-note", f"{_LINKS}\n\nChoose an incident above to see only what belongs to it."),
        Chart("incidents-open", "Open incidents", View.CURRENT, _OPEN_INCIDENTS, Shape.METRIC, width=12, height=6),
        Chart(
            "incidents-clusters",
            "Clusters in them",
            View.CURRENT,
            _OPEN_INCIDENTS,
            Shape.METRIC,
            distinct=_CLUSTER,
            width=12,
            height=6,
        ),
        Chart(
            "incidents-causes",
            "Causes",
            View.CURRENT,
            "abdrift.type:incident",
            Shape.PIE,
            ("abdrift.incident.cause.kind",),
            width=24,
            height=6,
        ),
        Chart(
            "incidents-commits",
            "Commits behind them",
            View.FACTS,
            "abdrift.type:incident AND _exists_:abdrift.git.author",
            Shape.TABLE,
            (_REVISION, "abdrift.git.author", "abdrift.git.message"),
            width=24,
        ),
        Chart(
            "incidents-members", "Clusters", View.CURRENT, "abdrift.type:incident", Shape.BARS, (_CLUSTER,), width=24
        ),
        Chart(
            "incidents-time",
            "What happened",
            View.FACTS,
            "abdrift.type:(incident OR finding OR command OR outcome)",
            Shape.OVER_TIME,
            ("event.action",),
            width=48,
        ),
        Listing(
            "incidents-list",
            "Incidents, as they went",
            View.FACTS,
            "abdrift.type:incident",
            (
                "event.action",
                "message",
                "abdrift.incident.severity",
                "abdrift.incident.clusters",
                "abdrift.incident.first.cluster",
                "abdrift.incident.first.message",
                "event.reason",
            ),
        ),
        Listing(
            "incidents-findings",
            "Findings of a revision",
            View.FACTS,
            f"abdrift.type:finding AND _exists_:{_REVISION}",
            (_CLUSTER, "event.action", "abdrift.object", "message", _REVISION),
        ),
    ),
)

CLUSTER: Final = Board(
    "cluster",
    "Abdrift: a cluster's story",
    "All that is known of one cluster in one line of time: drift, health, decisions, commands and what came of them.",
    "now-24h",
    (_BY_CLUSTER, ("abdrift.type", "Kind of fact"), ("orchestrator.namespace", "Namespace")),
    (
        Note("cluster-note", f"{_LINKS}\n\nChoose a cluster above."),
        Chart("cluster-open", "Open findings", View.CURRENT, _OPEN_FINDINGS, Shape.METRIC, width=8, height=8),
        Chart(
            "cluster-health",
            "Health now",
            View.CURRENT,
            "abdrift.type:health",
            Shape.TABLE,
            ("abdrift.health.status", "abdrift.health.scope"),
            width=20,
            height=8,
        ),
        Chart(
            "cluster-age",
            "Age of its evidence, as told (ms)",
            View.CURRENT,
            "abdrift.type:(health OR verdict)",
            Shape.TABLE,
            ("abdrift.type",),
            mean="abdrift.evidence.age_ms",
            width=20,
            height=8,
        ),
        Chart(
            "cluster-time",
            "What happened",
            View.FACTS,
            f"_exists_:{_CLUSTER}",
            Shape.OVER_TIME,
            ("abdrift.type",),
            width=48,
        ),
        Listing(
            "cluster-story",
            "The story",
            View.FACTS,
            f"_exists_:{_CLUSTER} AND NOT abdrift.type:inventory",
            ("event.action", "abdrift.object", "message", "event.reason", "related.user", _REVISION),
            height=24,
        ),
        Listing(
            "cluster-events",
            "Warnings and errors in it",
            View.SIGNALS,
            f"_exists_:{_CLUSTER}",
            ("log.level", "abdrift.object", "event.code", "message"),
        ),
    ),
)

AUDIT: Final = Board(
    "audit",
    "Abdrift: audit",
    "What was commanded, by which revision and policy, what came of it, what was refused and why, who said what.",
    "now-30d",
    (_BY_REVISION, _BY_CLUSTER, ("abdrift.command.verb", "Verb"), ("user.name", "Who")),
    (
        Note("audit-note", _LINKS, height=3),
        Chart("audit-commands", "Commands", View.FACTS, "abdrift.type:command", Shape.METRIC, width=12, height=6),
        Chart(
            "audit-corrected",
            "Corrected",
            View.FACTS,
            "abdrift.type:outcome AND event.outcome:success",
            Shape.METRIC,
            width=12,
            height=6,
        ),
        Chart(
            "audit-failed",
            "Failed, refused or expired",
            View.FACTS,
            "abdrift.type:outcome AND event.outcome:failure",
            Shape.METRIC,
            width=12,
            height=6,
        ),
        Chart(
            "audit-refused",
            "Refused by the governor",
            View.FACTS,
            "abdrift.type:decision AND abdrift.decision.result:refused",
            Shape.METRIC,
            width=12,
            height=6,
        ),
        Chart(
            "audit-revisions",
            "Outcomes by Git revision, with how long they took (ns)",
            View.FACTS,
            "abdrift.type:outcome",
            Shape.TABLE,
            (_REVISION, "abdrift.outcome.result"),
            mean="event.duration",
            width=24,
            height=12,
        ),
        Chart(
            "audit-reasons",
            "Decisions and their reasons",
            View.FACTS,
            "abdrift.type:decision",
            Shape.TABLE,
            ("abdrift.decision.result", "abdrift.reasons"),
            width=24,
            height=12,
        ),
        Chart(
            "audit-time",
            "Commands and outcomes",
            View.FACTS,
            "abdrift.type:(command OR outcome)",
            Shape.OVER_TIME,
            ("event.action",),
            width=48,
        ),
        Listing(
            "audit-list",
            "Commands and outcomes",
            View.FACTS,
            "abdrift.type:(command OR outcome)",
            (
                _CLUSTER,
                _OWNER,
                "abdrift.command.verb",
                "event.action",
                "event.reason",
                _REVISION,
                "abdrift.policy",
                "abdrift.command.id",
            ),
        ),
        Listing(
            "audit-people",
            "What people said",
            View.FACTS,
            "abdrift.type:(approval OR policy OR breaker)",
            ("event.action", "user.name", "message", "event.end"),
        ),
    ),
)

BOARDS: Final = (DRIFT, INCIDENTS, CLUSTER, AUDIT)
