"""Incidents as alerts: one for each cause, told to every Alertmanager until it is over.

`alerts` makes an alert of an incident; `book` knows which alerts there are now; `sending` tells one Alertmanager what
it does not know yet. What is told follows from the compacted topic alone: after a restart everything is told again,
and an Alertmanager that was away gets what holds when it is back.

Forbidden here: alerts for single findings or clusters; those are what incidents stand for.
"""
