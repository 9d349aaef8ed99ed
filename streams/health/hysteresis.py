"""Keeps a status from flapping: bad news waits a little, good news longer, and what is certain not at all."""

import msgspec

from streams.health.cells import Reason, Resource

WORSENS_AFTER_MS = {"degraded": 10_000, "failing": 0, "unknown": 0}
IMPROVES_AFTER_MS = 15_000
_RANK = {"healthy": 0, "degraded": 1, "unknown": 2, "failing": 3}


def delay_ms(current: str, candidate: str) -> int:
    """Return how long a candidate status must last before it is believed."""
    if current in ("unknown", candidate):
        return 0  # any evidence is better than none
    if _RANK[candidate] > _RANK[current]:
        return WORSENS_AFTER_MS[candidate]
    return IMPROVES_AFTER_MS


def propose(resource: Resource, status: str, reasons: tuple[Reason, ...], now_ms: int) -> Resource:
    """Return the resource with a new candidate status, and settled where that needs no waiting.

    Reasons are replaced at once where the status stays; otherwise they come with the settled status.
    """
    began = resource.candidate_since_ms if resource.candidate == status else now_ms
    proposed = msgspec.structs.replace(resource, candidate=status, candidate_since_ms=began, candidate_reasons=reasons)
    if status == resource.status:
        return msgspec.structs.replace(proposed, reasons=_since(reasons, resource.reasons, now_ms))
    if now_ms - began >= delay_ms(resource.status, status):
        return settle(proposed, now_ms)
    return proposed


def settle(resource: Resource, now_ms: int) -> Resource:
    """Return the resource with its candidate as its status."""
    return msgspec.structs.replace(
        resource,
        status=resource.candidate,
        since_ms=now_ms,
        reasons=_since(resource.candidate_reasons, resource.reasons, now_ms),
    )


def due_ms(resource: Resource) -> int | None:
    """Return when the candidate would settle by itself, or None where nothing is waiting."""
    if resource.candidate == resource.status:
        return None
    return resource.candidate_since_ms + delay_ms(resource.status, resource.candidate)


def _since(new: tuple[Reason, ...], old: tuple[Reason, ...], now_ms: int) -> tuple[Reason, ...]:
    """Keep since when a reason has held."""
    known = {(r.code, r.status): r.since_ms for r in old}
    return tuple(msgspec.structs.replace(r, since_ms=known.get((r.code, r.status), now_ms)) for r in new)
