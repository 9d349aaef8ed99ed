"""Incidents: one cause in place of the thousands of symptoms that share it.

Findings and health changes come in, in the one order of the fleet. `causes` tells what a symptom may come of, widest
first; `groups` counts the members of each cause; `thresholds` says from when on they are an incident; `life` opens,
tells and closes it. A symptom belongs to every cause it may come of, but only the widest that is an incident is told.

Forbidden here: I/O, clocks, randomness, and looking at all members for one change.
docs/decisions/0022-incidents.md says why it is so.
"""

from streams.incidents.step import IncidentsStep

__all__ = ["IncidentsStep"]
