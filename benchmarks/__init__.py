"""The firehose: the same job on Abdrift and on its peers, side by side on one broker.

One file an engine under `benchmarks.engines`, all given the same events by `benchmarks.workload` and held against the
same oracle, so that a fast wrong engine is refused. Nothing imports this package but `abdrift bench`, and nothing here
may be imported by a stage. Forbidden here: figures that were not measured, and a peer set up worse than its own
documentation advises.
"""
