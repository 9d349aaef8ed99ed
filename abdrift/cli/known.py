"""What the terminal knows of the fleet: state from topics, of which a second command reads only what is new."""

import contextlib
import difflib
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

import orjson
from rich.console import Console

from abdrift import fleetstate, paths
from abdrift.cli import printing
from abdrift.clock import wall_clock_ms
from abdrift.fleetstate import Fleet
from abdrift.kafka import KafkaSettings
from abdrift.latest import Change, Latest, Reader
from abdrift.latest_cache import View, remembered
from abdrift.topics import FLEET_DRIFT, FLEET_HEALTH, FLEET_INCIDENTS, FLEET_INVENTORY, Topic

LAST_MS: Final = 3_600_000
"""How far back commands and their outcomes are looked at."""
_VIEW: Final = "fleet-1"
_NEAR: Final = 5
_SHOWN_MATCHES: Final = 10
_TELL_FROM: Final = 20_000
"""From so many records on it takes long enough to be told of."""


@dataclass(frozen=True, slots=True)
class Known:
    """The newest facts, as of a moment (ms since the epoch)."""

    latest: Latest
    now_ms: int

    def fleet(self) -> Fleet:
        """Return the whole fleet."""
        return fleetstate.folded(self.latest)

    def cluster(self, name: str) -> Fleet:
        """Return the fleet as far as it is about one cluster: other clusters' facts are not even decoded."""
        fleet, needle = Fleet(), orjson.dumps(name)
        for topic in (*fleetstate.TOPICS, *fleetstate.RECENT):
            whole = topic is FLEET_INCIDENTS
            fleet.take_all(c for c in self.latest.changes(topic) if whole or needle in (c.value or b""))
        return fleet

    def names(self) -> list[str]:
        """Return the names of the clusters that an inventory or a health fact tells of."""
        inventory, health = (self.latest.values.get(t.name, {}) for t in (FLEET_INVENTORY, FLEET_HEALTH))
        return sorted({*inventory, *(key.removeprefix("cluster/") for key in health)})

    def require_cluster(self, name: str) -> None:
        """End the command where nobody knows a cluster."""
        names = self.names()
        if name not in names:
            _miss("cluster", name, names, "abdrift inventory show")

    def finding(self, text: str) -> Change:
        """Return the finding that an id, or the beginning of one, names; end the command where none or several do."""
        found = {c.key: c for c in self.latest.changes(FLEET_DRIFT) if b'"finding_id"' in (c.value or b"")}
        return found[_one("finding", text, found, "abdrift drift list --state all")]

    def incident(self, text: str) -> Change:
        """Return the incident that an id, or the beginning of one, names."""
        found = {c.key: c for c in self.latest.changes(FLEET_INCIDENTS)}
        return found[_one("incident", text, found, "abdrift incident list --state all")]

    def changes(self, topic: Topic) -> Iterable[Change]:
        """Return the newest facts of a topic."""
        return self.latest.changes(topic)


@contextlib.asynccontextmanager
async def live(kafka: KafkaSettings) -> AsyncIterator[tuple[Known, Reader]]:
    """Yield what is known up to now, and the reader of what changes from here on.

    Raises:
        KafkaUnreachableError: no broker lets this client in.
        TopicMissingError: a topic does not exist.

    """
    now_ms = wall_clock_ms()
    latest = Latest(fleetstate.wanted)
    view = View(
        _VIEW,
        (*fleetstate.TOPICS, *fleetstate.RECENT),
        latest,
        since=fleetstate.since(now_ms - LAST_MS),
        recent=fleetstate.RECENT,
        keep_ms=LAST_MS,
        lasting=frozenset({fleetstate.GOVERNOR}),
    )
    async with remembered(kafka, view, paths.cache_dir() / "latest") as reader:
        await _catch_up(reader)
        yield Known(latest, now_ms), reader


async def known(kafka: KafkaSettings) -> Known:
    """Return what is known up to now."""
    async with live(kafka) as (found, _):
        return found


async def _catch_up(reader: Reader) -> None:
    """Read up to now, telling of it where it takes long and somebody looks."""
    console = Console(stderr=True)
    shown = console.status("") if reader.total > _TELL_FROM and console.is_terminal else contextlib.nullcontext()
    with shown as status:
        async for left in reader.catch_up():
            if status:
                status.update(f"reading the fleet's facts: {reader.total - left:,} of {reader.total:,}")


def _one(noun: str, text: str, ids: Iterable[str], listing: str) -> str:
    """Return the id that begins so."""
    known = list(ids)
    matching = sorted(each for each in known if each.startswith(text)) if text else []
    if text in matching or len(matching) == 1:
        return text if text in matching else matching[0]
    if matching:
        more = f" and {len(matching) - _SHOWN_MATCHES} more" if len(matching) > _SHOWN_MATCHES else ""
        printing.fail(f"{text!r} begins {len(matching)} ids: {', '.join(matching[:_SHOWN_MATCHES])}{more}")
    return _miss(noun, text, known, listing)


def _miss(noun: str, text: str, known: Sequence[str], listing: str) -> NoReturn:
    near = near_to(text, known)
    hint = f" Near to it: {', '.join(near)}." if near else ""
    printing.fail(f"no {noun} {text!r} is known.{hint} `{listing}` shows those that are.")


def near_to(text: str, known: Sequence[str]) -> list[str]:
    """Return the few known names that are most like a text."""
    beginning = [each for each in known if text and each.startswith(text)]
    alike = difflib.get_close_matches(text, known, n=_NEAR, cutoff=0.7)
    return list(dict.fromkeys([*beginning, *alike]))[:_NEAR]
