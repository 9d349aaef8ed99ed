"""`docs/contract.md`: the contract for people. What is the same for all topics stands in `reading.md`, `frames.md`."""

from collections.abc import Iterable, Mapping, Sequence
from importlib import resources

import orjson

from abdrift.cloudevents import CloudEvent
from abdrift.contract import examples, shapes
from abdrift.frames import SIGNALS
from abdrift.signals.schema import Signal
from abdrift.topics import DEFAULT_PARTITIONS, FACT_TYPES, TOPICS, FactType, Format, Topic

_DAY_MS = 86_400_000


def page() -> str:
    """Return the page, in GitHub's Markdown."""
    public = [topic for topic in TOPICS if topic.public]
    internal = [topic for topic in TOPICS if not topic.public]
    parts = [
        _resource("reading.md"),
        "## Topics\n",
        _overview(TOPICS),
        *(_topic(topic) for topic in public),
        "## Internal topics\n",
        *(_topic(topic) for topic in internal),
        "## The envelope\n",
        _table(shapes.fields(CloudEvent.model_json_schema(mode="serialization"), _link)),
        "## Fact types\n",
        *(_fact(fact) for fact in FACT_TYPES.values()),
        "## What facts are made of\n",
        *(_definition(name) for name in shapes.definitions()),
        _resource("frames.md"),
        *(_signal(signal) for signal in SIGNALS.values()),
    ]
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def kept(topic: Topic) -> str:
    """Return how long a topic's records are kept, in words."""
    if topic.retention_ms is None:
        return "compacted: the newest record of each key, for good"
    days = topic.retention_ms // _DAY_MS
    return f"{days} day{'' if days == 1 else 's'}"


def _resource(name: str) -> str:
    return resources.files("abdrift.contract").joinpath(name).read_text()


def _link(name: str) -> str:
    return f"[{name}](#{name.lower()})"


def _overview(topics: Iterable[Topic]) -> str:
    rows = (
        (f"[`{topic.name}`](#{topic.name.replace('.', '')})", topic.title, kept(topic).partition(":")[0])
        for topic in topics
    )
    return _rows(("topic", "what", "kept"), rows)


def _topic(topic: Topic) -> str:
    facts = ", ".join(f"[{fact.model.__name__}](#{_anchor(fact)})" for fact in topic.facts)
    partitions = topic.partitions(DEFAULT_PARTITIONS)
    rows = [
        ("value", facts or f"frames of the signal [{_signal_name(topic)}](#signal-{_signal_name(topic)})"),
        ("key", topic.key),
        ("placed by", topic.placed_by),
        ("partitions", str(partitions) if partitions == 1 else f"{partitions}, unless made otherwise"),
        ("kept", kept(topic)),
        ("configuration", ", ".join(f"`{name}={value}`" for name, value in topic.config().items())),
        ("written by", ", ".join(topic.writers)),
        ("read by", ", ".join(topic.readers)),
    ]
    return f"### {topic.name}\n\n{topic.title}.\n\n{_rows(('', ''), rows)}"


def _signal_name(topic: Topic) -> str:
    assert topic.format is Format.FRAME
    return topic.name.split(".")[2]


def _anchor(fact: FactType) -> str:
    return fact.name.replace(".", "")


def _fact(fact: FactType) -> str:
    schema = shapes.schema_of(fact)
    record = orjson.loads(examples.records()[fact.name].encode())
    example = orjson.dumps(record, option=orjson.OPT_INDENT_2).decode()
    topic = next(topic for topic in TOPICS if topic.public and fact in topic.facts)
    return (
        f"### {fact.name}\n\n**{fact.model.__name__}**, on `{topic.name}`. {_doc(schema)}\n\n"
        f"{_table(shapes.fields(schema, _link))}\n"
        f"<details><summary>An example record</summary>\n\n```json\n{example}\n```\n\n</details>\n"
    )


def _definition(name: str) -> str:
    schema = shapes.definitions()[name]
    about = f"### {name}\n\n{_doc(schema)}\n\n"
    if "enum" in schema:
        return f"{about}One of {', '.join(f'`{value}`' for value in schema['enum'])}.\n"
    return about + _table(shapes.fields(schema, _link))


def _signal(signal: Signal) -> str:
    rows = (
        (f"`{column.name}`", str(column.type), "yes" if column.required else f"no: `{column.default!r}`")
        for column in signal.columns
    )
    about = f"### Signal {signal.name}\n\nVersion {signal.version}; event time is `{signal.event_time_column}`.\n\n"
    return about + _rows(("column", "type", "always there"), rows)


def _doc(schema: Mapping[str, object]) -> str:
    return " ".join(str(schema.get("description", "")).split())


def _table(fields: Sequence[shapes.Field]) -> str:
    rows = ((f"`{each.name}`", each.kind, "yes" if each.required else "", each.description) for each in fields)
    return _rows(("field", "type", "required", "what it says"), rows)


def _rows(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
