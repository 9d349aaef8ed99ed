"""What is watched for another end than its objects: Events, and definitions that tell which kinds there are."""

from collections.abc import Callable

from abdrift.clock import ClockMs
from collectors import telemetry
from collectors.kubernetes.config import KubernetesConfig
from collectors.kubernetes.event_rows import EventCounts, count_of, event_row, times_of
from collectors.kubernetes.projection import Object
from collectors.kubernetes.reflector import Sync
from collectors.kubernetes.reporter import Reporter


class EventsHandler:
    """Kubernetes Events into rows of the `events` signal. They hint and never prove, so a gap in them is not told."""

    def __init__(self, config: KubernetesConfig, reporter: Reporter, clock: ClockMs) -> None:
        self._config = config
        self._reporter = reporter
        self._clock = clock
        self._counts = EventCounts()
        self._first = True

    def list_begins(self) -> None:
        """Keep counts from list to list."""

    async def listed(self, obj: Object) -> None:
        """Take an Event of a list. How many of its count are new, the first list can't tell: one, if it is recent."""
        count, now_ms = count_of(obj), self._clock()
        added = self._counts.added(obj["metadata"]["uid"], count, first_sight=1 if self._first else count)
        if self._first and now_ms - times_of(obj)[1] > 1000 * self._config.event_horizon_seconds:
            telemetry.SUPPRESSED.labels(self._config.source, "old-event").inc()
            return
        await self._report(obj, added, now_ms)

    async def list_ends(self, sync: Sync) -> None:  # noqa: ARG002  the protocol's
        """Take what comes from now on as surely new."""
        self._first = False

    async def changed(self, obj: Object) -> None:
        """Take an Event that was written or counted up."""
        count = count_of(obj)
        await self._report(obj, self._counts.added(obj["metadata"]["uid"], count, first_sight=count), self._clock())

    async def removed(self, obj: Object) -> None:
        """Forget an Event that has expired."""
        self._counts.forget(obj["metadata"]["uid"])

    async def lost(self, reason: str, message: str, since_ms: int) -> None:
        """Say nothing: no verdict rests on Events."""

    async def _report(self, obj: Object, added: int, now_ms: int) -> None:
        if added:
            await self._reporter.event(event_row(self._config.cluster, obj, added, now_ms))
        else:
            telemetry.SUPPRESSED.labels(self._config.source, "repeated-event").inc()


class DefinitionsHandler:
    """Tells that the served kinds may have changed."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed

    def list_begins(self) -> None:
        """Prepare nothing."""

    async def listed(self, obj: Object) -> None:
        """Wait for the end of the list."""

    async def list_ends(self, sync: Sync) -> None:
        """Tell of a gap: anything may have changed in it."""
        if sync.gap_since_ms is not None:
            self._changed()

    async def changed(self, obj: Object) -> None:  # noqa: ARG002  the protocol's
        """Tell that a definition came, or its versions or state changed."""
        self._changed()

    async def removed(self, obj: Object) -> None:  # noqa: ARG002  the protocol's
        """Tell that a definition is gone."""
        self._changed()

    async def lost(self, reason: str, message: str, since_ms: int) -> None:
        """Leave it to discovery's slow timer."""
