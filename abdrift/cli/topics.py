"""`abdrift topics`: create, list, describe and read the topics of the contract."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Annotated, Any

import orjson
import typer
from aiokafka import ConsumerRecord, TopicPartition
from rich.table import Table

from abdrift import frames, provision
from abdrift.cli import printing
from abdrift.cli.kafka import with_kafka
from abdrift.kafka import KafkaSettings, consumer
from abdrift.partitions import partition_of
from abdrift.provision import Found, TopicState
from abdrift.topics import DEFAULT_PARTITIONS, TOPICS, Format, Topic, topic_by_name

_JSON = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    group = typer.Typer(help="Create, list, describe and read the topics of the contract.", no_args_is_help=True)
    group.command("create")(with_kafka(create))
    group.command("list")(with_kafka(list_topics))
    group.command("describe")(describe)
    group.command("cat")(with_kafka(cat))
    app.add_typer(group, name="topics")


def create(
    kafka: KafkaSettings,
    partitions: Annotated[
        int, typer.Option(min=1, help="Of every keyed topic; fixed for the topics' version.")
    ] = DEFAULT_PARTITIONS,
    replication: Annotated[int, typer.Option(min=1, help="Replicas of each partition.")] = 1,
    as_json: _JSON = False,
) -> None:
    """Create the topics that are missing. What exists is never changed."""
    try:
        states = asyncio.run(provision.create(kafka, partitions=partitions, replication=replication))
    except provision.ProvisionError as error:
        printing.fail(str(error))
    _show(states, as_json=as_json)
    if any(state.found is Found.DIFFERS for state in states):
        raise typer.Exit(1)


def list_topics(kafka: KafkaSettings, as_json: _JSON = False) -> None:
    """List the topics with how they stand in the cluster."""
    _show(asyncio.run(provision.inspect(kafka)), as_json=as_json)


def _show(states: list[TopicState], *, as_json: bool) -> None:
    if as_json:
        for state in states:
            typer.echo(
                orjson.dumps(
                    {
                        "topic": state.topic.name,
                        "state": state.found,
                        "partitions": state.partitions,
                        "differences": state.differences,
                    }
                )
            )
        return
    table = printing.table("topic", "partitions", "kept", "state", "title")
    for column in table.columns[:-1]:
        column.no_wrap = True
    colours = {Found.CREATED: "green", Found.PRESENT: "", Found.DIFFERS: "red", Found.MISSING: "yellow"}
    for state in states:
        colour = colours[state.found]
        found = f"[{colour}]{state.found}[/]" if colour else state.found
        detail = "; ".join(state.differences) or state.topic.title
        table.add_row(state.topic.name, str(state.partitions or "-"), _kept(state.topic), found, detail)
    printing.show(table)


def _kept(topic: Topic) -> str:
    if topic.retention_ms is None:
        return "compacted"
    hours = topic.retention_ms // 3_600_000
    return f"{hours // 24} d" if hours >= 48 else f"{hours} h"  # noqa: PLR2004  two days read better as days


def _topic(name: str) -> Topic:
    try:
        return topic_by_name(name)
    except KeyError as error:
        known = ", ".join(t.name.removeprefix("abdrift.").removesuffix(".v1") for t in TOPICS)
        raise typer.BadParameter(f"no topic {name!r}; there are: {known}", param_hint="TOPIC") from error


_NAME = Annotated[str, typer.Argument(metavar="TOPIC", help="Its name, or the short form: fleet.drift")]


def describe(name: _NAME, as_json: _JSON = False) -> None:
    """Describe one topic: key, writers, readers, configuration, fact types."""
    topic = _topic(name)
    facts = {
        "topic": topic.name,
        "title": topic.title,
        "public": topic.public,
        "format": topic.format,
        "key": topic.key,
        "writers": topic.writers,
        "readers": topic.readers,
        "config": topic.config(),
        "fact_types": [fact.name for fact in topic.facts],
    }
    if as_json:
        typer.echo(orjson.dumps(facts))
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    for label, value in facts.items():
        table.add_row(f"[bold]{label}[/]", _plain(value))
    printing.show(table)


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return "\n".join(f"{k}={v}" for k, v in value.items())
    return "\n".join(value) if isinstance(value, tuple | list) else str(value)


def cat(
    name: _NAME,
    kafka: KafkaSettings,
    cluster: Annotated[str | None, typer.Option(help="Only this cluster's records and rows.")] = None,
    last: Annotated[int | None, typer.Option("--last", min=1, help="Begin this many records before the end.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Stop after this many lines.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for new records.")] = False,
) -> None:
    """Print a topic as JSON, one line a fact or a frame's row; records that can't be read say why."""
    topic = _topic(name)
    try:
        asyncio.run(_cat(topic, kafka, cluster=cluster, last=last, limit=limit, follow=follow))
    except KeyboardInterrupt:
        return


async def _cat(
    topic: Topic, kafka: KafkaSettings, *, cluster: str | None, last: int | None, limit: int | None, follow: bool
) -> None:
    printed = 0
    async with contextlib.aclosing(_records(topic, kafka, cluster=cluster, last=last, follow=follow)) as records:
        async for record in records:
            for line in _lines(topic, record):
                if cluster is not None and line.get("cluster") not in (cluster, None):
                    continue
                typer.echo(orjson.dumps(line))
                printed += 1
                if limit is not None and printed >= limit:
                    return


async def _records(
    topic: Topic, kafka: KafkaSettings, *, cluster: str | None, last: int | None, follow: bool
) -> AsyncGenerator[ConsumerRecord, None]:
    async with consumer(kafka, topic.name) as client:
        found = sorted(client.assignment(), key=lambda p: p.partition)
        if cluster is not None:
            found = [TopicPartition(topic.name, partition_of(cluster, len(found)))] if found else []
            client.unsubscribe()
            client.assign(found)
        ends = await client.end_offsets(found)
        if last is not None:
            for partition in found:
                client.seek(partition, max(0, ends[partition] - last))
        while follow or [p for p in found if await client.position(p) < ends[p]]:
            for batch in (await client.getmany(timeout_ms=500)).values():
                for record in batch:
                    yield record


def _lines(topic: Topic, record: ConsumerRecord) -> list[dict[str, Any]]:
    place = {"partition": record.partition, "offset": record.offset}
    if topic.format is Format.FRAME:
        return [place | row for row in _rows(record)]
    key = record.key.decode(errors="replace") if record.key is not None else None
    if record.value is None:
        return [place | {"key": key, "tombstone": True}]
    try:
        event = orjson.loads(record.value)
    except orjson.JSONDecodeError as error:
        return [place | {"key": key, "unreadable": str(error)}]
    if not isinstance(event, dict):
        return [place | {"key": key, "unreadable": f"{type(event).__name__}, not a JSON object"}]
    return [place | {"key": key} | event]


def _rows(record: ConsumerRecord) -> list[dict[str, Any]]:
    if not record.value:
        return []  # a tick
    try:
        frame = frames.decode(record.value, record.headers)
    except frames.BadFrame as error:
        return [{"unreadable": error.reason, "message": str(error)}]
    return [{name: _text(value) for name, value in row.items()} for row in frame.batch.to_pylist()]


def _text(value: Any) -> Any:
    if not isinstance(value, bytes):
        return value
    try:
        return orjson.loads(value) if value else None
    except orjson.JSONDecodeError:
        return value.decode(errors="replace")
