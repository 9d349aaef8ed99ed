"""What this sink knows of findings: which of them have closed, from the drift topic."""

import asyncio
import contextlib
from collections import OrderedDict

from abdrift.clock import to_ms
from abdrift.facts.drift import Finding, FindingState

_KEPT = 50_000


class FindingsView:
    """The newest state of the findings that were seen, bounded; the oldest are forgotten first."""

    def __init__(self) -> None:
        self._closed_ms: OrderedDict[str, int] = OrderedDict()
        self._changed = asyncio.Condition()

    async def absorb(self, finding: Finding) -> None:
        """Take a finding's newest revision into account."""
        async with self._changed:
            if finding.state is FindingState.CLOSED and finding.times.closed_at is not None:
                self._closed_ms[finding.finding_id] = to_ms(finding.times.closed_at)
                while len(self._closed_ms) > _KEPT:
                    self._closed_ms.popitem(last=False)
                self._changed.notify_all()
            else:
                self._closed_ms.pop(finding.finding_id, None)

    async def wait_closed(self, finding_ids: tuple[str, ...], timeout_seconds: float) -> dict[str, int]:
        """Return when each was closed (ms since the epoch), leaving out those still open at the time-out."""

        def all_closed() -> bool:
            return all(i in self._closed_ms for i in finding_ids)

        async with self._changed:
            with contextlib.suppress(TimeoutError):  # what is still open is told by its absence
                await asyncio.wait_for(self._changed.wait_for(all_closed), timeout_seconds)
            return {i: self._closed_ms[i] for i in finding_ids if i in self._closed_ms}
