"""Grafana: dashboards written as code, the JSON made from it, and what provisions both.

`python -m deploy.grafana` writes `dashboards/` anew. Forbidden here: a query that names what no process exposes.
"""
