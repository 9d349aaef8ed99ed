"""The policy of the end-to-end tests: it may do what Flux's verbs can, at once, and is told of everything."""

from __future__ import annotations

from abdrift.facts.commands import Verb
from abdrift.facts.drift import DriftKind
from abdrift.facts.governance import (
    Backoff,
    Breaker,
    Budget,
    Budgets,
    DriftAllowance,
    Fight,
    IgnoreRule,
    Limits,
    Mode,
    Policy,
    Rule,
)

OPEN = Budget(in_flight=50, per_hour=10_000)
OTHER_OPERATOR = "mesh-operator"
"""A field manager whose writes the policy ignores."""

ACTING = Policy(
    name="default",
    rules=(
        Rule(
            name="bring everything back",
            mode=Mode.ACT,
            grace_seconds=0,
            kinds=tuple(DriftKind),
            verbs=(Verb.RECONCILE, Verb.RECONCILE_WITH_SOURCE, Verb.FORCE),
        ),
    ),
    budgets=Budgets(cluster=OPEN, site=OPEN, fleet=OPEN, source_host=OPEN),
    backoff=Backoff(initial_seconds=0.5, max_seconds=2),
    # Tests break what they like; those of the breaker and of fights set their own.
    breaker=Breaker(surge_percent=100, surge_min_clusters=1_000, failed_outcomes=1_000),
    fight=Fight(rounds=1_000),
    limits=Limits(max_evidence_age_seconds=60, max_lag_seconds=60, command_ttl_seconds=60),
    # On a busy machine Flux takes some seconds to roll out a commit, for which it is rightly behind.
    allowance=DriftAllowance(behind_after_seconds=15, suspended_after_seconds=0.5),
    ignore=(IgnoreRule(name="the mesh's fields", managers=(OTHER_OPERATOR,)),),
)
"""Grace 0, budgets open."""
