"""Serves every metric of Abdrift's modules with a value each, in place of processes that would take too long to run.

A program of its own (`python -m tests.deploy.monitoring.stages HOST PORT`), so that no test's metrics are touched.
"""

from __future__ import annotations

import sys

from prometheus_client import REGISTRY, Histogram, start_http_server

from deploy.grafana import metrics

SOURCE = "kubernetes/edge-1"


def serve(host: str, port: int) -> None:
    """Serve for ever. A label's value is its own name, but a source's that of an agent."""
    for _, metric in metrics.wrappers(REGISTRY):
        values = [SOURCE if label == "source" else label for label in metric._labelnames]
        one = metric.labels(*values) if values else metric
        if isinstance(one, Histogram):
            one.observe(0.1)
        else:
            one.inc()
    _, thread = start_http_server(port, host)
    thread.join()


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
