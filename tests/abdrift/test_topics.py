"""The topic map holds what every topic must."""

from __future__ import annotations

import pytest

from abdrift import frames
from abdrift.topics import FACT_TYPES, FLEET_DRIFT, FLEET_REDUCED, TOPICS, Format, Topic, topic_by_name

EACH = [pytest.param(topic, id=topic.name) for topic in TOPICS]


@pytest.mark.parametrize("name", ["abdrift.fleet.drift.v1", "fleet.drift"])
def test_a_topic_is_found_by_its_name_long_or_short(name: str) -> None:
    assert topic_by_name(name) is FLEET_DRIFT


def test_an_unknown_topic_is_none_of_ours() -> None:
    with pytest.raises(KeyError):
        topic_by_name("fleet.weather")


@pytest.mark.parametrize("topic", EACH)
def test_a_topic_keeps_its_promises(topic: Topic) -> None:
    config = topic.config()
    assert config["message.timestamp.type"] == "LogAppendTime", "steps' clock"
    assert topic.compacted == (config["cleanup.policy"] == "compact")
    assert topic.compacted != ("retention.ms" in config)
    assert (topic.format is Format.CLOUDEVENT) == bool(topic.facts)
    assert topic.writers
    assert "abdrift.cli" in topic.readers, "`topics cat` reads it"
    assert topic.partitions(12) == (1 if topic is FLEET_REDUCED else 12)


@pytest.mark.parametrize("topic", [t for t in TOPICS if t.format is Format.FRAME], ids=lambda t: t.name)
def test_a_signals_topic_is_that_of_a_signal_and_takes_its_frames(topic: Topic) -> None:
    assert topic.name.split(".")[2] in frames.SIGNALS
    assert topic.max_message_bytes >= frames.MAX_VALUE_BYTES


def test_names_are_unique_and_versioned() -> None:
    assert len({topic.name for topic in TOPICS}) == len(TOPICS)
    assert all(topic.name.endswith(".v1") for topic in TOPICS)
    assert all(name.endswith(".v1") and fact.schema_id.endswith(name) for name, fact in FACT_TYPES.items())
