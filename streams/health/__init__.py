"""Health: how every workload, namespace, GitOps object, node and cluster is, by what agents saw.

`assess` judges one object, `warnings` weighs Events against their usual rate, `hysteresis` keeps a status from
flapping, `rollup` counts members, and `step` puts them together for one partition. `streams.rollup` goes on to site,
region and fleet. Forbidden here: calling anything healthy without evidence.
"""

from streams.health.step import HealthStep

__all__ = ["HealthStep"]
