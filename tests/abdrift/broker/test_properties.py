from pathlib import Path

import pytest

from abdrift.broker import properties


def rendered(**extra: str) -> dict[str, str]:
    node = properties.Node(
        port=1001,
        controller_port=1002,
        log_dir=Path("/d"),
        partitions=3,
        extra={k.replace("_", "."): v for k, v in extra.items()},
    )
    return dict(line.split("=", 1) for line in properties.render(node).splitlines())


@pytest.mark.parametrize(
    ("extra", "key", "value"),
    [
        pytest.param({}, "listeners", "PLAINTEXT://127.0.0.1:1001,CONTROLLER://127.0.0.1:1002", id="own-listeners"),
        pytest.param(
            {"listeners": "SSL://127.0.0.1:9"},
            "listeners",
            "PLAINTEXT://127.0.0.1:1001,CONTROLLER://127.0.0.1:1002,SSL://127.0.0.1:9",
            id="a-listener-is-added",
        ),
        pytest.param({"log_retention_hours": "1"}, "log.retention.hours", "1", id="a-value-is-replaced"),
        pytest.param({"ssl_x": "a\nb\\c"}, "ssl.x", "a\\nb\\\\c", id="lines-and-backslashes-are-escaped"),
        pytest.param({}, "auto.create.topics.enable", "false", id="no-topic-by-mistake"),
        pytest.param({}, "num.partitions", "3", id="partitions"),
    ],
)
def test_render(extra: dict[str, str], key: str, value: str) -> None:
    assert rendered(**extra)[key] == value
