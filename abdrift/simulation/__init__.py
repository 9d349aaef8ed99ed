"""A fleet of simulated clusters: the Kubernetes API over HTTP, with Flux's observed behaviour behind it.

For tests by seed and for the demonstration. `SimulatedFleet` serves N clusters on one loopback port, each under
`/clusters/<name>`; controllers play Flux 2.7 and the workload controllers as they were seen on a real API server;
`plan` draws faults from a seed, `FaultInjector` carries them out through HTTP as a person would, and `Ledger` judges
what was found against what was done.

Forbidden here: importing `collectors`, `streams` or `sinks` (the judge must not share code with the judged), any
traffic beyond loopback, and anything that blocks the event loop.
"""

from abdrift.simulation.cluster import SimCluster
from abdrift.simulation.fleet import SimulatedFleet
from abdrift.simulation.inject import FaultInjector
from abdrift.simulation.judgement import IncidentVerdict, judge_incidents
from abdrift.simulation.ledger import Ledger, Verdict
from abdrift.simulation.plan import USUAL, Expect, Fault, FaultKind, ObjectRef, plan
from abdrift.simulation.spec import FleetSpec

__all__ = [
    "USUAL",
    "Expect",
    "Fault",
    "FaultInjector",
    "FaultKind",
    "FleetSpec",
    "IncidentVerdict",
    "Ledger",
    "ObjectRef",
    "SimCluster",
    "SimulatedFleet",
    "Verdict",
    "judge_incidents",
    "plan",
]
