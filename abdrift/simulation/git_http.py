"""The simulated repositories over Git's smart HTTP protocol: what `git ls-remote` asks.

Heads only: the commits are not Git objects, so fetching is refused.
"""

from aiohttp import web

from abdrift.simulation.git import Repository, SimGit

GIT_PREFIX = "/git/"
_SUFFIX = "/info/refs"


def _line(text: str) -> bytes:
    payload = text.encode()
    return f"{len(payload) + 4:04x}".encode() + payload


def advertisement(repository: Repository) -> bytes:
    """Give the reference advertisement of protocol version 0."""
    refs = {f"refs/heads/{name}": commits[-1].sha for name, commits in sorted(repository.branches.items())}
    head = refs.get("refs/heads/main") or next(iter(refs.values()))
    named = {"HEAD": head, **refs}
    lines = [
        _line(f"{sha} {name}" + ("\0symref=HEAD:refs/heads/main agent=git/simulated\n" if number == 0 else "\n"))
        for number, (name, sha) in enumerate(named.items())
    ]
    return _line("# service=git-upload-pack\n") + b"0000" + b"".join(lines) + b"0000"


async def answer_git(git: SimGit, base_url: str, request: web.BaseRequest) -> web.Response:
    """Answer `GET /git/<repository>/info/refs?service=git-upload-pack`."""
    if not request.path.endswith(_SUFFIX) or request.query.get("service") != "git-upload-pack":
        return web.Response(status=403, text="the simulated Git server answers ls-remote only\n")
    repository = git.repositories.get(base_url + request.path.removesuffix(_SUFFIX))
    if repository is None:
        return web.Response(status=404, text="no such repository\n")
    if repository.unreachable:
        return web.Response(status=503, text="unreachable\n")
    headers = {"Content-Type": "application/x-git-upload-pack-advertisement", "Cache-Control": "no-cache"}
    return web.Response(body=advertisement(repository), headers=headers)
