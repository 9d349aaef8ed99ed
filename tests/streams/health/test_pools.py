"""Which pool a node is of."""

from typing import Any

import orjson
import pytest

from abdrift import frames
from abdrift.signals.objects import OBJECTS, HeartbeatDetail, ObjectRow, columns_of, encode_detail
from abdrift.topics import OBJECTS as OBJECTS_TOPIC
from streams.health import HealthStep
from streams.health.pools import pool_of
from streams.step import Batch, Input

LABELS: dict[str, tuple[dict[str, str], str]] = {
    "own": ({"abdrift.dev/node-pool": "racks", "karpenter.sh/nodepool": "spot"}, "racks"),
    "provider": ({"eks.amazonaws.com/nodegroup": "workers", "node.kubernetes.io/instance-type": "m5"}, "workers"),
    "instance-type": ({"node.kubernetes.io/instance-type": "m5"}, "m5"),
    "empty": ({"karpenter.sh/nodepool": ""}, ""),
    "none": ({"kubernetes.io/hostname": "n1"}, ""),
}


@pytest.mark.parametrize(("labels", "pool"), LABELS.values(), ids=LABELS)
def test_the_first_label_that_names_a_pool_decides(labels: dict[str, str], pool: str) -> None:
    assert pool_of({"metadata": {"labels": labels}}) == pool


@pytest.mark.parametrize("node", [{}, {"metadata": {}}, {"metadata": {"labels": None}}])
def test_a_node_without_labels_is_of_no_pool(node: dict[str, Any]) -> None:
    assert pool_of(node) == ""


def test_the_health_of_a_node_says_its_pool() -> None:
    unready = {"conditions": [{"type": "Ready", "status": "False", "message": "no kubelet"}]}
    node = {"metadata": {"labels": {"abdrift.dev/node-pool": "racks"}}, "status": unready}
    beat = HeartbeatDetail(cluster_uid="u1", interval_ms=5_000, started_ms=0)
    rows = (
        ObjectRow(cluster="edge-1", op="heartbeat", observed_ms=1, detail=encode_detail(beat)),
        ObjectRow(
            cluster="edge-1", op="added", version="v1", kind="Node", name="n1", observed_ms=1, object=orjson.dumps(node)
        ),
    )
    encoded = frames.encode(OBJECTS, columns_of(rows), ("kubernetes/edge-1", 1, 0))
    record = Input(OBJECTS_TOPIC.name, 0, 0, 1_000, frame=frames.decode(encoded.value, encoded.headers))
    told = {fact.key: fact.event for fact in HealthStep().process({}, Batch(0, 1, [record])).facts}
    event = told["node/edge-1/Node/n1"]
    assert event is not None
    assert (event.data["status"], event.data["pool"]) == ("failing", "racks")
