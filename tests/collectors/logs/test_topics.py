"""For which clusters the events of a topic speak."""

from __future__ import annotations

import pytest

from collectors.logs.topics import TopicConfig
from collectors.receiving import NotItsClusterError


@pytest.mark.parametrize(
    ("config", "named", "cluster"),
    [
        pytest.param({"cluster": "edge-1"}, "edge-2", "edge-1", id="its-own-whatever-is-named"),
        pytest.param({"cluster": "edge-1"}, None, "edge-1", id="its-own-unnamed"),
        pytest.param({"clusters": ("edge-*",)}, "edge-7", "edge-7", id="one-of-several"),
        pytest.param({}, "core", "core", id="any"),
    ],
)
def test_the_cluster_is_the_topic_s_or_one_that_it_speaks_for(
    config: dict[str, object], named: str | None, cluster: str
) -> None:
    assert TopicConfig.model_validate({"topic": "t", **config}).cluster_of(named) == cluster


@pytest.mark.parametrize(
    ("named", "said"),
    [
        pytest.param(None, "topic t speaks for several clusters and names none", id="unnamed"),
        pytest.param("core", "topic t does not speak for cluster 'core'", id="another-s"),
        pytest.param("edge-" + "x" * 253, "topic t does not speak for cluster 'edge-", id="too-long"),
    ],
)
def test_it_speaks_for_no_other(named: str | None, said: str) -> None:
    with pytest.raises(NotItsClusterError, match=said):
        TopicConfig(topic="t", clusters=("edge-*",)).cluster_of(named)
