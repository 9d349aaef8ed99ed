"""Creates the topics of the contract in a Kafka cluster, and says how what is there differs from it."""

import asyncio
import time
from dataclasses import dataclass
from enum import StrEnum

from aiokafka.admin import NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAlreadyExistsError, for_code

from abdrift.kafka import KafkaSettings, admin
from abdrift.topics import TOPICS, Topic

_SEEN_SECONDS = 30.0


class Found(StrEnum):
    """What was met."""

    CREATED = "created"
    PRESENT = "present"
    DIFFERS = "differs"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class TopicState:
    """One topic of the contract in a cluster."""

    topic: Topic
    found: Found
    partitions: int = 0
    differences: tuple[str, ...] = ()


class ProvisionError(RuntimeError):
    """A topic was not created: the broker refused, or the topics that exist have another number of partitions."""


async def create(settings: KafkaSettings, *, partitions: int, replication: int) -> list[TopicState]:
    """Create what is missing and report the rest; nothing that exists is changed.

    Raises:
        ProvisionError: the broker refused one, or what exists has another number of partitions, with which the new
            ones must agree for a cluster's records to share a partition.
        abdrift.kafka.KafkaUnreachableError: no broker lets this client in.

    """
    before = await inspect(settings, partitions=partitions)
    missing = [state.topic for state in before if state.found is Found.MISSING]
    if missing:
        _agree(before, partitions)
        await _create(settings, missing, partitions, replication)
        await _until_seen(settings, {topic.name for topic in missing})
    return [
        TopicState(state.topic, Found.CREATED, state.topic.partitions(partitions)) if state.topic in missing else state
        for state in before
    ]


async def inspect(settings: KafkaSettings, *, partitions: int | None = None) -> list[TopicState]:
    """Report each topic of the contract: present, missing, or how it differs (in partitions or configuration)."""
    async with admin(settings) as client:
        described = {d["topic"]: d for d in await client.describe_topics()}
        present = [topic for topic in TOPICS if topic.name in described]
        resources = [ConfigResource(ConfigResourceType.TOPIC, topic.name) for topic in present]
        answers = await client.describe_configs(resources) if resources else []
    configs = {
        resource[3]: {entry[0]: entry[1] for entry in resource[4]}
        for answer in answers
        for resource in answer.resources
    }
    counts = {topic.name: len(described[topic.name]["partitions"]) for topic in present}
    keyed = partitions or next((n for t in present if (n := counts[t.name]) and t.partitions(2) > 1), 0)
    return [
        _state(topic, counts[topic.name], configs.get(topic.name, {}), keyed)
        if topic.name in counts
        else TopicState(topic, Found.MISSING)
        for topic in TOPICS
    ]


def _state(topic: Topic, count: int, config: dict[str, str], keyed: int) -> TopicState:
    wanted = topic.partitions(keyed)
    differences = [f"partitions is {count}, not {wanted}"] if count != wanted else []
    differences += [
        f"{name} is {config[name]}, not {value}"
        for name, value in topic.config().items()
        if name in config and config[name] != value
    ]
    return TopicState(topic, Found.DIFFERS if differences else Found.PRESENT, count, tuple(differences))


async def _until_seen(settings: KafkaSettings, names: set[str]) -> None:
    """Return once a broker's metadata shows the topics: it follows the controller, which created them, with a delay."""
    deadline = time.monotonic() + _SEEN_SECONDS
    async with admin(settings) as client:
        while unseen := names - set(await client.list_topics()):
            if time.monotonic() > deadline:
                raise ProvisionError(f"{min(unseen)} was created, and not seen within {_SEEN_SECONDS:g} s")
            await asyncio.sleep(0.1)


def _agree(states: list[TopicState], partitions: int) -> None:
    for state in states:
        wanted = state.topic.partitions(partitions)
        if state.found is not Found.MISSING and state.partitions != wanted:
            raise ProvisionError(
                f"{state.topic.name} has {state.partitions} partitions, not {wanted}. Nothing was created: give the "
                "number that the topics have, by --partitions."
            )


async def _create(settings: KafkaSettings, topics: list[Topic], partitions: int, replication: int) -> None:
    async with admin(settings) as client:
        answer = await client.create_topics(
            [
                NewTopic(
                    name=topic.name,
                    num_partitions=topic.partitions(partitions),
                    replication_factor=replication,
                    topic_configs=topic.config(),
                )
                for topic in topics
            ]
        )
    for name, code, *message in answer.topic_errors:
        error = for_code(code)
        # Another process created it meanwhile: that is what was wanted.
        if code and error is not TopicAlreadyExistsError:
            raise ProvisionError(f"{name}: {error.__name__} {message[0] if message else ''}".strip())
