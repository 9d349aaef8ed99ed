"""Abdrift / Pipeline: whether Abdrift itself works, stage by stage: lag, rows, drops by reason, time by step."""

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
    lines,
    page,
    per_second,
    percentile,
    row,
    tile,
)

UID: Final = "abdrift-pipeline"
_STEP: Final = 'step=~"$step"'
_SOURCE: Final = 'source=~"$source"'
_RATE: Final = "[$__rate_interval]"


def build() -> dashboard.Dashboard:
    """Return the dashboard."""
    made = page(
        "Pipeline",
        UID,
        "Whether Abdrift itself works: lag, rows, drops by reason and time by step of every stage.",
        chosen("step", "abdrift_engine_partitions"),
        chosen("source", "abdrift_collector_rows_total"),
    )
    for panel in _now():
        made = made.with_panel(panel)
    stages = {
        "Collectors": _collectors(),
        "Receivers": _receivers(),
        "Streams": _streams(),
        "Sinks: Prometheus and GitOps": _exporter(),
        "Sinks: Elasticsearch": _elasticsearch(),
        "Sinks: Alertmanager and the page": _alertmanager_and_page(),
        "Processes": _processes(),
    }
    for title, panels in stages.items():
        made = made.with_row(row(title))
        for panel in panels:
            made = made.with_panel(panel)
    return made


def _rates(by: str, metric: str, where: str = "") -> dict[str, str]:
    """Return a query for the rate of a counter by labels, which name its series."""
    return {_named(by): per_second(by, metric, where)}


def _high(by: str, histogram: str, where: str = "") -> dict[str, str]:
    """Return a query for the 99th percentile of a histogram by labels."""
    return {f"{_named(by)} p99": percentile(99, by, histogram, where)}


def _named(by: str) -> str:
    return " ".join(f"{{{{{label.strip()}}}}}" for label in by.split(","))


def _now() -> list[Panel]:
    return [
        tile(
            "Processes that answer",
            'sum by (job) (up{job=~"abdrift-.+"})',
            "By job, as deploy/prometheus/prometheus.yaml names them.",
            name="{{job}}",
            width=QUARTER,
            thresholds=[(None, BAD), (1, GOOD)],
        ),
        tile(
            "Fleet known",
            "max(abdrift_exporter_caught_up)",
            "Whether an exporter has read all that Kafka holds.",
            words={0: ("not known", UNKNOWN), 1: ("known", GOOD)},
            thresholds=[(None, UNKNOWN), (1, GOOD)],
        ),
        tile(
            "Read last",
            "time() - max(abdrift_exporter_checked_timestamp_seconds)",
            "Since an exporter saw last that it had read everything.",
            unit="s",
            thresholds=[(None, GOOD), (15, MEDIUM), (60, BAD)],
        ),
        tile(
            "Records behind",
            "min(abdrift_exporter_behind_records)",
            "Records that an exporter has not read.",
            thresholds=[(None, GOOD), (10_000, MEDIUM)],
        ),
        tile(
            "Worst lag",
            "max(abdrift_engine_lag_milliseconds)",
            "Age of the newest record when a step took it.",
            unit="ms",
            thresholds=[(None, GOOD), (5_000, MEDIUM), (60_000, BAD)],
        ),
        tile(
            "Dead letters",
            "sum(max by (refused_by, reason) (increase(abdrift_fleet_dead_letters_total[1h])))",
            "Within an hour, of all processes.",
            width=2,
            thresholds=[(None, GOOD), (1, MEDIUM)],
        ),
    ]


def _collectors() -> list[Panel]:
    spooled = f"max by (source) (abdrift_collector_spooled_seconds{{{_SOURCE}}})"
    return [
        lines("Rows", _rates("signal, op", "abdrift_collector_rows_total", _SOURCE), "Rows handed to frames."),
        lines("Frames", _rates("signal", "abdrift_collector_frames_total", _SOURCE), "Frames that Kafka acknowledged."),
        lines(
            "Bytes",
            _rates("signal", "abdrift_collector_frame_bytes_total", _SOURCE),
            "Of acknowledged frames, compressed.",
            unit="Bps",
        ),
        lines(
            "Time to an acknowledgement",
            _high("signal", "abdrift_collector_frame_seconds"),
            "From a closed frame to Kafka's, or the spool's, acknowledgement.",
            unit="s",
        ),
        lines(
            "Rows lost",
            _rates("reason", "abdrift_collector_rows_dropped_total", _SOURCE),
            "A fault, by reason. Nothing is lost uncounted.",
        ),
        lines(
            "Left out on purpose",
            _rates("reason", "abdrift_collector_suppressed_total", _SOURCE),
            "By reason: the noise that never comes to Kafka.",
        ),
        lines(
            "Sends that failed",
            _rates("error", "abdrift_collector_send_errors_total", _SOURCE),
            "And were tried again.",
        ),
        lines("Waiting on disk", {"{{source}}": f"topk(10, {spooled})"}, "For how long, the longest.", unit="s"),
        lines(
            "Watches opened again",
            _rates("reason", "abdrift_collector_watch_restarts_total", _SOURCE),
            "Of all agents and hubs, by reason.",
        ),
        lines(
            "Failures",
            {
                "Kubernetes {{code}}": per_second("code", "abdrift_collector_api_errors_total", _SOURCE),
                "agents started again": f"sum(rate(abdrift_collector_agent_failures_total{{{_SOURCE}}}{_RATE}))",
                "Git remotes": f"sum(rate(abdrift_collector_remote_errors_total{{{_SOURCE}}}{_RATE}))",
            },
            "Requests that failed, agents that fell, and Git remotes that could not be asked.",
        ),
        lines(
            "Scrapes",
            _rates("result", "abdrift_prometheus_scrapes_total", _SOURCE),
            "Of Prometheus targets, by result.",
        ),
        lines(
            "Log topics not read",
            {"{{topic}}": "sum by (topic) (abdrift_logs_topic_lag)"},
            "Records of topics of log events.",
        ),
    ]


def _receivers() -> list[Panel]:
    return [
        lines("Requests", _rates("handler, code", "abdrift_receiver_requests_total"), "By answer."),
        lines("Refused", _rates("handler, reason", "abdrift_receiver_refused_total"), "Requests and connections."),
        lines("Time to an answer", _high("handler", "abdrift_receiver_answer_seconds"), "From a body's end.", unit="s"),
        lines(
            "Rows refused", _rates("handler, reason", "abdrift_receiver_rejected_rows_total"), "Of accepted requests."
        ),
        lines("Bytes", _rates("handler", "abdrift_receiver_bytes_total"), "As they were sent.", unit="Bps"),
        lines(
            "Under way", {"{{handler}}": "sum by (handler) (abdrift_receiver_under_way)"}, "Requests or connections."
        ),
    ]


def _streams() -> list[Panel]:
    latest = {"{{step}}": f"max by (step) (abdrift_engine_lag_milliseconds{{{_STEP}}})"}
    restored = {"{{step}}": f"min by (step) (abdrift_engine_restore_percent{{{_STEP}}})"}
    return [
        lines("Lag", latest, "Age of the newest record when a step took it.", unit="ms"),
        lines("Rows", _rates("step", "abdrift_engine_rows_total", _STEP), "Rows of frames absorbed."),
        lines("Records", _rates("step", "abdrift_engine_records_total", _STEP), "Records absorbed, ticks among them."),
        lines(
            "Time to commit",
            _high("step", "abdrift_engine_commit_seconds", _STEP),
            "From a batch to its facts' acknowledgement.",
            unit="s",
        ),
        lines(
            "Busy",
            _rates("step", "abdrift_engine_process_seconds_total", _STEP),
            "Share of a core that is spent inside each step.",
            unit="percentunit",
        ),
        lines("Batches", _rates("step", "abdrift_engine_batches_total", _STEP), "Committed."),
        lines("Facts", _rates("step, topic", "abdrift_engine_facts_total", _STEP), "Published, by topic."),
        lines("Dead letters", _rates("step, reason", "abdrift_engine_dead_letters_total", _STEP), "Rows and records."),
        lines(
            "Passed over",
            _rates("step, reason", "abdrift_engine_passed_over_total", _STEP)
            | {
                "record: {{step}} {{reason}}": per_second("step, reason", "abdrift_engine_records_skipped_total", _STEP)
            },
            "Rows and records that were read and not counted, by reason.",
        ),
        lines(
            "Fetched and not absorbed",
            {"{{step}}": f"sum by (step) (abdrift_engine_buffered_bytes{{{_STEP}}})"},
            "Bounded for each partition.",
            unit="bytes",
        ),
        lines("Partitions", {"{{step}}": f"sum by (step) (abdrift_engine_partitions{{{_STEP}}})"}, "With an owner."),
        lines(
            "Restored",
            restored | {"{{step}}: superseded owners": per_second("step", "abdrift_engine_intrusions_total", _STEP)},
            "The share of a partition's state that is read back, the least of each step.",
        ),
    ]


def _exporter() -> list[Panel]:
    return [
        lines(
            "Exporter: series",
            {"{{family}}": "topk(12, max by (family) (abdrift_exporter_series))"},
            "The families with the most series.",
        ),
        lines(
            "Exporter: left out",
            {
                "series: {{family}}": "max by (family) (abdrift_exporter_series_left_out) > 0 or vector(0)",
                "values of {{label}} as other": "max by (label) (abdrift_exporter_label_values_as_other)",
            },
            "What is beyond its bounds.",
        ),
        lines(
            "Exporter: records",
            _rates("topic", "abdrift_exporter_records_total")
            | {"no facts: {{topic}} {{reason}}": per_second("topic, reason", "abdrift_exporter_records_refused_total")},
            "Records that changed what is known, and those that were no facts.",
        ),
        lines(
            "Exporter: time to make the series",
            {"p99": percentile(99, "", "abdrift_exporter_collect_seconds")},
            "For each scrape or snapshot.",
            unit="s",
        ),
        lines(
            "Remote write",
            _rates("result", "abdrift_exporter_remote_write_samples_total"),
            "Samples by what came of them.",
        ),
        lines(
            "Records that were no facts",
            _rates("topic", "abdrift_gitops_records_unreadable_total"),
            "Read by GitOps sinks.",
        ),
    ]


def _elasticsearch() -> list[Panel]:
    lag = {"{{lane}}": "max by (lane) (abdrift_elasticsearch_lag_milliseconds)"}
    return [
        lines(
            "Documents",
            _rates("kind, result", "abdrift_elasticsearch_documents_total"),
            "By what came of them: present ones were there already, superseded ones are older than what is there.",
        ),
        lines("Age when written", lag, "Of the newest record.", unit="ms"),
        lines(
            "Time of a bulk request",
            {"p99": percentile(99, "", "abdrift_elasticsearch_bulk_seconds")},
            "To its answer.",
            unit="s",
        ),
        lines(
            "Tried again",
            _rates("of, reason", "abdrift_elasticsearch_retries_total")
            | {"waits: {{lane}}": "max by (lane) (abdrift_elasticsearch_waiting)"},
            "Requests and documents by why, and 1 while nothing is read until Elasticsearch takes what is held.",
        ),
        lines(
            "Refused by Elasticsearch",
            _rates("reason", "abdrift_elasticsearch_dead_letters_total"),
            "Dead-lettered with the reason.",
        ),
        lines(
            "Not for Elasticsearch",
            _rates("topic, reason", "abdrift_elasticsearch_passed_over_total"),
            "Records and rows that are not meant to be there.",
        ),
    ]


def _alertmanager_and_page() -> list[Panel]:
    return [
        lines(
            "Alerts told",
            _rates("target, result", "abdrift_alertmanager_alerts_total")
            | {"failed: {{target}} {{error}}": per_second("target, error", "abdrift_alertmanager_errors_total")},
            "By what came of telling them.",
        ),
        lines(
            "Told last",
            {"{{target}}": "time() - max by (target) (abdrift_alertmanager_told_timestamp_seconds)"},
            "Since each Alertmanager was told of all. One that is told nothing takes alerts for over.",
            unit="s",
        ),
        lines("Page: requests", _rates("route, code", "abdrift_web_requests_total"), "By answer."),
        lines(
            "Page: refused",
            _rates("reason", "abdrift_web_refused_total"),
            "Requests refused, and browsers let go.",
        ),
        lines("Page: browsers", {"browsers": "sum(abdrift_web_browsers)"}, "That are told of changes now."),
        lines(
            "Page: bytes",
            {"sent": "sum(rate(abdrift_web_batch_bytes_total[$__rate_interval]))"},
            "Of changes to browsers.",
            unit="Bps",
        ),
    ]


def _processes() -> list[Panel]:
    ours = '{job=~"abdrift-.+"}'
    return [
        lines(
            "Memory",
            {"{{job}} {{instance}}": f"process_resident_memory_bytes{ours}"},
            "Resident.",
            width=12,
            unit="bytes",
        ),
        lines(
            "Processor",
            {"{{job}} {{instance}}": f"rate(process_cpu_seconds_total{ours}{_RATE})"},
            "Cores in use.",
            width=12,
        ),
    ]
