"""Kafka is away for a while, under load from every kind of sender at once: `python -m tests.e2e.outage --json`.

One real Kafka, one `abdrift receive` with all its handlers, `abdrift logs from-kafka`, and at the same time: Prometheus
2.42 by remote write 1.0 and a current one by 2.0, go-lumber's client, requests as Logstash, Vector and Fluent Bit make
them, rsyslog's omkafka, Alertmanager, signed notifications as Flux makes them, and an agent with a spool by the
gateway. Every record that can be is numbered. At the end Kafka is read: what was acknowledged must be there, and no
record more often than it was sent.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import sys
import tempfile
import time
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
from aiokafka.admin import NewTopic

from abdrift import provision
from abdrift.broker import EmbeddedBroker
from abdrift.clock import wall_clock_ms
from abdrift.kafka import KafkaSettings, admin
from abdrift.simulation import FleetSpec, SimulatedFleet
from tests.collectors.logs.senders import rsyslogd
from tests.collectors.prometheus.running import V2, prometheus, queried, remote
from tests.collectors.receiving.process import Running, counted, receiver
from tests.e2e import edge
from tests.e2e.outage_kept import PARTITIONS, SYSLOG, Kept, judged, kept
from tests.e2e.outage_senders import (
    BeatsSender,
    HttpSender,
    Sender,
    SyslogSender,
    alert,
    fluent_bit,
    flux,
    logstash,
    token_of,
    vector,
)
from tests.parts import build, monitoring, programs
from tests.parts.guard import Guard
from tests.parts.loopback import HOST, Ports
from tests.parts.process import Part, Program
from tests.parts.versions import GO_LUMBER, PROMETHEUS
from tests.parts.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from abdrift.simulation import SimCluster

HMAC_KEY = b"a key that both know"
POLL_SECONDS = 0.25
SETTLED_WITHIN_SECONDS = 120.0
ON_ITS_WAY_SECONDS = 4.0
"""In which an answer reaches its sender that was given just before Kafka went."""


@dataclass(frozen=True)
class Load:
    """How much of everything."""

    before_seconds: float = 15.0
    away_seconds: float = 120.0
    after_seconds: float = 15.0
    events_per_second: float = 200.0
    """Of each sender of log events."""
    batch: int = 20
    alerts_per_second: float = 2.0
    """Of Alertmanager's and of Flux's."""
    edits_per_second: float = 5.0
    answer_seconds: float = 30.0
    """The receiver's bound; the default."""
    kill: bool = False
    """End Kafka by SIGKILL rather than in order."""


@dataclass
class Watch:
    """What is seen of the receiver all along."""

    running: Running
    resident_mb: list[float] = field(default_factory=list)
    ready: list[tuple[float, bool]] = field(default_factory=list)
    """When, by the monotonic clock, and whether it said so."""

    async def run(self) -> None:
        """Look until cancelled."""
        async with aiohttp.ClientSession() as client:
            while True:
                async with client.get(f"{self.running.url}/readyz") as answer:
                    self.ready.append((time.monotonic(), answer.status == 200))
                self.resident_mb.append(edge.resident(self.running.part.pid)["Rss"])
                await asyncio.sleep(POLL_SECONDS)

    async def is_ready(self) -> bool:
        """Whether it said so when it was looked at last."""
        return self.ready[-1][1]


@dataclass(frozen=True)
class Parts:
    """All that runs."""

    kafka: EmbeddedBroker
    settings: KafkaSettings
    receiver: Running
    senders: tuple[Sender, ...]
    alertmanager_url: str
    prometheus_urls: dict[str, str]
    """By cluster."""
    cluster: SimCluster


async def run(load: Load, folder: Path) -> dict[str, Any]:
    """Run a trial and return its figures."""
    async with _parts(load, folder) as parts, asyncio.TaskGroup() as group:
        watch = Watch(parts.receiver)
        watching, stop = group.create_task(watch.run()), asyncio.Event()
        sending = [group.create_task(sender.run(stop), name=sender.name) for sender in parts.senders]
        editing = group.create_task(_edits(parts.cluster, load, stop))
        begun_ms = wall_clock_ms()
        await asyncio.sleep(load.before_seconds)
        await asyncio.to_thread(parts.kafka.kill if load.kill else parts.kafka.stop)
        away = time.monotonic()
        await asyncio.sleep(load.away_seconds)
        back = time.monotonic()
        await parts.kafka.astart()
        await asyncio.sleep(load.after_seconds)
        ended_ms = wall_clock_ms()
        stop.set()
        _, stuck = await asyncio.wait(sending, timeout=SETTLED_WITHIN_SECONDS)
        for task in stuck:
            task.cancel()
        await editing
        async with kept(parts.settings) as found:
            figures = await _judged(parts, found, editing.result(), (begun_ms, ended_ms))
        with suppress(AssertionError):  # the figures tell that, too
            await until(watch.is_ready, "the receiver is ready")
        watching.cancel()
    return {
        "away_seconds": round(back - away, 1),
        **figures,
        "stuck": sorted(task.get_name() for task in stuck),
        "receiver": _seen(watch, parts, away, back),
    }


async def _edits(cluster: SimCluster, load: Load, stop: asyncio.Event) -> list[str]:
    """Edit objects until `stop`; return the resourceVersion of each edit."""
    made: list[str] = []
    while not stop.is_set():
        made += await edge.edit(cluster, load.edits_per_second, 1.0)
    return made


async def _judged(parts: Parts, found: Kept, edits: list[str], span_ms: tuple[int, int]) -> dict[str, Any]:
    """Wait until all that is owed is in Kafka, or no more comes, and return what is missing and what is double."""
    stored = {name: await queried(url, '{__name__!=""}', *span_ms) for name, url in parts.prometheus_urls.items()}

    async def whole() -> bool:
        await found.catch_up()
        return (
            all(found.records[each] for sender in parts.senders for each in sender.log.acked)
            and all(samples <= found.samples[name].keys() for name, samples in stored.items())
            and set(edits) <= found.versions.keys()
        )

    with suppress(AssertionError):  # the figures tell what is missing
        await until(whole, "all is in Kafka", SETTLED_WITHIN_SECONDS)
    senders = {sender.name: judged(sender.log, found.records) for sender in parts.senders}
    # What these send on, they may send again by themselves.
    failed = await counted(parts.alertmanager_url, "alertmanager_notification_requests_failed_total")
    senders["alertmanager"]["sent_again"] = round(failed)
    senders["syslog"]["sent_again"] = found.shipped.total() - len(found.shipped)
    for name, samples in stored.items():
        there = found.samples[name]
        retried = await counted(parts.prometheus_urls[name], "prometheus_remote_storage_samples_retried_total")
        senders[name] = {
            "acked": len(samples),
            "missing": len(samples - there.keys()),
            "sent_again": round(retried),
            "doubled": there.total() - len(there),
        }
    senders["agent"] = {"acked": len(edits), "missing": len(set(edits) - found.versions.keys())}
    return {"senders": senders, **found.lanes(), "dead_letters": found.letters}


def _seen(watch: Watch, parts: Parts, away: float, back: float) -> dict[str, Any]:
    """Return what was seen of the receiver."""
    acked = [at for sender in parts.senders if sender.name not in BESIDE for at in sender.log.acked_at]
    unready = [at for at, is_ready in watch.ready if at > away and not is_ready]
    ready = [at for at, is_ready in watch.ready if at > back and is_ready]
    before = [mb for mb, (at, _) in zip(watch.resident_mb, watch.ready, strict=False) if at < away]
    return {
        "acked_while_away": sum(away + ON_ITS_WAY_SECONDS < at < back for at in acked),
        "resident_before_mb": max(before),
        "resident_highest_mb": max(watch.resident_mb),
        "unready_after_seconds": round(unready[0] - away, 1) if unready else None,
        "ready_again_after_seconds": round(ready[0] - back, 1) if ready else None,
        "is_ready_at_last": watch.ready[-1][1],
    }


BESIDE = ("syslog", "alertmanager")
"""Senders whose acknowledgement is that of a queue before the receiver."""


@asynccontextmanager
async def _parts(load: Load, folder: Path) -> AsyncIterator[Parts]:
    """Start everything."""
    ports, guard = Ports(), Guard()
    async with AsyncExitStack() as stack:
        stack.callback(guard.close)
        broker = await stack.enter_async_context(EmbeddedBroker(folder / "kafka"))
        settings = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        await _topics(settings)
        fleet = await stack.enter_async_context(SimulatedFleet(FleetSpec(clusters=1, workloads=5, extras=20)))
        (cluster,) = fleet.clusters
        beats, syslog = ports.take(), ports.take()
        receives = _receiver(load, folder, ports, guard, broker.bootstrap_servers, cluster.name, beats)
        manager = monitoring.alertmanager(folder, ports, guard, _routing(receives.url))
        shipping = rsyslogd(folder, syslog, guard, broker.bootstrap_servers, SYSLOG)
        reading = _logs_reader(folder, guard, broker.bootstrap_servers)
        for part in (receives.part, manager.part, shipping, reading):
            stack.push_async_callback(asyncio.to_thread, part.kill)
            part.launch()
        for part in (receives.part, manager.part, shipping, reading):
            await asyncio.to_thread(part.wait_ready)
        programs_of = {
            "prometheus-2.42": (programs.find("prometheus"), {}),
            "prometheus-today": (build.ensure(PROMETHEUS, print) / "prometheus", {"protobuf_message": V2}),
        }
        *urls, _ = await asyncio.gather(
            *(
                stack.enter_async_context(_prometheus(name, program, receives, folder, guard, **more))
                for name, (program, more) in programs_of.items()
            ),
            stack.enter_async_context(_agent(folder, cluster, receives.url)),
        )
        await _listed(settings)
        senders = _senders(load, receives.url, manager.url, beats, syslog)
        yield Parts(
            broker, settings, receives, senders, manager.url, dict(zip(programs_of, urls, strict=True)), cluster
        )


async def _topics(settings: KafkaSettings) -> None:
    """Create the fleet's topics, and rsyslog's."""
    await provision.create(settings, partitions=PARTITIONS, replication=1)
    async with admin(settings) as client:
        await client.create_topics([NewTopic(SYSLOG, PARTITIONS, 1)])

        async def seen() -> bool:
            return SYSLOG in await client.list_topics()

        await until(seen, "the broker knows rsyslog's topic")


async def _listed(settings: KafkaSettings) -> None:
    """Wait until the agent has listed what is edited: from then on it sees every edit."""
    async with kept(settings) as found:

        async def listed() -> bool:
            await found.catch_up()
            return "ConfigMap" in found.synced

        await until(listed, "the agent has listed the objects that are edited", SETTLED_WITHIN_SECONDS)


def _senders(load: Load, url: str, manager_url: str, beats: int, syslog: int) -> tuple[Sender, ...]:
    events = {"per_second": load.events_per_second, "batch": load.batch}
    told = {"per_second": load.alerts_per_second}
    return (
        HttpSender("logstash", f"{url}/logs", logstash, **events),
        HttpSender("vector", f"{url}/logs", vector, **events),
        HttpSender("fluent-bit", f"{url}/logs", fluent_bit, **events),
        BeatsSender("beats", build.ensure(GO_LUMBER, print) / "go-lumber", beats, **events | {"batch": 5 * load.batch}),
        SyslogSender("syslog", syslog, **events),
        HttpSender("flux", f"{url}/flux?client=flux", flux(HMAC_KEY), **told),
        HttpSender("alertmanager", f"{manager_url}/api/v2/alerts", alert, **told),
    )


def _receiver(
    load: Load, folder: Path, ports: Ports, guard: Guard, kafka: str, edge_cluster: str, beats: int
) -> Running:
    (folder / "hmac.key").write_bytes(HMAC_KEY)
    by_token = ("logstash", "vector", "fluent-bit", "alertmanager", "prometheus-2.42", "prometheus-today")
    digests = {name: hashlib.sha256(token_of(name).encode()).hexdigest() for name in (*by_token, "agent")}
    clients = [
        *({"name": name, "cluster": name, "bearer_sha256": digests[name]} for name in by_token),
        {"name": "agent", "cluster": edge_cluster, "bearer_sha256": digests["agent"]},
        {"name": "flux", "cluster": "flux", "hmac_key_file": str(folder / "hmac.key")},
        {"name": "beats", "cluster": "beats", "addresses": [HOST]},
    ]
    handlers = {name: {} for name in ("alertmanager", "flux", "gateway", "logs", "remote-write")}
    return receiver(
        folder,
        ports,
        guard,
        kafka,
        clients=clients,
        handlers={**handlers, "lumberjack": {"listen": f"{HOST}:{beats}"}},
        limits={"answer_seconds": load.answer_seconds},
    )


def _routing(receiver_url: str) -> dict[str, Any]:
    webhook = {
        "url": f"{receiver_url}/alertmanager",
        "send_resolved": False,
        "http_config": {"authorization": {"credentials": token_of("alertmanager")}},
    }
    # A group for each alert: what is told again is one alert, and not all that fire.
    route = {"receiver": "abdrift", "group_by": ["number"], "group_wait": "0s", "group_interval": "1s"}
    return {"route": route, "receivers": [{"name": "abdrift", "webhook_configs": [webhook]}]}


def _logs_reader(folder: Path, guard: Guard, kafka: str) -> Part:
    config, log = folder / "logs.json", folder / "logs.log"
    config.write_text(json.dumps({"topics": [{"topic": SYSLOG, "clusters": ["*"], "sender": "rsyslog"}]}))
    argv: list[str | Path] = [
        *(sys.executable, "-m", "abdrift", "logs", "from-kafka", "--config", config),
        *("--kafka", kafka, "--data", folder / "logs"),
    ]
    return Part(Program("logs", argv, log, lambda: "reads syslog" in log.read_text()), guard)


@asynccontextmanager
async def _prometheus(
    name: str, program: Path, receives: Running, folder: Path, guard: Guard, **more: Any
) -> AsyncIterator[str]:
    its_own = folder / name
    its_own.mkdir()
    port = int(receives.url.rpartition(":")[2])
    writing = remote(port, its_own, bearer=token_of(name), **more)
    async with prometheus(program, its_own, guard, **writing) as url:
        yield url


@asynccontextmanager
async def _agent(folder: Path, cluster: SimCluster, gateway: str) -> AsyncIterator[None]:
    cluster.write_kubeconfig(folder / "kubeconfig.yaml")
    (folder / "agent.token").write_text(token_of("agent"))
    async with edge.program(
        *("agent", "--cluster", cluster.name, "--kubeconfig", str(folder / "kubeconfig.yaml")),
        *("--data", str(folder / "agent"), "--spool-bytes", str(64 * 1024 * 1024)),
        *("--gateway", gateway, "--gateway-token", str(folder / "agent.token")),
        log=folder / "agent.log",
    ):
        yield


def main() -> None:
    """Run a trial and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("before_seconds", "away_seconds", "after_seconds", "events_per_second", "answer_seconds"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=getattr(Load(), name))
    parser.add_argument("--kill", action="store_true", help="end Kafka by SIGKILL rather than in order")
    parser.add_argument("--json", action="store_true", help="one line of JSON instead of several")
    parser.add_argument("--keep", type=Path, help="an empty folder for everybody's data and logs")
    given = vars(parser.parse_args())
    as_json, keep = given.pop("json"), given.pop("keep")
    with tempfile.TemporaryDirectory(prefix="abdrift-outage-") as folder:
        figures = asyncio.run(run(Load(**given), keep or Path(folder)))
    sys.stdout.write(json.dumps(figures, indent=None if as_json else 2) + "\n")


if __name__ == "__main__":
    main()
