from __future__ import annotations

import pytest

from collectors.git.urls import refusal_of


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
