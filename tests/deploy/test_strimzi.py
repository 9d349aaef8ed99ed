"""`deploy/strimzi`: every process may do what it must and nothing more, which a real authorizer confirms."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from aiokafka import TopicPartition
from aiokafka.admin import NewTopic
from aiokafka.protocol.admin import CreateAclsRequest_v1
from aiokafka.protocol.api import Request
from aiokafka.protocol.coordination import FindCoordinatorRequest
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from abdrift import provision
from abdrift.broker import EmbeddedBroker, ports
from abdrift.contract.access import OTHER_TEAM, users
from abdrift.kafka import KafkaSettings, admin, consumer
from abdrift.topics import FLEET_COMMANDS, FLEET_DECISIONS, FLEET_POLICY, OBJECTS, TOPICS, Topic
from streams.preparation import changelog_topic, group_id
from tests.parts.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(__file__).parents[2] / "deploy" / "strimzi"
PASSWORD = "a-password"
ALLOW, LITERAL, PREFIXED = 3, 3, 4
# Codes of Kafka's protocol: AclOperation and ResourceType.
OPERATIONS = {"Read": 3, "Write": 4, "Create": 5, "Describe": 8, "DescribeConfigs": 10}
RESOURCES = {"topic": 2, "group": 3}
TOPIC_REFUSED, GROUP_REFUSED = 29, 30
NAMES = [topic.name for topic in TOPICS]


def manifests(file: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((FOLDER / file).read_text()))


USERS = {manifest["metadata"]["name"]: manifest["spec"] for manifest in manifests("users.yaml")}


def acls(user: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = USERS[user]["authorization"]["acls"]
    return found


def granted(user: str, operation: str) -> set[str]:
    """The contract's topics on which a user has an operation."""
    return {a["resource"]["name"] for a in acls(user) if operation in a["operations"]} & set(NAMES)


def test_a_topic_s_manifest_is_as_the_command_creates_it() -> None:
    found = {manifest["metadata"]["name"]: manifest["spec"] for manifest in manifests("topics.yaml")}
    assert list(found) == NAMES
    for topic in TOPICS:
        assert found[topic.name]["config"] == topic.config() | {"min.insync.replicas": "2"}
        assert found[topic.name]["partitions"] == topic.partitions(64)


@pytest.mark.parametrize(
    "manifest", [*manifests("topics.yaml"), *manifests("users.yaml")], ids=lambda m: m["metadata"]["name"]
)
def test_a_manifest_has_the_shape_of_strimzi_s(manifest: dict[str, Any]) -> None:
    assert (manifest["apiVersion"], manifest.keys()) == (
        "kafka.strimzi.io/v1",
        {"apiVersion", "kind", "metadata", "spec"},
    )
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?", manifest["metadata"]["name"])
    assert set(manifest["metadata"]["labels"]) == {"strimzi.io/cluster"}
    for acl in manifest["spec"].get("authorization", {}).get("acls", ()):
        assert acl.keys() == {"resource", "operations"}
        assert acl["resource"].keys() == {"type", "name", "patternType"}
        assert acl["resource"]["type"] in RESOURCES
        assert acl["resource"]["patternType"] in ("literal", "prefix")
        assert set(acl["operations"]) <= set(OPERATIONS)


def owners(module: str) -> set[str]:
    """Who runs a module that the topic map names. `streams` and `sinks` are all of a kind."""
    stage, _, name = module.partition(".")
    if stage == "collectors":
        return COLLECTORS[module]
    if name:
        return {"abdrift-operator" if stage == "abdrift" else f"abdrift-{name}"}
    named = {each for topic in TOPICS for each in (*topic.writers, *topic.readers)}
    return {f"abdrift-{each.removeprefix(f'{stage}.')}" for each in named if each.startswith(f"{stage}.")}


COLLECTORS = {
    "collectors.kubernetes": {"abdrift-agent", "abdrift-receive"},
    "collectors.hub": {"abdrift-hub"},
    "collectors.inventory": {"abdrift-inventory"},
    "collectors.git": {"abdrift-git"},
    "collectors.prometheus": {"abdrift-scrape", "abdrift-receive"},
    "collectors.logs": {"abdrift-logs", "abdrift-receive"},
    "collectors.alertmanager": {"abdrift-receive"},
    "collectors.flux": {"abdrift-receive"},
}


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_who_the_topic_map_names_has_the_right_and_nobody_else(topic: Topic) -> None:
    readers = set().union(*(owners(module) for module in topic.readers))
    writers = set().union(*(owners(module) for module in topic.writers))
    clocks = set() if topic.public else {user for user in readers if not user.startswith("abdrift-operator")}
    assert {u for u in USERS if topic.name in granted(u, "Read")} == readers | ({OTHER_TEAM} if topic.public else set())
    assert writers <= {user for user in USERS if topic.name in granted(user, "Write")} <= writers | clocks


@pytest.mark.parametrize(
    ("topic", "writers"),
    [
        pytest.param(FLEET_COMMANDS, {"abdrift-governor"}, id="commands"),
        pytest.param(FLEET_DECISIONS, {"abdrift-governor"}, id="decisions"),
        pytest.param(FLEET_POLICY, {"abdrift-operator"}, id="policy"),
    ],
)
def test_who_can_have_a_cluster_changed(topic: Any, writers: set[str]) -> None:
    assert {user for user in USERS if topic.name in granted(user, "Write")} == writers


def test_another_team_sees_what_is_public_and_writes_nothing() -> None:
    assert granted(OTHER_TEAM, "Read") == {topic.name for topic in TOPICS if topic.public}
    assert {operation for acl in acls(OTHER_TEAM) for operation in acl["operations"]} == {"Read"}


@pytest.mark.parametrize("step", [user.name.removeprefix("abdrift-") for user in users() if "worker" in user.purpose])
def test_a_step_s_group_and_state_are_named_as_the_engine_names_them(step: str) -> None:
    named = {(acl["resource"]["type"], acl["resource"]["name"]) for acl in acls(f"abdrift-{step}")}
    assert {("group", group_id(step)), ("topic", changelog_topic(step))} <= named


# A real authorizer ----------------------------------------------------------------------------------------------


class CreateAcls(Request[CreateAclsRequest_v1]):
    """All rules in one request; aiokafka's own makes one at a time."""

    API_KEY = CreateAclsRequest_v1.API_KEY

    def __init__(self, creations: list[tuple[Any, ...]]) -> None:
        self._creations = creations

    def build(self, request_struct_class: Any) -> Any:
        return request_struct_class(self._creations)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[EmbeddedBroker, str]]:
    """A broker that lets nobody do what no rule allows, but for its plain listener; and the guarded one's address."""
    address = f"{ports.HOST}:{ports.choose()}"
    known = " ".join(f'user_{user}="{PASSWORD}"' for user in USERS)
    extra = {
        "listeners": f"SASL_PLAINTEXT://{address}",
        "advertised.listeners": f"SASL_PLAINTEXT://{address}",
        "listener.security.protocol.map": "SASL_PLAINTEXT:SASL_PLAINTEXT",
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.sasl_plaintext.plain.sasl.jaas.config": (
            f"org.apache.kafka.common.security.plain.PlainLoginModule required {known};"
        ),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
    }
    with EmbeddedBroker(tmp_path_factory.mktemp("guarded"), extra_properties=extra) as broker:
        yield broker, address


def as_user(address: str, user: str) -> KafkaSettings:
    return KafkaSettings(
        bootstrap_servers=address,
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="PLAIN",
        sasl_username=user,
        sasl_password=PASSWORD,
    )


async def grant(broker: EmbeddedBroker) -> None:
    """Give every user what its manifest says, as Strimzi's user operator does."""
    creations = [
        (
            RESOURCES[acl["resource"]["type"]],
            acl["resource"]["name"],
            LITERAL if acl["resource"]["patternType"] == "literal" else PREFIXED,
            f"User:{user}",
            "*",
            OPERATIONS[operation],
            ALLOW,
        )
        for user in USERS
        for acl in acls(user)
        for operation in acl["operations"]
    ]
    async with admin(KafkaSettings(bootstrap_servers=broker.bootstrap_servers)) as client:
        answer = await client._send_request(CreateAcls(creations))
    assert {code for code, _ in answer.creation_responses} == {0}


def one_record() -> bytes:
    batch = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=0,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=500,
    )
    batch.append(0, None, b"key", b"value", [])
    return bytes(batch.build())


async def allowed(settings: KafkaSettings, groups: set[str]) -> dict[str, set[str]]:
    """Ask Kafka for everything at once, and return what it did not refuse."""
    write = ProduceRequest(None, 1, 10_000, [(name, [(0, one_record())]) for name in NAMES])
    read = FetchRequest(0, 0, 1 << 20, 0, [(name, [(0, 0, 1 << 10)]) for name in NAMES])
    async with admin(settings) as client:
        wrote, fetched = [await client._send_request(request) for request in (write, read)]
        joined = {g: (await client._send_request(FindCoordinatorRequest(g, 0))).error_code for g in groups}
    found = {
        "Write": {topic: {part[1] for part in parts} for topic, parts in wrote.topics},
        "Read": {topic: {part[1] for part in parts} for topic, parts in fetched.topics},
        "Group": {group: {code} for group, code in joined.items()},
    }
    return {
        what: {name for name, codes in answers.items() if not codes & {TOPIC_REFUSED, GROUP_REFUSED}}
        for what, answers in found.items()
    }


@pytest.mark.parts
async def test_kafka_lets_each_process_do_its_work_and_no_other_s(guarded: tuple[EmbeddedBroker, str]) -> None:
    broker, address = guarded
    await grant(broker)
    created = await provision.create(as_user(address, "abdrift-provision"), partitions=1, replication=1)
    assert len(created) == len(TOPICS)
    groups: dict[str, set[str]] = defaultdict(set)
    for user in USERS:
        groups[user] = {acl["resource"]["name"] for acl in acls(user) if acl["resource"]["type"] == "group"}
    all_groups = set().union(*groups.values())
    for user in USERS:
        found = await allowed(as_user(address, user), all_groups)
        assert found == {
            "Write": granted(user, "Write"),
            "Read": granted(user, "Read"),
            "Group": {name for name in all_groups if name in groups[user]},
        }, user


@pytest.mark.parts
async def test_a_step_makes_its_own_state_s_topic_and_no_other(guarded: tuple[EmbeddedBroker, str]) -> None:
    broker, address = guarded
    await grant(broker)
    wanted = [NewTopic(changelog_topic(step), 1, 1) for step in ("drift", "governor")]
    async with admin(as_user(address, "abdrift-drift")) as client:
        answer = await client.create_topics([*wanted, NewTopic(OBJECTS.name + ".mine", 1, 1)])
    codes = {name: code for name, code, *_ in answer.topic_errors}
    assert [codes[topic.name] for topic in wanted] == [0, TOPIC_REFUSED]
    assert codes[OBJECTS.name + ".mine"] == TOPIC_REFUSED


@pytest.mark.parts
@pytest.mark.soak
@pytest.mark.parametrize("step", ["drift", "governor", "reduce", "health"])
async def test_a_worker_needs_no_more(guarded: tuple[EmbeddedBroker, str], step: str, tmp_path: Path) -> None:
    """It takes its partition over, which reads and writes its state, its group and its clock."""
    broker, address = guarded
    await grant(broker)
    await provision.create(as_user(address, "abdrift-provision"), partitions=1, replication=1)
    command = [sys.executable, "-m", "abdrift", "worker", step, "--data", tmp_path, "--keys", tmp_path]
    settings = {
        "ABDRIFT_KAFKA": address,
        "ABDRIFT_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "ABDRIFT_KAFKA_SASL_MECHANISM": "PLAIN",
        "ABDRIFT_KAFKA_SASL_USERNAME": f"abdrift-{step}",
        "ABDRIFT_KAFKA_SASL_PASSWORD": PASSWORD,
    }
    process = await asyncio.create_subprocess_exec(*command, env=os.environ | settings)
    try:
        unguarded = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)

        async def claimed() -> bool:
            async with admin(unguarded) as client:
                if changelog_topic(step) not in await client.list_topics():
                    return False
            async with consumer(unguarded) as client:
                ends = await client.end_offsets([TopicPartition(changelog_topic(step), 0)])
            return max(ends.values()) > 0

        await until(claimed, f"{step} takes its partition over")
        assert process.returncode is None
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
