"""Kubernetes as one agent sees one cluster: lists and watches, made into rows.

What is pure (`projection`, `inventories`, `releases`, `event_rows`) knows no API; `reflector` keeps one list-watch
alive; `kinds` remembers what each kind showed and says what changed; `agent` decides what is watched.

Forbidden here: judging drift or health, writing to the cluster, and rows with a Secret's values.
"""

from collectors.kubernetes.agent import Agent, run
from collectors.kubernetes.config import KubernetesConfig
from collectors.kubernetes.hub import run_many

__all__ = ["Agent", "KubernetesConfig", "run", "run_many"]
