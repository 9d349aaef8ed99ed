"""Before steps run: their topics are there, fit together, and have changelogs to keep their state."""

import asyncio
import contextlib
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from aiokafka.admin import NewTopic
from aiokafka.errors import TopicAlreadyExistsError

from abdrift import kafka
from abdrift.topics import DEAD_LETTERS
from streams.settings import EngineSettings
from streams.step import AnyStep

TABLE: Final = "state"
"""What Faust calls the one table of a step."""

STALE_SECONDS: Final = 20 * 3600
"""A local copy untouched for so long is read anew: Kafka forgets deletions after a day (`delete.retention.ms`)."""

_NEW_TOPIC_TRIES: Final = 100
_CHANGELOG_CONFIG: Final = {
    "cleanup.policy": "compact",
    # A superseded owner's late record covers a rightful one; until it is found and healed, both must still be there.
    "min.compaction.lag.ms": "3600000",
    "segment.ms": "3600000",
    "delete.retention.ms": "86400000",
    "max.message.bytes": "1048588",
    "message.timestamp.type": "LogAppendTime",
}


class EngineError(Exception):
    """The engine cannot start or had to stop; the message says why, and the way out where there is one."""


def group_id(step: str) -> str:
    """Return a step's consumer group, which is also its Faust app's id."""
    return f"abdrift-{step}"


def changelog_topic(step: str) -> str:
    """Return the name of the topic that keeps a step's state."""
    return f"{group_id(step)}-{TABLE}-changelog"


def drop_if_stale(copy: Path, now_seconds: float) -> bool:
    """Delete a local copy that may have missed deletions; return whether it was one. Nobody may have it open."""
    if not copy.is_dir():
        return False
    touched = max((file.stat().st_mtime for file in copy.iterdir()), default=0.0)
    if now_seconds - touched < STALE_SECONDS:
        return False
    shutil.rmtree(copy)
    return True


async def prepare(steps: Sequence[AnyStep], settings: EngineSettings) -> dict[str, int]:
    """Check the steps' topics and create what keeps their state. Return each topic's number of partitions.

    Raises:
        EngineError: a topic is missing, or has another number of partitions than it must.
        kafka.KafkaUnreachableError: no broker lets this client in.

    """
    names = {topic.name for step in steps for topic in (*step.reads, *step.writes)} | {DEAD_LETTERS.name}
    async with kafka.admin(settings.kafka) as admin:
        existing = set(await admin.list_topics())
        if missing := sorted(names - existing):
            raise EngineError(
                f"no topic {', '.join(missing)} that this client may see: run `abdrift topics create`, or grant it the "
                "rights that deploy/strimzi/users.yaml names"
            )
        counts = await _partition_counts(admin, names)
        for step in steps:
            (settings.data_dir / step.name).mkdir(mode=0o700, parents=True, exist_ok=True)
            if len({counts[topic.name] for topic in step.reads}) != 1:
                found = ", ".join(f"{topic.name} {counts[topic.name]}" for topic in step.reads)
                raise EngineError(f"step {step.name} needs its inputs to have equally many partitions: {found}")
            await _prepare_changelog(admin, step, counts[step.reads[0].name], settings)
    return counts


async def _prepare_changelog(admin: Any, step: AnyStep, partitions: int, settings: EngineSettings) -> None:
    name = changelog_topic(step.name)
    config = {**_CHANGELOG_CONFIG, **settings.changelog_config}
    with contextlib.suppress(TopicAlreadyExistsError):
        await admin.create_topics([NewTopic(name, partitions, settings.replication_factor, topic_configs=config)])
    # A topic that was just created is told of without partitions until they have leaders.
    for _ in range(_NEW_TOPIC_TRIES):
        found = (await _partition_counts(admin, {name})).get(name, 0)
        if found:
            break
        await asyncio.sleep(0.1)
    if found != partitions:
        raise EngineError(f"{name} has {found} partitions, step {step.name}'s inputs have {partitions}")


async def _partition_counts(admin: Any, names: Iterable[str]) -> dict[str, int]:
    return {found["topic"]: len(found["partitions"]) for found in await admin.describe_topics(sorted(names))}
