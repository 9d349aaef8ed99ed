"""What a remote says, through `git`: its heads, and a commit's author, message and time."""

import asyncio
import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from abdrift.signals.objects import RemoteHead
from abdrift.urls import masked
from collectors.git.config import GitConfig
from collectors.git.urls import refusal_of

_MAX_OUTPUT_BYTES = 1024 * 1024
_MAX_TEXT = 500
_HASH = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_PEELED = "^{}"
_NOT_IN_REFS = frozenset(" *?[~^:\\")


class RemoteError(Exception):
    """A remote that can't be asked, or refuses; the text has no credentials."""


@dataclass(frozen=True, slots=True)
class _Output:
    code: int
    out: bytes
    err: bytes


def wanted_refs(refs: Iterable[str]) -> frozenset[str]:
    """Return those refs that a remote can be asked for: full names. A hash moves nowhere, a semver range is no ref."""
    return frozenset(ref for ref in refs if ref == "HEAD" or (ref.startswith("refs/") and _NOT_IN_REFS.isdisjoint(ref)))


def parse_heads(output: str, wanted: frozenset[str]) -> dict[str, str]:
    """Return hashes by ref of what `git ls-remote` printed; an annotated tag's is its commit's."""
    heads: dict[str, str] = {}
    for line in output.splitlines():
        sha, _, ref = line.partition("\t")
        name = ref.removesuffix(_PEELED)
        if name in wanted and _HASH.fullmatch(sha) and (name != ref or name not in heads):
            heads[name] = sha
    return heads


async def heads_of(url: str, wanted: frozenset[str], config: GitConfig) -> dict[str, str]:
    """Return hashes by ref; a ref that the remote has not is left out.

    Raises:
        RemoteError: the remote can't be asked, or refuses.

    """
    if refused := refusal_of(url):
        raise RemoteError(refused)
    tags = {ref + _PEELED for ref in wanted if ref.startswith("refs/tags/")}
    output = await git(("ls-remote", "--quiet", "--", "origin", *sorted(wanted | tags)), url, config)
    return parse_heads(output.decode(errors="replace"), wanted)


async def commit_of(url: str, ref: str, sha: str, config: GitConfig) -> RemoteHead:
    """Return a ref's commit with its author, the first line of its message and its time.

    Fetches that one commit without its files, where the server can, into a folder that is deleted at once.

    Raises:
        RemoteError: it can't be fetched, or the ref has moved on.

    """
    with tempfile.TemporaryDirectory(prefix="abdrift-git-") as folder:
        await git(("init", "--quiet", "--bare", folder), url, config)
        fetch = ("fetch", "--quiet", "--depth=1", "--filter=tree:0", "--no-tags", "--no-write-fetch-head", "origin")
        await git(("--git-dir", folder, *fetch, f"+{ref}:refs/abdrift/head"), url, config)
        show = ("show", "--no-patch", "--no-show-signature", "--format=%H%x00%an <%ae>%x00%ct%x00%s")
        shown = await git(("--git-dir", folder, *show, "refs/abdrift/head^{commit}", "--"), url, config)
    found, author, seconds, message = shown.decode(errors="replace").rstrip("\n").split("\x00", 3)
    if found != sha:
        raise RemoteError(f"{ref} moved on while it was fetched")
    return RemoteHead(sha=sha, author=author[:_MAX_TEXT], message=message[:_MAX_TEXT], time_ms=int(seconds) * 1000)


async def git(arguments: tuple[str, ...], url: str, config: GitConfig, *, max_bytes: int = _MAX_OUTPUT_BYTES) -> bytes:
    """Run git with `origin` being the URL, and return its output up to a bound.

    The URL stands in the environment, since arguments are everybody's to read.

    Raises:
        RemoteError: git fails, or takes too long.

    """
    process = await asyncio.create_subprocess_exec(
        "git",
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=_environment(url, config),
        cwd=tempfile.gettempdir(),
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(config.timeout_seconds):
            output = await _output(process, max_bytes)
    except TimeoutError:
        raise RemoteError(f"no answer within {config.timeout_seconds:g} s") from None
    finally:
        await _end(process)
    if output.code != 0:
        lines = masked(output.err.decode(errors="replace")).strip().splitlines()
        raise RemoteError((lines[-1] if lines else f"git ended with code {output.code}")[:_MAX_TEXT])
    return output.out


async def _output(process: asyncio.subprocess.Process, max_bytes: int) -> _Output:
    assert process.stdout
    assert process.stderr
    out, err = await asyncio.gather(_bounded(process.stdout, max_bytes), _bounded(process.stderr, _MAX_OUTPUT_BYTES))
    return _Output(await process.wait(), out, err)


async def _bounded(stream: asyncio.StreamReader, max_bytes: int) -> bytes:
    """Read to the end, which lets the process go on, and keep what is bounded."""
    kept = bytearray()
    while chunk := await stream.read(65_536):
        kept += chunk[: max_bytes - len(kept)]
    return bytes(kept)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill git with its helpers (it starts others for https and ssh), if it has not ended."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        await process.wait()


def _environment(url: str, config: GitConfig) -> Mapping[str, str]:
    settings = {
        "remote.origin.url": url,
        "remote.origin.promisor": "true",
        "core.sshCommand": config.ssh_command,
        "core.hooksPath": os.devnull,
        "protocol.allow": "never",
        "protocol.http.allow": "always",
        "protocol.https.allow": "always",
        "protocol.ssh.allow": "always",
        "http.followRedirects": "initial",
        **({"credential.helper": config.credential_helper} if config.credential_helper else {}),
    }
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("GIT_") or name == "GIT_SSL_CAINFO"
    }
    environment |= {"GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "true", "GCM_INTERACTIVE": "never", "LC_ALL": "C"}
    environment["GIT_CONFIG_COUNT"] = str(len(settings))
    for number, (name, value) in enumerate(settings.items()):
        environment[f"GIT_CONFIG_KEY_{number}"] = name
        environment[f"GIT_CONFIG_VALUE_{number}"] = value
    return environment
