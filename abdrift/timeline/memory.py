"""What a story remembers of the facts it has taken in."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from abdrift.observed import named
from abdrift.timeline.entries import Entry, commit_words, short
from abdrift.topics import COMMAND, FINDING, INCIDENT

Data = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Told:
    """A fact, and when Kafka took it."""

    event: Mapping[str, Any]
    """The CloudEvent as JSON has it."""
    append_ms: int

    @property
    def data(self) -> Data:
        """What the fact says."""
        found: Data = self.event["data"]
        return found

    @property
    def subject(self) -> str:
        """What it is about."""
        return str(self.event["subject"])


@dataclass(slots=True)
class Memory:
    """The newest of each thing, by its id."""

    cluster: str
    findings: dict[str, Data] = field(default_factory=dict)
    verdicts: dict[str, Data] = field(default_factory=dict)
    health: dict[str, str] = field(default_factory=dict)
    """Status by resource id, as last told."""
    newest_health: Entry | None = None
    """Of the cluster as a whole."""
    inventory: Data | None = None
    incidents: dict[str, Data] = field(default_factory=dict)
    incidents_told: dict[str, str] = field(default_factory=dict)
    """State of each incident when an entry last told of it."""
    decisions: dict[str, str] = field(default_factory=dict)
    """What was last decided, by finding ids."""
    commands: dict[str, Data] = field(default_factory=dict)
    """By id, also those of which nothing is told yet."""
    commands_told: set[str] = field(default_factory=set)
    outcomes: dict[str, int] = field(default_factory=dict)
    """Newest revision, by subject."""
    ended: set[str] = field(default_factory=set)
    """Commands of which it is known what came of them."""
    is_stopped: bool | None = None
    """Whether the breaker is open."""
    names: dict[str, str] = field(default_factory=dict)
    """The object that a finding is about, by its id."""
    commits: dict[str, Data] = field(default_factory=dict)
    """By hash, where author or message are known."""
    heads: dict[tuple[str, str], tuple[str, int]] = field(default_factory=dict)
    """By URL and ref: the revision, and when it was last seen there (ms since the epoch)."""

    def learn(self, told: Told) -> None:
        """Take in what names commits, findings, commands and incidents."""
        kind, data = told.event.get("type"), told.data
        if kind == FINDING.name:
            self.names[told.subject] = named(data["object"])
            self.know(data.get("desired"))
        elif kind == COMMAND.name:
            self.commands[told.subject] = data
        elif kind == INCIDENT.name:
            self.know(data["cause"].get("commit"))
            known = self.incidents.get(told.subject)
            if known is None or known["revision"] <= data["revision"]:
                self.incidents[told.subject] = data

    def know(self, commit: Data | None) -> None:
        """Take in a commit's author and message."""
        if commit and (commit.get("author") or commit.get("message")):
            self.commits[_hash(commit["revision"])] = commit

    def revision(self, revision: str | None) -> str:
        """Return a revision as one says it, with its commit's message and author where they are known."""
        if not revision:
            return "nothing"
        said = commit_words(self.commits.get(_hash(revision)))
        return f"{short(revision)} {said}".rstrip()

    def objects(self, finding_ids: Iterable[str]) -> str:
        """Return the objects of findings as one says them, at most three."""
        names = list(dict.fromkeys(self.names[i] for i in finding_ids if i in self.names))
        most = 3
        return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")

    def is_open(self, finding_ids: Iterable[str]) -> bool:
        """Whether any of the findings is open."""
        return any(self.findings[i]["state"] == "open" for i in finding_ids if i in self.findings)


def _hash(revision: str) -> str:
    return revision.rpartition(":")[2] or revision
