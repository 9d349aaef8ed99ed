"""Prometheus: how the fleet is, what drifted and what was done about it, as series to be scraped or written.

What is pure (`families`, `places`, `view`, `series`, `write`) knows neither Kafka nor HTTP. The fleet itself is folded
by `abdrift.fleetstate`; `following` reads the topics, `serving` answers scrapes, `remote_write` sends.

Forbidden here: judging anything anew, values of fields, and a label whose values nothing bounds.
"""
