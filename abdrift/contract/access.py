"""Who may do what on Kafka: a user for each process, with the rights that the topic map gives its modules. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from abdrift.topics import TOPICS, Topic

_COLLECTORS: Final[Mapping[str, tuple[str, ...]]] = {
    "agent": ("collectors.kubernetes",),
    "hub": ("collectors.hub",),
    "inventory": ("collectors.inventory",),
    "git": ("collectors.git",),
    "scrape": ("collectors.prometheus",),
    "logs": ("collectors.logs",),
    # As a gateway it passes on what agents at the edge have written.
    "receive": (
        "collectors.alertmanager",
        "collectors.flux",
        "collectors.kubernetes",
        "collectors.logs",
        "collectors.prometheus",
    ),
}
"""By process, the modules that it runs. Each step and each sink is a process of its own."""
_IN_GROUPS: Final = ("hub", "logs")
"""Collectors that share their work by a consumer group."""
OTHER_TEAM: Final = "other-team"
"""An example: copied and renamed for each team that reads the public topics."""


@dataclass(frozen=True, slots=True)
class Right:
    """Operations on one resource. Names are Kafka's."""

    resource: Literal["topic", "group"]
    name: str
    operations: tuple[str, ...]
    prefix: bool = False
    """Whether it is meant for every name that begins so."""


@dataclass(frozen=True, slots=True)
class User:
    """One process's identity."""

    name: str
    purpose: str
    rights: tuple[Right, ...]


def users() -> tuple[User, ...]:
    """Return all users, derived from who writes and reads which topic."""
    return (
        *(_collector(name, modules) for name, modules in _COLLECTORS.items()),
        *(_step(name) for name in _modules("streams")),
        *(_sink(name) for name in _modules("sinks")),
        _operator(),
        _provisioner(),
        _other_team(),
    )


def _modules(stage: str) -> list[str]:
    named = {module for topic in TOPICS for module in (*topic.writers, *topic.readers)}
    return sorted(module.partition(".")[2] for module in named if module.startswith(f"{stage}."))


def _collector(name: str, modules: Iterable[str]) -> User:
    own = f"abdrift-{name}"
    if name not in _IN_GROUPS:
        return User(own, f"abdrift {name}", tuple(_topics(modules)))
    rights = (*_topics(modules), _group(own, prefix=True))
    return User(own, f"abdrift {name}, in consumer groups whose names begin with {own}", rights)


def _step(name: str) -> User:
    module = f"streams.{name}"
    # Its clock goes on by ticks, which it writes to an internal topic that it reads.
    ticks = {topic.name for topic in TOPICS if module in topic.readers and not topic.public}
    state = Right("topic", f"abdrift-{name}-state-changelog", ("Create", "Read", "Write"))
    rights = _topics((module, "streams"), also_write=ticks)
    return User(f"abdrift-{name}", f"abdrift worker {name}", (*rights, state, _group(f"abdrift-{name}")))


def _sink(name: str) -> User:
    rights = _topics((f"sinks.{name}", "sinks"))
    return User(f"abdrift-{name}", f"the sink {name}", (*rights, _group(f"abdrift-{name}", prefix=True)))


def _operator() -> User:
    rights = tuple(_topics(("abdrift.cli",), also_describe=True))
    return User("abdrift-operator", "people at a terminal: reads every topic, writes policies and words", rights)


def _provisioner() -> User:
    operations = ("Create", "Describe", "DescribeConfigs")
    return User("abdrift-provision", "abdrift topics create", (Right("topic", "abdrift.", operations, prefix=True),))


def _other_team() -> User:
    rights = (Right("topic", topic.name, ("Read",)) for topic in TOPICS if topic.public)
    purpose = "an example of another team: reads what is public, in groups of its own"
    return User(OTHER_TEAM, purpose, (*rights, _group(f"{OTHER_TEAM}-", prefix=True)))


def _group(name: str, *, prefix: bool = False) -> Right:
    return Right("group", name, ("Read",), prefix)


def _topics(modules: Iterable[str], *, also_write: Iterable[str] = (), also_describe: bool = False) -> Iterator[Right]:
    """Yield what the topic map lets these modules do. To read or to write implies to describe."""
    mine, ticked = set(modules), set(also_write)
    for topic in TOPICS:
        operations = tuple(_operations(topic, mine, ticked))
        if operations:
            yield Right("topic", topic.name, (*operations, "DescribeConfigs") if also_describe else operations)


def _operations(topic: Topic, mine: set[str], ticked: set[str]) -> Iterator[str]:
    if mine & set(topic.readers):
        yield "Read"
    if mine & set(topic.writers) or topic.name in ticked:
        yield "Write"
