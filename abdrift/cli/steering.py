"""Says to the governor what a running program has to say: a policy to put in force, an approval."""

import getpass
import uuid

from abdrift.cli import stored
from abdrift.cli.command import Word, word_event
from abdrift.cli.policy import policy_event
from abdrift.clock import wall_clock_ms
from abdrift.facts.commands import Verb
from abdrift.facts.governance import ApprovalAction, Policy
from abdrift.kafka import KafkaSettings
from abdrift.keyring import Keyring
from abdrift.partitions import partition_of
from abdrift.topics import FLEET_APPROVALS, FLEET_POLICY


async def publish_policy(kafka: KafkaSettings, keyring: Keyring, policy: Policy) -> None:
    """Sign a policy and put it in force, under a revision above what is there."""
    known = (await stored.read(kafka, [FLEET_POLICY], partition=0)).records
    revisions = [r.event.data.get("revision", 0) for r in known if r.event and r.event.subject == policy.name]
    event = policy_event(
        policy,
        keyring.signer_operator,
        revision=max(revisions, default=0) + 1,
        by=getpass.getuser(),
        now_ms=wall_clock_ms(),
    )
    count = await stored.partitions(kafka, FLEET_POLICY)
    await stored.write(kafka, FLEET_POLICY, [(number, event) for number in range(count)])


async def approve(
    kafka: KafkaSettings, keyring: Keyring, subject: str, *, cluster: str, verb: Verb, reason: str
) -> None:
    """Let one command go that waits for a person."""
    word = Word(ApprovalAction.APPROVE, subject, cluster, reason, getpass.getuser(), verb=verb)
    event = word_event(word, keyring.signer_operator, approval_id=uuid.uuid4().hex, now_ms=wall_clock_ms())
    count = await stored.partitions(kafka, FLEET_APPROVALS)
    await stored.write(kafka, FLEET_APPROVALS, [(partition_of(cluster, count), event)])
