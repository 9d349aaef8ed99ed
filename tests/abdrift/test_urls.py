"""What is shown of URLs, and whom they name."""

import pytest

from abdrift.urls import host_of, masked


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("https://git.example/fleet.git", "https://git.example/fleet.git", id="none"),
        pytest.param("https://bob:s3cret@git.example/x", "https://git.example/x", id="password"),
        pytest.param("https://t0ken@git.example/x", "https://git.example/x", id="token-as-user"),
        pytest.param("ssh://git@git.example/x", "ssh://git@git.example/x", id="ssh-user"),
        pytest.param("ssh://git:s3cret@git.example/x", "ssh://git@git.example/x", id="ssh-password"),
        pytest.param("fatal: 'HTTPS://b:p@h/x/': 403", "fatal: 'HTTPS://h/x/': 403", id="within-a-message"),
        pytest.param("https://h/a@b https://c:d@e/f", "https://h/a@b https://e/f", id="at-sign-in-a-path"),
    ],
)
def test_credentials_are_left_out(text: str, shown: str) -> None:
    assert masked(text) == shown


@pytest.mark.parametrize(
    ("url", "host"),
    [
        pytest.param("https://git.example:8443/fleet.git", "git.example", id="https"),
        pytest.param("ssh://git@git.example/x", "git.example", id="ssh"),
        pytest.param("git@git.example:fleet.git", "git.example", id="scp-like"),
        pytest.param("oci://ghcr.example/charts/app", "ghcr.example", id="oci"),
        pytest.param("", "", id="none"),
    ],
)
def test_a_url_names_its_host(url: str, host: str) -> None:
    assert host_of(url) == host
