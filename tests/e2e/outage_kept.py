"""What Kafka has at the end of the trial of an outage, and what that says: `outage.py`."""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from aiokafka.structs import TopicPartition

from abdrift import frames
from abdrift.kafka import consumer
from abdrift.signals import alerts, logs, objects, samples
from abdrift.signals.objects import Op
from abdrift.signals.samples import labels_of
from abdrift.topics import ALERTS, DEAD_LETTERS, LOGS, OBJECTS, SAMPLES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiokafka import AIOKafkaConsumer

    from abdrift.kafka import KafkaSettings
    from tests.collectors.prometheus.running import Sample
    from tests.e2e.outage_senders import Log


PARTITIONS = 4
SYSLOG = "syslog"
"""The topic that rsyslog writes to."""


class Kept:
    """What is in Kafka, counted: each record by its name, each sample, each frame of a lane."""

    def __init__(self, reading: AIOKafkaConsumer) -> None:
        self._reading = reading
        self.records: Counter[str] = Counter()
        self.samples: defaultdict[str, Counter[Sample]] = defaultdict(Counter)
        """By cluster, staleness markers left out as queries leave them out."""
        self.versions: Counter[str] = Counter()
        """Of objects."""
        self.sequences: defaultdict[tuple[str, int, str, int], Counter[int]] = defaultdict(Counter)
        """Of each source, epoch, topic and partition."""
        self.shipped: Counter[str] = Counter()
        """Records of the topic that rsyslog writes to."""
        self.synced: set[str] = set()
        """Kinds of objects that were listed whole."""
        self.letters = 0

    async def catch_up(self) -> None:
        """Read what has come since the last time."""
        for partition, end in (await self._reading.end_offsets(self._reading.assignment())).items():
            while await self._reading.position(partition) < end:
                for record in (await self._reading.getmany(partition, timeout_ms=500)).get(partition, ()):
                    self._take(record)

    def _take(self, record: Any) -> None:
        if record.topic == DEAD_LETTERS.name:
            self.letters += 1
            return
        if record.topic == SYSLOG:
            self.shipped[json.loads(record.value)["message"].strip()] += 1
            return
        frame = frames.decode(record.value, record.headers)
        for part in frame.parts:
            seen = self.sequences[part.source, part.epoch, record.topic, record.partition]
            seen[part.sequence] += 1
            if seen[part.sequence] > 1:
                return  # as every reader passes it over
        self._count(record.topic, frame)

    def _count(self, topic: str, frame: frames.Frame) -> None:
        if topic == LOGS.name:
            self.records.update(row.message.strip() for row in logs.rows_of(frame.batch))
        elif topic == ALERTS.name:
            self.records.update(
                row.labelled()["number"] if row.sender == "alertmanager" else row.message
                for row in alerts.rows_of(frame.batch)
            )
        elif topic == OBJECTS.name:
            for row in objects.rows_of(frame.batch):
                if row.op == Op.SYNCED:
                    self.synced.add(row.kind)
                elif row.resource_version:
                    self.versions[row.resource_version] += 1
        else:
            for row in samples.rows_of(frame.batch):
                if not math.isnan(row.value):
                    labels = frozenset(labels_of(row.labels).items())
                    self.samples[row.cluster][row.metric, labels, row.time_ms, row.value] += 1

    def lanes(self) -> dict[str, int]:
        """Return how many lanes there are, which of their sequences are missing, and frames that came twice."""
        each = self.sequences.values()
        return {
            "lanes": len(each),
            "frames": sum(len(seen) for seen in each),
            "frames_missing": sum(max(seen) + 1 - len(seen) for seen in each),
            "frames_twice": sum(seen.total() - len(seen) for seen in each),
        }


@asynccontextmanager
async def kept(settings: KafkaSettings) -> AsyncIterator[Kept]:
    """Read what Kafka has, while inside."""
    topics = [*(topic.name for topic in (OBJECTS, SAMPLES, LOGS, ALERTS, DEAD_LETTERS)), SYSLOG]
    async with consumer(settings) as reading:
        partitions = [TopicPartition(topic, number) for topic in topics for number in range(PARTITIONS)]
        reading.assign(partitions)
        yield Kept(reading)


def judged(log: Log, found: Counter[str]) -> dict[str, Any]:
    """Return what of a sender's records is missing, and what is there more often than it was sent."""
    copies = {record: found[record] for record in log.attempts}
    return {
        "acked": len(log.acked),
        "missing": sum(not copies[record] for record in log.acked),
        "sent_again": sum(tries - 1 for tries in log.attempts.values()),
        "doubled": sum(max(0, count - 1) for count in copies.values()),
        "more_than_sent": sum(count > log.attempts[record] for record, count in copies.items()),
        "answers": dict(sorted(log.statuses.items())),
    }
