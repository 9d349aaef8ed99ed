"""The simulated Git server against the real `git` program."""

import asyncio
from pathlib import Path

import pytest

from abdrift.simulation import FleetSpec, SimulatedFleet, git_fetch, git_objects, git_wire
from abdrift.simulation.git import SimGit
from abdrift.simulation.git_fetch import FetchError, Filter

VERSIONS = ["2", "1", "0"]
URL = "http://127.0.0.1/git/fleet.git"
MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}


async def git(*arguments: str, folder: Path, version: str = "2") -> str:
    process = await asyncio.create_subprocess_exec(
        "git",
        "-c",
        f"protocol.version={version}",
        *arguments,
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return out.decode()


def history(fleet: SimulatedFleet, url: str) -> list[str]:
    commits = fleet.git.repositories[url].branches["main"]
    return [f"{c.sha}|{c.author}|{c.time_ns // 10**9}|{c.message.splitlines()[0]}" for c in reversed(commits)]


async def logged(folder: Path, ref: str = "HEAD") -> list[str]:
    return (await git("log", "--format=%H|%an <%ae>|%ct|%s", ref, folder=folder)).splitlines()


@pytest.fixture
def url(served: SimulatedFleet) -> str:
    """Give a site's repository, after two commits more."""
    url = served.site_repository("edge-0001")
    served.git.commit(url, {"extras/extra-00.yaml": None}, message="Drop one", author="bob <bob@lab>")
    served.git.commit(url, {"extras/deep/a/b.yaml": (MAP,)}, message="Add one\n\nBecause.")
    return url


@pytest.mark.parametrize("version", VERSIONS)
async def test_ls_remote(served: SimulatedFleet, url: str, tmp_path: Path, version: str) -> None:
    sha = served.git.repositories[url].head().sha
    listed = await git("ls-remote", "--symref", url, "HEAD", folder=tmp_path, version=version)
    assert listed.split() == ["ref:", "refs/heads/main", "HEAD", sha, "HEAD"]
    assert (await git("ls-remote", url, "refs/heads/main", folder=tmp_path)).split() == [sha, "refs/heads/main"]


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_clone_is_sound_and_follows(served: SimulatedFleet, url: str, tmp_path: Path, version: str) -> None:
    await git("clone", "-q", url, "all", folder=tmp_path, version=version)
    folder = tmp_path / "all"
    served.git.commit(url, {"extras/extra-01.yaml": None}, message="Drop another")
    await git("pull", "-q", "--ff-only", folder=folder, version=version)
    await git("fsck", "--strict", folder=folder)
    assert await logged(folder) == history(served, url)
    assert sorted(str(each.relative_to(folder)) for each in folder.rglob("*.yaml")) == sorted(
        served.git.repositories[url].head().tree
    )
    assert "kind: ConfigMap" in (folder / "extras/deep/a/b.yaml").read_text()


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_shallow_clone_deepens(served: SimulatedFleet, url: str, tmp_path: Path, version: str) -> None:
    await git("clone", "-q", "--depth=1", url, "one", folder=tmp_path, version=version)
    folder, whole = tmp_path / "one", history(served, url)
    assert await logged(folder) == whole[:1]
    await git("fetch", "-q", "--depth=2", folder=folder, version=version)
    assert await logged(folder) == whole[:2]
    await git("fetch", "-q", "--unshallow", folder=folder, version=version)
    assert await logged(folder) == whole
    await git("fsck", "--strict", folder=folder)


FILTERS = {"no-blobs": "blob:none", "no-trees": "tree:0", "root-only": "tree:1", "small": "blob:limit=100"}


@pytest.mark.parametrize("version", ["2", "0"])
@pytest.mark.parametrize("kept", FILTERS.values(), ids=FILTERS)
async def test_a_partial_fetch_has_the_head_and_gets_the_rest_later(
    served: SimulatedFleet, url: str, tmp_path: Path, kept: str, version: str
) -> None:
    await git("init", "-q", "--bare", ".", folder=tmp_path)
    await git("remote", "add", "origin", url, folder=tmp_path)
    fetch = ("fetch", "-q", "--depth=1", f"--filter={kept}", "--no-tags", "origin", "+refs/heads/main:refs/head")
    await git(*fetch, folder=tmp_path, version=version)
    assert await logged(tmp_path, "refs/head") == history(served, url)[:1]
    missing = await git("rev-list", "--objects", "--missing=print", "refs/head", folder=tmp_path, version=version)
    assert [each for each in missing.splitlines() if each.startswith("?")]
    shown = await git("cat-file", "-p", "refs/head:apps/app-01.yaml", folder=tmp_path, version=version)
    assert "kind: Deployment" in shown


async def test_an_unreachable_repository_is_an_error(served: SimulatedFleet, url: str, tmp_path: Path) -> None:
    served.git.repositories[url].unreachable = True
    with pytest.raises(AssertionError, match="503"):
        await git("ls-remote", url, folder=tmp_path)


KNOWN_IDS = {
    "empty-blob": ("blob", b"", "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"),
    "empty-tree": ("tree", b"", "4b825dc642cb6eb9a060e54bf8d69288fbee4904"),
    "hello": ("blob", b"hello\n", "ce013625030ba8dba906f756967f9e9ca394464a"),
}


@pytest.mark.parametrize(("kind", "body", "sha"), KNOWN_IDS.values(), ids=KNOWN_IDS)
def test_object_ids(kind: str, body: bytes, sha: str) -> None:
    assert git_objects.make(kind, body).id == sha


def test_folders_sort_as_git_sorts_them() -> None:
    _, root = git_objects.snapshot({"a/x.yaml": (MAP,), "a.yaml": (MAP,), "a-b": (MAP,)})[0]
    names = [each.split(b" ")[1] for each in root.body.split(b"\0") if b" " in each]
    assert names == [b"a-b", b"a.yaml", b"a"]


def test_a_path_is_a_file_or_a_folder() -> None:
    with pytest.raises(ValueError, match="a is a file and a folder"):
        git_objects.snapshot({"a": (MAP,), "a/b": (MAP,)})


def test_the_seed_decides_ids() -> None:
    def heads(seed: int) -> list[str]:
        fleet = SimulatedFleet(FleetSpec(clusters=2, seed=seed), clock=lambda: 10**18)
        fleet.build()
        return [repository.head().sha for repository in fleet.git.repositories.values()]

    assert heads(1) == heads(1)
    assert len(set(heads(1))) == 3


FILTER_TEXTS = {
    "no-blobs": ("blob:none", Filter(blob_bytes=0)),
    "bytes": ("blob:limit=7", Filter(blob_bytes=7)),
    "kilobytes": ("blob:limit=2k", Filter(blob_bytes=2048)),
    "no-trees": ("tree:0", Filter(depth=0)),
}


@pytest.mark.parametrize(("text", "meant"), FILTER_TEXTS.values(), ids=FILTER_TEXTS)
def test_filters(text: str, meant: Filter) -> None:
    assert git_fetch.parse_filter(text) == meant


REFUSED = {
    "no-length": (b"zzzz", "not a length"),
    "cut-short": (b"00ffwant", "ends within a line"),
    "no-want": (b"0000", "nothing is wanted"),
    "unknown": (git_wire.line("want " + "0" * 40), "not our ref 0000"),
    "since": (git_wire.line("deepen-since 1"), "deepen-since is not served"),
    "filter": (git_wire.line("filter sparse:oid=main:x"), "filter 'sparse:oid=main:x' is not served"),
}


@pytest.mark.parametrize(("body", "words"), REFUSED.values(), ids=REFUSED)
def test_refused_requests(body: bytes, words: str) -> None:
    repository = SimGit(lambda: 10**18).create(URL, {"a.yaml": (MAP,)})
    with pytest.raises(FetchError, match=words):
        git_fetch.Upload(repository, git_wire.fetch_of(git_wire.parse(body).all))
