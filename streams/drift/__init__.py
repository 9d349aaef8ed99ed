"""Drift: what differs between what GitOps applied and what a cluster holds, as pure steps.

`step` is the drift step: rows of objects and alerts in; findings, verdicts and the inventory out. It takes rows in
(`objects`, `owners`, `sources`, `watches`, `remotes`), proves baselines (`baseline`), judges each kind of drift in a
file of its own (`changed`, `deleted`, `orphaned`, `behind`, `failing`, `suspended`) and what alerts fire (`alerts`),
and tells what is news (`findings`, `verdicts`, `inventory`). `cells` says what it remembers. `compare` is the judge of
two documents, which the command line uses too.

Nothing here reads a clock, a file of the user's, a cluster or a topic: state and batch come in, facts go out.
"""
