"""A page's server on facts of the tests, without Kafka."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sinks.web import Model, Server, WebConfig
from sinks.web.archive import Archive
from sinks.web.model import Reading
from sinks.web.panel import panel
from tests.sinks.web import facts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from abdrift.clock import ClockMs
    from tests.sinks.web.facts import Said

NOW_MS = int(facts.NOW.timestamp() * 1000)


def clock() -> int:
    return NOW_MS


@dataclass
class World:
    """Takes facts in as `Source` does."""

    model: Model = field(default_factory=lambda: Model("e1", reading=Reading("live")))
    archive: Archive = field(default_factory=Archive)

    def tell(self, said: Iterable[Said], append_ms: int = NOW_MS) -> None:
        for each in said:
            change = each.change(append_ms)
            kept = self.archive.latest.values.setdefault(change.topic, {})
            if change.value is None:
                kept.pop(change.key, None)
            else:
                kept[change.key] = change.value
                self.archive.latest.appended_ms.setdefault(change.topic, {})[change.key] = append_ms
            self.model.take(change, self.archive.take(change))
        for topic, key in self.archive.trim():
            self.model.overtaken(topic, key)

    def since(self, version: int = 0, epoch: str = "e1") -> dict[str, Any]:
        return self.model.since(epoch, version, NOW_MS)

    def panel(self, cluster: str) -> dict[str, Any] | None:
        known = self.model.fleet.clusters
        return panel(cluster, self.archive.facts(cluster)) if cluster in known else None

    @asynccontextmanager
    async def served(self, *, clock: ClockMs = clock, **settings: Any) -> AsyncIterator[Server]:
        config = WebConfig.model_validate({"listen": "127.0.0.1:0", "batch_seconds": 0.01, **settings})
        async with Server(config, self.model, self.panel, clock=clock) as server:
            yield server
