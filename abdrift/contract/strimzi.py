"""Manifests for Strimzi: a KafkaTopic for each topic, a KafkaUser for each process.

Source: Strimzi's custom resources `kafka.strimzi.io/v1`, which 0.49 and newer serve.
"""

from collections.abc import Iterable
from typing import Any, Final

import yaml

from abdrift.contract.access import Right, User, users
from abdrift.topics import DEFAULT_PARTITIONS, TOPICS, Topic

_API: Final = "kafka.strimzi.io/v1"
_CLUSTER: Final = {"strimzi.io/cluster": "abdrift"}
"""The label that names the Kafka resource; whoever names theirs otherwise replaces it, e.g. by kustomize."""
_HEAD: Final = """\
# Generated from the topic map by `make contracts`; not to be edited. Strimzi 0.49 or newer; for older ones the same as
# kafka.strimzi.io/v1beta2. The label strimzi.io/cluster names the Kafka resource: set it to yours.
"""


def topics() -> str:
    """Return the topics' manifests, three replicas each."""
    return _HEAD + _documents(_topic(topic) for topic in TOPICS)


def access() -> str:
    """Return the users' manifests: SCRAM-SHA-512, whose password Strimzi puts into a Secret of the user's name."""
    return _HEAD + _documents(_user(user) for user in users())


def _documents(manifests: Iterable[dict[str, Any]]) -> str:
    return yaml.safe_dump_all(manifests, sort_keys=False, explicit_start=True, width=120)


def _topic(topic: Topic) -> dict[str, Any]:
    return {
        "apiVersion": _API,
        "kind": "KafkaTopic",
        "metadata": {"name": topic.name, "labels": dict(_CLUSTER)},
        "spec": {
            "partitions": topic.partitions(DEFAULT_PARTITIONS),
            "replicas": 3,
            "config": topic.config() | {"min.insync.replicas": "2"},
        },
    }


def _user(user: User) -> dict[str, Any]:
    return {
        "apiVersion": _API,
        "kind": "KafkaUser",
        "metadata": {
            "name": user.name,
            "labels": dict(_CLUSTER),
            "annotations": {"abdrift.dev/purpose": user.purpose},
        },
        "spec": {
            "authentication": {"type": "scram-sha-512"},
            "authorization": {"type": "simple", "acls": [_acl(right) for right in user.rights]},
        },
    }


def _acl(right: Right) -> dict[str, Any]:
    pattern = "prefix" if right.prefix else "literal"
    resource = {"type": right.resource, "name": right.name, "patternType": pattern}
    return {"resource": resource, "operations": list(right.operations)}
