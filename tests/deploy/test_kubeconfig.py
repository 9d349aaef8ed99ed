"""`deploy/kubeconfig`: what it prints is a kubeconfig, by whatever kubectl answers."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

SCRIPT = Path(__file__).parents[2] / "deploy" / "kubeconfig"
# As kubectl 1.32 answered what the script asks.
KUBECTL = """\
#!/bin/sh
case "$*" in
  "config current-context") echo edge ;;
  *"--context edge --namespace abdrift-system create token abdrift-agent --duration 1h") echo a-token ;;
  *"--context edge -o jsonpath={.clusters[0].cluster.server}") printf https://127.0.0.1:6443 ;;
  *"--context edge -o jsonpath={.clusters[0].cluster.certificate-authority-data}") printf Q0E= ;;
  *) echo "unexpected: $*" >&2; exit 1 ;;
esac
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(KUBECTL)
    kubectl.chmod(0o755)
    return {"PATH": f"{tmp_path}:/usr/bin:/bin", "DURATION": "1h"}


def test_it_prints_a_kubeconfig_of_the_service_account(environment: dict[str, str]) -> None:
    printed = subprocess.run([SCRIPT, "abdrift-agent"], env=environment, capture_output=True, text=True, check=True)
    config = yaml.safe_load(printed.stdout)
    assert config["users"] == [{"name": "abdrift-agent", "user": {"token": "a-token"}}]
    assert config["clusters"][0]["cluster"] == {
        "server": "https://127.0.0.1:6443",
        "certificate-authority-data": "Q0E=",
    }
    assert config["contexts"][0]["context"] == {"cluster": "abdrift", "user": "abdrift-agent"}
    assert config["current-context"] == config["contexts"][0]["name"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [pytest.param([], "which ServiceAccount", id="nobody-named"), pytest.param(["x"], "unexpected", id="refused")],
)
def test_it_prints_nothing_where_it_cannot(environment: dict[str, str], arguments: list[str], said: str) -> None:
    done = subprocess.run([SCRIPT, *arguments], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode != 0, done.stdout, said in done.stderr) == (True, "", True)
