"""The policy in force: verified, kept, and what changes with it."""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from abdrift.facts.governance import Policy
from abdrift.signing import SignatureRefused
from abdrift.topics import POLICY
from streams.drift.work import Work
from streams.step import Input

Verify = Callable[[str, Mapping[str, Any]], object]
"""Raises SignatureRefused where no trusted key signed data as a fact of a type, as `abdrift.signing.Trust.verify`."""

_SPREAD_MS = 5
"""Owners are judged again one after another, so that a new policy is no stall."""


def absorb(work: Work, record: Input, verify: Verify) -> None:
    """Take a policy, or its end, in. One that is not properly signed is refused, and the old one stays in force."""
    if record.tombstone:
        if record.key != work.policy.name:
            return
        work.declare(None)
    elif record.event is None or record.event.type != POLICY.name:
        work.refuse("unknown-fact", f"type {record.event.type if record.event else None!r} is no policy")
        return
    else:
        try:
            verify(POLICY.name, record.event.data)
            policy = Policy.model_validate(record.event.data)
        except SignatureRefused as error:
            work.refuse(error.reason, str(error))
            return
        except ValidationError as error:
            work.refuse("bad-policy", str(error))
            return
        work.declare(policy)
    for cluster in sorted(work.partition.due_ms):
        cell = work.cluster(cluster)
        work.wake(cluster, "alerts.policy|", work.now_ms)
        for index, oid in enumerate((*cell.owners, *cell.sources)):
            what = "owner" if oid in cell.owners else "source"
            work.wake(cluster, f"{what}.policy|{oid}", work.now_ms + index * _SPREAD_MS)
