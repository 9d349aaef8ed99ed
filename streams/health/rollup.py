"""Counting members by state, and what the counts say of the whole."""

from abdrift.facts.health import HealthReason, HealthStatus, MemberCounts
from streams.health.assess import DEGRADED, FAILING, HEALTHY, UNKNOWN, reason

Counts = tuple[int, int, int, int]
"""Members that are healthy, degraded, failing, unknown."""

_POSITION = {HEALTHY: 0, DEGRADED: 1, FAILING: 2, UNKNOWN: 3}
_SCORES = {HEALTHY: 100.0, DEGRADED: 50.0, FAILING: 0.0}
FAILING_SHARE = 0.2
"""From this share of failing members on, the whole is failing."""


def moved(counts: Counts, old: str | None, new: str | None) -> Counts:
    """Return the counts after one member went from one status to another; None is outside."""
    changed = list(counts)
    if old is not None:
        changed[_POSITION[HealthStatus(old)]] -= 1
    if new is not None:
        changed[_POSITION[HealthStatus(new)]] += 1
    return (changed[0], changed[1], changed[2], changed[3])


def score(counts: Counts) -> float:
    """Return the mean of the members' scores; members of unknown state count as nothing known, which is 0."""
    total = sum(counts)
    return round((counts[0] * 100 + counts[1] * 50) / total, 1) if total else 0.0


def status_score(status: str) -> float:
    """Return the score of a single resource."""
    return _SCORES.get(HealthStatus(status), 0.0)


def judge(counts: Counts, noun: str) -> tuple[HealthReason, ...]:
    """Return what the counts say of the whole; nothing where all members are healthy."""
    _, degraded, failing, unknown = counts
    total = sum(counts)
    if total == 0:
        return (reason("NoMembers", f"no {noun} has been seen", UNKNOWN, "rollup"),)
    found = []
    if failing:
        status = FAILING if failing / total >= FAILING_SHARE else DEGRADED
        found.append(reason("MembersFailing", f"{failing} of {total} {noun} are failing", status, "rollup"))
    if degraded:
        found.append(reason("MembersDegraded", f"{degraded} of {total} {noun} are degraded", DEGRADED, "rollup"))
    if unknown and (unknown == total or unknown / total >= FAILING_SHARE):
        found.append(reason("MembersUnknown", f"{unknown} of {total} {noun} are unknown", UNKNOWN, "rollup"))
    elif unknown:
        found.append(reason("SomeUnknown", f"{unknown} of {total} {noun} are unknown", DEGRADED, "rollup"))
    return tuple(found)


def members(counts: Counts) -> MemberCounts:
    """Return the counts as a fact's member."""
    return MemberCounts(healthy=counts[0], degraded=counts[1], failing=counts[2], unknown=counts[3])
