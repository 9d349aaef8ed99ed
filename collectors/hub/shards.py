"""Which clusters are this hub's, where several hubs share a fleet.

Hubs of one name are members of a Kafka consumer group on the `objects` topic. The group gives each of them some of the
topic's partitions, and a hub's clusters are those whose rows go to its partitions. Nothing is read from the topic.

A hub that is cut off from the group lets go of what it watches: it proves its membership again and again by a commit,
which Kafka refuses from whoever is no member any more.
"""

import asyncio
import hashlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata
from aiokafka.errors import KafkaError

from abdrift.kafka import KafkaSettings, consumer
from abdrift.partitions import partition_of
from abdrift.topics import OBJECTS

log = logging.getLogger(__name__)


class Membership(Protocol):
    """Says which clusters this hub watches."""

    changed: asyncio.Event
    """Set whenever `owns` may answer otherwise."""

    def owns(self, cluster: str) -> bool:
        """Whether a cluster is this hub's to watch."""

    async def run(self) -> None:
        """Keep that up to date until cancelled."""


class Alone:
    """A hub that shares with nobody: all clusters are its own."""

    def __init__(self) -> None:
        self.changed = asyncio.Event()

    def owns(self, cluster: str) -> bool:  # noqa: ARG002  the protocol's
        """Whether a cluster is this hub's to watch."""
        return True

    async def run(self) -> None:
        """Wait to be cancelled."""
        await asyncio.Event().wait()


def assigned(partitions: Sequence[int], members: Mapping[str, str]) -> dict[str, list[int]]:
    """Return each member's partitions by rendezvous hashing, no member with more than its even share, rounded up.

    `members` are names that stay the same between starts, by member id. Each partition goes to the member whose hash
    with it is highest among those that have room: when one comes or goes, few partitions move, and each member can
    work it out alone.
    """
    room = -(-len(partitions) // len(members)) if members else 0
    found: dict[str, list[int]] = {member: [] for member in sorted(members)}
    for partition in sorted(partitions):
        ranked = sorted(found, key=lambda member: (_weight(members[member], partition), member), reverse=True)
        for member in ranked:
            if len(found[member]) < room:
                found[member].append(partition)
                break
    return found


def _weight(name: str, partition: int) -> bytes:
    return hashlib.blake2b(f"{name}/{partition}".encode(), digest_size=8).digest()


class RendezvousAssignor(AbstractPartitionAssignor):  # type: ignore[misc] # aiokafka has no types
    """Kafka's side of `assigned`: the group's leader works it out for all."""

    name = "abdrift-rendezvous"
    version = 0
    hub = ""

    @classmethod
    def of(cls, hub: str) -> type["RendezvousAssignor"]:
        """Return the assignor of a hub of that name, which aiokafka wants as a class."""
        return type("RendezvousAssignor", (cls,), {"hub": hub})

    @classmethod
    def assign(
        cls, cluster: ClusterMetadata, members: Mapping[str, ConsumerProtocolMemberMetadata]
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        """Return what each member gets."""
        names = {member: bytes(told.user_data or b"").decode() for member, told in members.items()}
        (topic,) = {topic for told in members.values() for topic in told.subscription}
        shares = assigned(sorted(cluster.partitions_for_topic(topic) or ()), names)
        return {
            member: ConsumerProtocolMemberAssignment(cls.version, [(topic, shares[member])], b"") for member in members
        }

    @classmethod
    def metadata(cls, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
        """Return what the group's leader is told of this member."""
        return ConsumerProtocolMemberMetadata(cls.version, list(topics), cls.hub.encode())

    @classmethod
    def on_assignment(cls, assignment: ConsumerProtocolMemberAssignment) -> None:
        """Keep nothing."""


class KafkaGroup(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka has no types
    """A hub among others."""

    def __init__(
        self,
        kafka: KafkaSettings,
        group: str,
        hub: str,
        partitions: int,
        *,
        topic: str = OBJECTS.name,
        session_seconds: float = 10,
    ) -> None:
        """`hub` is this one's name, the same at its next start; no two of a group share one."""
        self.changed = asyncio.Event()
        self._kafka = kafka
        self._group = group
        self._hub = hub
        self._partitions = partitions
        self._topic = topic
        self._session_seconds = session_seconds
        self._mine: frozenset[int] = frozenset()
        self._client: AIOKafkaConsumer | None = None
        self._proven_seconds = 0.0

    def owns(self, cluster: str) -> bool:
        """Whether a cluster is this hub's to watch."""
        return partition_of(cluster, self._partitions) in self._mine

    async def run(self) -> None:
        """Be a member of the group until cancelled."""
        settings = {
            "group_id": self._group,
            "session_timeout_ms": round(1000 * self._session_seconds),
            "heartbeat_interval_ms": round(1000 * self._session_seconds / 4),
            "rebalance_timeout_ms": round(1000 * self._session_seconds),
            "partition_assignment_strategy": (RendezvousAssignor.of(self._hub),),
            "fetch_max_bytes": 1,
            "max_partition_fetch_bytes": 1,
        }
        try:
            async with consumer(self._kafka, **settings) as self._client:
                self._proven_seconds = asyncio.get_running_loop().time()
                self._client.subscribe([self._topic], listener=self)
                while True:
                    await self._client.getmany(timeout_ms=round(250 * self._session_seconds))
                    await self._prove()
        finally:
            self._own(frozenset())

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Go on as before: what is taken away is known only once the others have joined."""

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Take over what is this hub's now, and let go of what is not."""
        assert self._client, "it is called while the client runs"
        given = [*assigned]
        self._client.pause(*given)
        self._proven_seconds = asyncio.get_running_loop().time()
        self._own(frozenset(place.partition for place in given))

    def _own(self, partitions: frozenset[int]) -> None:
        if partitions != self._mine:
            log.info("%s has %d of %d partitions", self._hub, len(partitions), self._partitions)
            self._mine = partitions
            self.changed.set()

    async def _prove(self) -> None:
        """Show that the group still counts on this hub; let go of everything where it has not for a session's time."""
        assert self._client, "it is called while the client runs"
        now_seconds = asyncio.get_running_loop().time()
        held = sorted(self._client.assignment())
        try:
            if held:
                async with asyncio.timeout(self._session_seconds / 2):
                    await self._client.commit({held[0]: 0})
                self._proven_seconds = now_seconds
        except (KafkaError, TimeoutError) as error:
            log.warning("%s could not prove that it is a member of %s: %r", self._hub, self._group, error)
        if self._mine and now_seconds - self._proven_seconds > self._session_seconds:
            log.error("%s is no member of %s any more: it lets go of all clusters", self._hub, self._group)
            self._own(frozenset())
