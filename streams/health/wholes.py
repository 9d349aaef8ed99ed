"""Namespaces and clusters: counted up as their members change, judged once a record."""

import msgspec

from abdrift.facts.health import HealthReason
from streams.health import hysteresis, levels, rollup
from streams.health.assess import UNKNOWN, reason, worst
from streams.health.cells import Reason, Resource, resource_id
from streams.health.work import Work


def keep(work: Work, key: str, before: Resource, after: Resource) -> None:
    """Keep a resource as it was judged; publish it and count it where that is news."""
    first = before.revision == 0
    moved = first or before.status != after.status
    if moved or _words(before) != _words(after) or before.members != after.members:
        after = msgspec.structs.replace(after, revision=after.revision + 1, published_ms=work.now_ms)
        work.say(key, after)
    work.put(key, after)
    if moved:
        count(work, after, None if first else before.status, after.status)


def count(work: Work, member: Resource, old: str | None, new: str | None) -> None:
    """Tell the whole above that a member went from one status to another; None is outside."""
    if member.scope == "cluster":
        return
    scope = "namespace" if member.scope == "workload" else "cluster"
    name = member.namespace if scope == "namespace" else member.cluster
    key = resource_id(scope, member.cluster, *((name,) if scope == "namespace" else ()))
    whole = _whole(work, key, scope, member.cluster, name)
    work.put(key, msgspec.structs.replace(whole, counted=rollup.moved(whole.counted, old, new)))
    work.stale[key] = None


def settle(work: Work) -> None:
    """Judge every whole whose members changed: namespaces first, since clusters count them."""
    for scope in ("namespace", "cluster"):
        for key in [key for key in work.stale if key.startswith(f"{scope}/")]:
            del work.stale[key]
            whole = work.resource(key)
            assert whole is not None, "what is stale was kept when it was counted"
            if scope == "cluster":
                _judge_cluster(work, key, whole)
            elif sum(whole.counted):
                _judge(work, key, whole, rollup.judge(whole.counted, "workloads"))
            else:
                work.drop(key, whole)
                if whole.revision:
                    count(work, whole, whole.status, None)


def touch_cluster(work: Work, name: str) -> None:
    """Have a cluster judged at the end of the record, since something is new of its agent."""
    key = resource_id("cluster", name)
    work.put(key, _whole(work, key, "cluster", name, name))
    work.stale[key] = None


def say_again(work: Work, name: str, every_ms: int) -> None:
    """Publish a cluster that has not been published for so long, as it is: a sign of life for its readers."""
    key = resource_id("cluster", name)
    whole = work.resource(key)
    if whole is not None and whole.revision and work.now_ms - whole.published_ms >= every_ms:
        again = msgspec.structs.replace(whole, revision=whole.revision + 1, published_ms=work.now_ms)
        work.put(key, again)
        work.say(key, again)


def _whole(work: Work, key: str, scope: str, cluster: str, name: str) -> Resource:
    return work.resource(key) or Resource(scope=scope, cluster=cluster, name=name, since_ms=work.now_ms)


def _judge_cluster(work: Work, key: str, whole: Resource) -> None:
    agent = work.cluster(whole.cluster)
    found = rollup.judge(whole.counted, "namespaces, nodes and GitOps objects")
    if agent.silent:
        found = (reason("Silent", f"no heartbeat from {whole.cluster}'s agent", UNKNOWN, "heartbeat"),)
    found += tuple(
        reason("CannotSee", f"{kind}: {why}", UNKNOWN, "watch")
        for kind, why in agent.lost.items()
        if why != "not-found"  # the cluster serves no such kind: there is nothing of it to see
    )
    _judge(work, key, whole, found, levels.reasons(work, key))


def _judge(
    work: Work, key: str, before: Resource, found: tuple[HealthReason, ...], told: tuple[Reason, ...] = ()
) -> None:
    """Members were already kept from flapping: their sum follows at once, and so does what was told of the whole."""
    reasons = (*map(Reason.of, found), *told)
    after = msgspec.structs.replace(
        before, candidate=worst(reasons).value, candidate_reasons=reasons, members=before.counted
    )
    after = hysteresis.settle(after, work.now_ms)
    if after.status == before.status and before.revision:
        after = msgspec.structs.replace(after, since_ms=before.since_ms)
    keep(work, key, before, after)


def _words(resource: Resource) -> list[tuple[str, str]]:
    return [(r.code, r.message) for r in resource.reasons]
