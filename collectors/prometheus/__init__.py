"""Prometheus: remote write received, and its targets scraped, made into samples.

What is pure (`protobuf`, `snappy`, `write`, `write_v1`, `write_v2`, `labels`, `relabelling`, `exposition`) knows
neither HTTP nor Kafka. `catalogue` knows the series, `cardinality` how many there may be; `receiver` answers remote
write, `scraping` fetches targets, which come from `targets`.

Forbidden here: judging what samples mean, and a Python object for each sample of remote write.
"""
