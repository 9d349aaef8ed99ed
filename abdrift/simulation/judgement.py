"""The judgement of incidents: one for each bad revision, with all its clusters, and none beside. Pure functions.

An incident is a mapping as its fact has it.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from abdrift.simulation.ledger import Ledger
from abdrift.simulation.plan import FaultKind

_LEAST_CLUSTERS = 2


@dataclass(frozen=True, slots=True)
class IncidentVerdict:
    """What the incidents were worth; each as a sentence."""

    missed: tuple[str, ...]
    false_alarms: tuple[str, ...]


def judge_incidents(
    ledger: Ledger, incidents: Sequence[Mapping[str, Any]], sites: Mapping[str, str]
) -> IncidentVerdict:
    """Judge incidents against what was rolled out.

    One must be told of each bad revision. One may be told of a revert, which clusters fetch one after another: until
    they do they are behind it.

    Args:
        ledger: What was done.
        incidents: The newest of each incident that was ever open.
        sites: Cluster name to site.

    """
    reached: defaultdict[str, set[str]] = defaultdict(set)
    reverted: defaultdict[str, set[str]] = defaultdict(set)
    silenced = set()
    for entry in ledger.entries.values():
        if entry.done_at_ns is None or entry.error:
            continue
        if entry.fault.kind in (FaultKind.BAD_REVISION, FaultKind.BAD_IMAGE):
            reached[ledger.commits[entry.fault.id]].add(entry.fault.cluster)
        elif entry.fault.kind is FaultKind.REVERTED:
            reverted[ledger.commits[entry.fault.id]].add(entry.fault.cluster)
        elif entry.fault.kind is FaultKind.SILENCE:
            silenced.add(sites.get(entry.fault.cluster, ""))
    missed = []
    for sha, clusters in reached.items():
        found = [one for one in incidents if sha in one["cause"]["name"]]
        told = sum(one["blast_radius"]["clusters_ever"] for one in found)
        if len(clusters) >= _LEAST_CLUSTERS and (len(found) != 1 or told != len(clusters)):
            missed.append(f"{sha[:7]} failed in {len(clusters)} clusters; {len(found)} incidents told of {told}")
    false_alarms = [
        one["title"]
        for one in incidents
        if not any(sha in one["cause"]["name"] for sha in reached)
        and not any(
            sha in one["cause"]["name"] and one["blast_radius"]["clusters_ever"] <= len(clusters)
            for sha, clusters in reverted.items()
        )
        and not (one["cause"]["kind"] == "site" and one["cause"]["name"] in silenced)
    ]
    return IncidentVerdict(tuple(missed), tuple(false_alarms))
