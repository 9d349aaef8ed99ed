"""Rates: how many Events each namespace has, and whose Warnings come more often than they usually do.

What the step means, before its tricks: of every row its `count` is added to the totals of its cluster and namespace.
Of a Warning it is added, too, to the minute it happened in, of the workload it is about. A workload is *unusual* when
its newest five minutes hold at least five Warnings and three times what its past explains. Only that a workload
becomes unusual, or usual again, is said.

How it is fast: rows are never looked at one by one. `counting` adds a run of frames up by columns and dictionary
codes; `state` lays the sums into arrays by slot, every five seconds of append time (a *beat*), which `index` finds by
key and `windows` moves on. `tests/streams/rates/oracle.py` says the same row by row, and slowly.

How it is exact: a batch's sums are what is written to the changelog (`cells`), and taking them in is the one way the
state changes, live or restored. What a beat holds is added up whatever the order of its rows; so neither the bounds
of batches nor the order of frames within a beat shows in the state.

Forbidden here: a loop over rows; a step that loops over distinct labels must remember them.
"""

from streams.rates.step import RatesStep

__all__ = ["RatesStep"]
