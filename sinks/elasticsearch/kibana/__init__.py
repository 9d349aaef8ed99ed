"""Kibana's data views and dashboards over what this sink writes: `python -m sinks.elasticsearch.kibana` makes them.

`boards` declares them; `saved` writes them as Kibana imports them. Queries are Lucene's, which Elasticsearch runs as
they stand.
"""
