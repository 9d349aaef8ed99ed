"""Where clusters are, by the inventory: so that drift is found by site, region and environment."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

from abdrift.latest import Change
from sinks.elasticsearch.documents.parts import PLACES, Fields


class Places:
    """The newest labels of each cluster. A document has those that were known when it was written."""

    def __init__(self) -> None:
        self._known: dict[str, Mapping[str, str]] = {}

    def take(self, changes: Iterable[Change]) -> None:
        """Learn what the inventory says of clusters, and which are gone. What is no inventory's fact says nothing."""
        for change in changes:
            data = (change.event() or {}).get("data")
            labels = data.get("labels") if isinstance(data, dict) else None
            if isinstance(labels, dict):
                self._known[change.key] = {kind: str(labels[kind]) for kind in PLACES if kind in labels}
            else:
                self._known.pop(change.key, None)

    async def follow(self, changes: AsyncIterator[Sequence[Change]]) -> None:
        """Take changes as they come, until cancelled."""
        async for some in changes:
            self.take(some)

    def fields(self, clusters: str | Iterable[str] | None) -> Fields:
        """Return where a document's cluster or clusters are."""
        names = [clusters] if isinstance(clusters, str) else clusters or ()
        known = [self._known[name] for name in names if name in self._known]
        return {f"abdrift.cluster.{kind}": sorted({one[kind] for one in known if kind in one}) for kind in PLACES}
