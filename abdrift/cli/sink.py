"""`abdrift sink`: sinks as processes of their own."""

import contextlib
from typing import Annotated

import typer

from abdrift import paths
from abdrift.cli import sink_alertmanager, sink_elasticsearch, sink_prometheus
from abdrift.cli.clusters import ClusterOption, ContextOption, FleetOption, KubeconfigOption, LabelsOption, clusters
from abdrift.cli.kafka import with_kafka
from abdrift.cli.keys import KeysOption
from abdrift.cli.service import LogLevelOption, MetricsOption, prepare, run_until_stopped
from abdrift.clock import wall_clock_ms
from abdrift.facts.commands import Verb
from abdrift.fleet import Fleet
from abdrift.kafka import KafkaSettings, consumer, partition_count, producer
from abdrift.keyring import Keyring
from abdrift.kubeapi import Credentials, KubeApi
from abdrift.processes import tell_ready
from abdrift.signing import Trust
from abdrift.topics import FLEET_OUTCOMES
from sinks.gitops.config import FLUX_VERBS, GitOpsConfig
from sinks.gitops.executor import Executor
from sinks.gitops.findings import FindingsView
from sinks.gitops.sink import GitOpsSink, OutcomePublisher


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    group = typer.Typer(help="Run a sink: facts out of Kafka to where they are acted on or seen.", no_args_is_help=True)
    group.command("gitops")(with_kafka(gitops))
    sink_alertmanager.register(group)
    sink_elasticsearch.register(group)
    sink_prometheus.register(group)
    app.add_typer(group, name="sink")


def gitops(
    kafka: KafkaSettings,
    cluster: ClusterOption = None,
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = None,
    label: LabelsOption = None,
    fleet: FleetOption = None,
    keys: KeysOption = None,
    verb: Annotated[list[Verb] | None, typer.Option(help="What may be done here at all. Absent: Flux's verbs.")] = None,
    hourly_cap: Annotated[int, typer.Option(min=0, help="Commands an hour and cluster, at most.")] = 60,
    in_flight_cap: Annotated[int, typer.Option(min=1, help="Commands at a time and cluster, at most.")] = 4,
    corrected_timeout_seconds: Annotated[
        float, typer.Option(min=1, help="How long findings may take to close.")
    ] = 30.0,
    metrics: MetricsOption = None,
    log_level: LogLevelOption = "info",
) -> None:
    """Carry out signed commands on Flux's objects. Needs deploy/rbac's acting rights and the governors' public keys."""
    prepare(log_level, metrics)
    named = clusters(fleet, cluster, kubeconfig, context, label)
    trust = Keyring.open(keys or paths.data_dir() / "keys", create=False).trust_governor
    configs = [
        GitOpsConfig(
            cluster=member.name,
            hourly_cap=hourly_cap,
            in_flight_cap=in_flight_cap,
            corrected_timeout_seconds=corrected_timeout_seconds,
            verbs=tuple(verb) if verb else FLUX_VERBS,
        )
        for member in named.clusters
    ]
    run_until_stopped(_run(named, configs, kafka, trust))


async def _run(fleet: Fleet, configs: list[GitOpsConfig], kafka: KafkaSettings, trust: Trust) -> None:
    partitions = await partition_count(kafka, FLEET_OUTCOMES.name)
    name = fleet.clusters[0].name if len(fleet.clusters) == 1 else f"fleet-of-{len(fleet.clusters)}"
    async with contextlib.AsyncExitStack() as stack:
        client = await stack.enter_async_context(producer(kafka, linger_ms=0))
        commands = await stack.enter_async_context(consumer(kafka, group_id=f"abdrift-gitops-{name}"))
        facts = await stack.enter_async_context(consumer(kafka))
        findings = FindingsView()
        publish = OutcomePublisher(client, partitions)
        executors: dict[str, Executor] = {}
        for member, config in zip(fleet.clusters, configs, strict=True):
            credentials = Credentials.load(member.acting, member.context)
            api = await stack.enter_async_context(KubeApi(credentials, user_agent="abdrift-gitops"))
            executors[member.name] = Executor(config, api, findings, publish, trust=trust, clock=wall_clock_ms)
        sink = GitOpsSink(executors, findings, commands=commands, facts=facts, on_ready=tell_ready)
        await sink.run()
