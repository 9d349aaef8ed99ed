"""A remote's newest commit as files: the paths of all of them, and those of one name to read."""

import asyncio
from pathlib import Path, PurePosixPath

from collectors.git.config import GitConfig
from collectors.git.remotes import RemoteError, git
from collectors.git.urls import refusal_of

MAX_LISTED_BYTES = 128 * 1024 * 1024


async def checked_out(url: str, name: str, folder: Path, config: GitConfig) -> list[PurePosixPath]:
    """Fetch what a remote's HEAD points at, without its history, and write its files of a name into an empty folder.

    Returns the paths of all its files, also of those that are not written. Where the server can, what is not written is
    not fetched either.

    Raises:
        RemoteError: the remote can't be asked or refuses, or has more files than can be listed.
        OSError: the folder can't be written to.

    """
    if refused := refusal_of(url):
        raise RemoteError(refused)
    at = ("-C", str(folder))
    await git((*at, "init", "--quiet"), url, config)
    fetch = ("fetch", "--quiet", "--depth=1", "--filter=blob:none", "--no-tags", "origin", "+HEAD:refs/abdrift/head")
    await git((*at, *fetch), url, config)
    listed = await git(
        (*at, "ls-tree", "-r", "-z", "--name-only", "refs/abdrift/head"), url, config, max_bytes=MAX_LISTED_BYTES
    )
    if len(listed) == MAX_LISTED_BYTES:
        raise RemoteError("it has more files than can be listed")
    await asyncio.to_thread((folder / ".git" / "info" / "sparse-checkout").write_text, f"{name}\n")
    # A link is written as a file that holds its target: what is read then lies in the folder.
    plain = ("-c", "core.sparseCheckout=true", "-c", "core.symlinks=false", "-c", "advice.detachedHead=false")
    await git((*at, *plain, "checkout", "--quiet", "refs/abdrift/head"), url, config)
    return [PurePosixPath(path) for path in listed.decode(errors="replace").split("\0") if path]
