"""Levels: what metrics and logs say against the health of workloads, nodes and clusters.

What the step means, before its tricks. Of metrics: each rule of the policy selects series; what its function makes of
a series at its newest sample is compared with a threshold, and where that is passed for as long as the rule allows,
the series *fires*. A subject (workload, node or cluster) fires under a rule while one of its series does. A series
ends with Prometheus's staleness marker; one that fired and falls silent for five minutes leaves its subject *unknown*.
Of logs: a workload fires whose lines of severity error and fatal are unusual, as `streams.rates` tells that of
Warnings, and a share of all its lines. Only what changes is said.

How it is fast: rows are never looked at one by one. `sampling` and `lines` read frames by columns and dictionary codes;
a metric's name tells whether a sample concerns any rule; `series` parses the labels of each series once; `rings` and
`functions` keep and judge many series at a time. `tests/streams/levels/oracle.py` says the same row by row.

How it is exact: as `streams.rates`. A batch's samples and sums are what is written to the changelog (`cells`), and
taking them in, ending a beat and declaring rules are the only ways the state changes, live or restored.

Forbidden here: a loop over rows; Python's regexes on labels.
"""

from streams.levels.step import LevelsStep

__all__ = ["LevelsStep"]
