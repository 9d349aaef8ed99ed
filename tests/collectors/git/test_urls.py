from __future__ import annotations

import pytest

from collectors.git.urls import masked, refusal_of


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


@pytest.mark.parametrize("url", ["https://git.example/x", "http://127.0.0.1:1/x.git", "ssh://git@h:22/x"])
def test_what_a_git_repository_allows_is_asked(url: str) -> None:
    assert refusal_of(url) is None


@pytest.mark.parametrize(
    "url",
    [
        "",
        "file:///etc",
        "/etc",
        "ext::sh -c touch% /tmp/x",
        "git@host:path",
        "--upload-pack=touch /tmp/x",
        "ssh://-oProxyCommand=x/y",
        "ssh://git@-oProxyCommand=x/y",
        "https://",
        "https://h/x y",
        "https://h/x\n",
    ],
)
def test_what_could_run_commands_or_read_files_is_refused(url: str) -> None:
    assert refusal_of(url)
