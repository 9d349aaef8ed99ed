"""The simulated repositories over Git's smart HTTP protocol, read only: versions 0, 1 and 2 of `git-upload-pack`."""

from collections.abc import Iterable

from aiohttp import web

from abdrift.simulation import git_objects, git_wire
from abdrift.simulation.bodies import read_body
from abdrift.simulation.git import Repository, SimGit
from abdrift.simulation.git_fetch import FetchError, Upload
from abdrift.simulation.git_wire import DELIMITER, FLUSH, line

GIT_PREFIX = "/git/"
_SERVICE = "git-upload-pack"
_ADVERTISED, _POSTED = "/info/refs", f"/{_SERVICE}"
_MAX_BODY_BYTES = 1024 * 1024
_V0 = "side-band-64k shallow filter allow-tip-sha1-in-want allow-reachable-sha1-in-want symref=HEAD:refs/heads/main"
_V2 = ("version 2", "agent=git/simulated", "ls-refs", "fetch=shallow filter", "object-format=sha1")


def _refs(repository: Repository) -> dict[str, str]:
    refs = {f"refs/heads/{name}": commits[-1].sha for name, commits in sorted(repository.branches.items())}
    return {"HEAD": refs["refs/heads/main"], **refs} if "refs/heads/main" in refs else refs


def advertisement(repository: Repository, version: int = 0) -> bytes:
    """Give what a client is told first: heads, or with protocol version 2 what can be asked."""
    if version == 2:  # noqa: PLR2004  its name
        return b"".join(line(each) for each in _V2) + FLUSH
    refs = [f"{sha} {name}" for name, sha in _refs(repository).items()]
    refs[0] += f"\0{_V0} agent=git/simulated"
    said = ["version 1", *refs] if version else refs
    return line(f"# service={_SERVICE}") + FLUSH + b"".join(line(each) for each in said) + FLUSH


def answer_v2(repository: Repository, body: bytes) -> bytes:
    """Answer `ls-refs` or `fetch`. Raises FetchError."""
    sections = git_wire.parse(body).sections or ((),)
    arguments = [each for section in sections[1:] for each in section]
    if "command=ls-refs" in sections[0]:
        return b"".join(line(each) for each in _listed(repository, arguments)) + FLUSH
    if "command=fetch" not in sections[0]:
        raise FetchError("only ls-refs and fetch are served")
    fetch = git_wire.fetch_of(arguments)
    upload = Upload(repository, fetch)
    parts = []
    if not fetch.done:
        acks = [f"ACK {each}" for each in upload.common]
        parts += [line("acknowledgments"), *(line(each) for each in acks or ["NAK"])]
        if not acks:
            return b"".join(parts) + FLUSH
        parts += [line("ready"), DELIMITER]
    if fetch.depth:
        parts += [line("shallow-info"), *(line(each) for each in upload.shallow_info()), DELIMITER]
    return b"".join([*parts, line("packfile"), git_wire.banded(git_objects.pack(upload.objects())), FLUSH])


def _listed(repository: Repository, arguments: Iterable[str]) -> Iterable[str]:
    prefixes = tuple(each.removeprefix("ref-prefix ") for each in arguments if each.startswith("ref-prefix "))
    symrefs = "symrefs" in arguments
    for name, sha in _refs(repository).items():
        if not prefixes or name.startswith(prefixes):
            yield f"{sha} {name}" + (" symref-target:refs/heads/main" if symrefs and name == "HEAD" else "")


def answer_v0(repository: Repository, body: bytes) -> bytes:
    """Answer a fetch of protocol version 0 or 1, without `multi_ack`. Raises FetchError."""
    lines = git_wire.parse(body).all
    fetch = git_wire.fetch_of(lines)
    upload = Upload(repository, fetch)
    parts = [*(line(each) for each in upload.shallow_info()), FLUSH] if fetch.depth else []
    if not (fetch.haves or fetch.done) and fetch.depth:
        # The client first learns where its history is to end, then asks again.
        return b"".join(parts)
    parts.append(line(f"ACK {upload.common[0]}" if upload.common else "NAK"))
    if not fetch.done:
        return b"".join(parts)
    pack = git_objects.pack(upload.objects())
    in_bands = "side-band-64k" in lines[0].split(" ")
    return b"".join([*parts, git_wire.banded(pack) + FLUSH if in_bands else pack])


def _version(request: web.BaseRequest) -> int:
    asked = request.headers.get("Git-Protocol", "").split(":")
    return 2 if "version=2" in asked else int("version=1" in asked)


async def answer_git(git: SimGit, base_url: str, request: web.BaseRequest) -> web.Response:
    """Answer `GET /git/<repository>/info/refs?service=git-upload-pack` and `POST /git/<repository>/git-upload-pack`."""
    posted = request.method == "POST" and request.path.endswith(_POSTED)
    asked = request.path.endswith(_ADVERTISED) and request.query.get("service") == _SERVICE
    if not posted and not asked:
        return web.Response(status=403, text="the simulated Git server is read only and speaks smart HTTP\n")
    repository = git.repositories.get(base_url + request.path.removesuffix(_POSTED if posted else _ADVERTISED))
    if repository is None:
        return web.Response(status=404, text="no such repository\n")
    if repository.unreachable:
        return web.Response(status=503, text="unreachable\n")
    version = _version(request)
    if asked:
        return _response(advertisement(repository, version), "advertisement")
    body = await read_body(request, _MAX_BODY_BYTES)
    if body is None:
        return web.Response(status=413, text=f"limit is {_MAX_BODY_BYTES}\n")
    try:
        answer = (answer_v2 if version == 2 else answer_v0)(repository, body)  # noqa: PLR2004  its name
    except FetchError as error:
        answer = git_wire.error(str(error))
    return _response(answer, "result")


def _response(body: bytes, kind: str) -> web.Response:
    return web.Response(
        body=body, headers={"Content-Type": f"application/x-{_SERVICE}-{kind}", "Cache-Control": "no-cache"}
    )
