"""What a configuration may say, and what is said where it says something else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from abdrift import configuration
from abdrift.cli.receive import EXAMPLE, HANDLERS
from abdrift.configuration import ConfigurationError
from collectors.receiving import NotItsClusterError, ReceiverConfig
from collectors.receiving.clients import Client, Clients
from collectors.receiving.config import ClientConfig
from tests.collectors.receiving.receiving import TOKEN_SHA256

if TYPE_CHECKING:
    from pathlib import Path

CLIENT = {"name": "one", "cluster": "edge-1", "bearer_sha256": TOKEN_SHA256}
GOOD = {"clients": [CLIENT], "handlers": {"alertmanager": None}}


def loaded(folder: Path, document: Any) -> ReceiverConfig:
    path = folder / "receive.yaml"
    path.write_text(document if isinstance(document, str) else yaml.safe_dump(document))
    return configuration.load(ReceiverConfig, path)


def test_the_example_is_a_configuration_and_names_every_handler(tmp_path: Path) -> None:
    config = loaded(tmp_path, EXAMPLE)
    assert set(config.handlers) == set(HANDLERS)
    assert config.limits == ReceiverConfig.model_validate(GOOD).limits, "what it shows are the defaults"


def client(**changes: Any) -> dict[str, Any]:
    return {key: value for key, value in {**CLIENT, **changes}.items() if value is not None}


@pytest.mark.parametrize(
    ("document", "words"),
    [
        pytest.param({**GOOD, "clients": []}, "clients", id="nobody"),
        pytest.param({**GOOD, "handlers": {}}, "handlers", id="nothing"),
        pytest.param({**GOOD, "listen": "8480"}, "HOST:PORT", id="no-address"),
        pytest.param({**GOOD, "listens": "x"}, "listens", id="misspelt"),
        pytest.param({**GOOD, "clients": [client(bearer_sha256=None)]}, "nothing tells this client", id="no-proof"),
        pytest.param({**GOOD, "clients": [client(bearer_sha256="secret")]}, "64 lower-case hex", id="no-digest"),
        pytest.param({**GOOD, "clients": [client(cluster=None)]}, "either cluster or clusters", id="no-cluster"),
        pytest.param({**GOOD, "clients": [client(clusters=["*"])]}, "either cluster or clusters", id="both"),
        pytest.param({**GOOD, "clients": [CLIENT, client(name="two")]}, "bearer_sha256 '", id="one-token-for-two"),
        pytest.param({**GOOD, "clients": [CLIENT, CLIENT]}, "client 'one' is given twice", id="twice"),
        pytest.param({**GOOD, "clients": [client(common_name="x")]}, "needs tls.client_ca", id="cn-without-ca"),
        pytest.param({**GOOD, "clients": [client(handlers=["flux"])]}, "no handler 'flux'", id="unknown-handler"),
        pytest.param({**GOOD, "clients": [client(addresses=["10.0.0.0/33"])]}, "addresses", id="no-network"),
        pytest.param({**GOOD, "clients": [client(basic={"username": "a:b"})]}, "basic", id="colon"),
        pytest.param({**GOOD, "limits": {"body_bytes": 2, "buffered_bytes": 1}}, "buffered_bytes is below", id="room"),
    ],
)
def test_what_it_cannot_say_is_told_with_the_place(tmp_path: Path, document: Any, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        loaded(tmp_path, document)


@pytest.mark.parametrize(("content", "words"), [(None, "No such file"), (b"\n", "is empty")], ids=["gone", "empty"])
def test_a_secret_that_cannot_be_read_is_told(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    given = ClientConfig.model_validate({"name": "one", "cluster": "c", "bearer_file": str(path)})
    with pytest.raises(ConfigurationError, match=words):
        Clients.read([given])


def test_two_clients_with_one_token_in_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("the same")
    both = [
        ClientConfig.model_validate({"name": name, "cluster": "c", "bearer_file": str(tmp_path / "token")})
        for name in ("one", "two")
    ]
    with pytest.raises(ConfigurationError, match="one and two have the same token"):
        Clients.read(both)


@pytest.mark.parametrize(
    ("config", "named", "cluster"),
    [
        pytest.param({"cluster": "edge-1"}, "edge-2", "edge-1", id="its-own-whatever-it-names"),
        pytest.param({"cluster": "edge-1"}, None, "edge-1", id="its-own-unnamed"),
        pytest.param({"clusters": ["edge-*", "core"]}, "edge-7", "edge-7", id="matches"),
        pytest.param({"clusters": ["edge-*", "core"]}, "core", "core", id="the-second"),
        pytest.param({"clusters": ["edge-*"]}, "Edge-7", None, id="case-counts"),
        pytest.param({"clusters": ["edge-*"]}, "core", None, id="another"),
        pytest.param({"clusters": ["*"]}, "", None, id="unnamed"),
        pytest.param({"clusters": ["*"]}, "x" * 254, None, id="too-long"),
    ],
)
def test_for_which_cluster_a_client_speaks(config: dict[str, Any], named: str | None, cluster: str | None) -> None:
    given = Client(ClientConfig.model_validate({"name": "one", "bearer_sha256": TOKEN_SHA256, **config}))
    if cluster is None:
        with pytest.raises(NotItsClusterError):
            given.cluster_of(named)
    else:
        assert given.cluster_of(named) == cluster
