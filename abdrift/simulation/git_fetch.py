"""What a fetch is answered with: which commits a client lacks, where its history ends, and which objects go along.

Pure. The rules are those of `git-upload-pack`, for clients that are shallow or partial too.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from abdrift.simulation.git import Commit, Repository
from abdrift.simulation.git_objects import GitObject, snapshot, tree_entries

_MAX_OBJECTS = 50_000
_UNBOUNDED = 1 << 31


class FetchError(Exception):
    """A request that can't be answered; the text is for the client."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which objects a partial clone leaves out."""

    depth: int = _UNBOUNDED
    """Trees and blobs below this depth stay away; the root of a commit's tree has 0."""
    blob_bytes: int = _UNBOUNDED
    """So do blobs of this size and more."""

    def takes(self, depth: int, obj: GitObject) -> bool:
        """Whether an object at that depth goes along."""
        return depth < self.depth and (obj.kind != "blob" or len(obj.body) < self.blob_bytes)


def parse_filter(text: str) -> Filter:
    """Read a filter as `git fetch --filter` takes it. Raises FetchError for one that is not served."""
    name, _, value = text.replace("blob:limit=", "blob:limit:").rpartition(":")
    if text == "blob:none":
        return Filter(blob_bytes=0)
    if name == "tree" and value.isdecimal():
        return Filter(depth=int(value))
    scale = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}.get(value[-1:].lower(), 1)
    if name == "blob:limit" and (number := value.rstrip("kmgKMG")).isdecimal():
        return Filter(blob_bytes=int(number) * scale)
    raise FetchError(f"filter '{text}' is not served; use blob:none, blob:limit=<n> or tree:<depth>")


@dataclass(frozen=True, slots=True)
class Fetch:
    """What a client asks for."""

    wants: tuple[str, ...]
    haves: frozenset[str] = frozenset()
    shallows: frozenset[str] = frozenset()
    """Commits that the client has without their parents."""
    depth: int = 0
    """How many commits of each history it wants; 0 for all."""
    keep: Filter = Filter()
    done: bool = False


class Upload:
    """A fetch from one repository."""

    def __init__(self, repository: Repository, fetch: Fetch) -> None:
        """Raise FetchError for a want that the repository has not."""
        self._fetch = fetch
        self._commits = {each.sha: each for commits in repository.branches.values() for each in commits}
        self._tips = [each for each in fetch.wants if each in self._commits]
        others = [each for each in fetch.wants if each not in self._commits]
        self._single = self._find(others) if others else []
        self.common = [each for each in fetch.haves if each in self._commits]
        """What both sides have."""
        self._reached = _reach(self._commits, self._tips, fetch.depth or _UNBOUNDED, self._stops())

    def _stops(self) -> frozenset[str]:
        return frozenset() if self._fetch.depth else self._fetch.shallows

    def shallow_info(self) -> list[str]:
        """Give the lines that say where the client's history is to end, and where it no longer does."""
        depth = self._fetch.depth
        ends = {sha for sha, far in self._reached.items() if far == depth and self._commits[sha].parent}
        grown = (self._fetch.shallows & self._reached.keys()) - ends if depth else frozenset()
        new = ends - self._fetch.shallows if depth else frozenset()
        return [*(f"shallow {sha}" for sha in sorted(new)), *(f"unshallow {sha}" for sha in sorted(grown))]

    def objects(self) -> list[GitObject]:
        """Give what the client lacks. Raises FetchError when that is too much."""
        had = _reach(self._commits, self.common, _UNBOUNDED, self._fetch.shallows)
        chosen: dict[str, GitObject] = {each.id: each for each in self._single}
        new = [self._commits[sha] for sha in self._reached if sha not in had]
        for commit in new:
            chosen[commit.sha] = commit.object
        if self._fetch.keep.depth > 0:
            known = {obj.id for sha in had for _, obj in snapshot(self._commits[sha].tree)}
            for commit in new:
                for depth, obj in snapshot(commit.tree):
                    if obj.id not in known and self._fetch.keep.takes(depth, obj):
                        chosen[obj.id] = obj
                if len(chosen) > _MAX_OBJECTS:
                    raise FetchError(f"more than {_MAX_OBJECTS} objects; fetch with --depth")
        return list(chosen.values())

    def _find(self, ids: list[str]) -> list[GitObject]:
        """Give trees and blobs that a partial clone asks for later, and what lies below those trees."""
        known = {obj.id: obj for commit in self._commits.values() for _, obj in snapshot(commit.tree)}
        found: dict[str, GitObject] = {}
        waiting = [(0, each) for each in ids]
        while waiting:
            depth, each = waiting.pop()
            obj = known.get(each)
            if obj is None:
                raise FetchError(f"upload-pack: not our ref {each}")
            # What is asked for by its id is given whatever the filter says.
            if each not in found and (depth == 0 or self._fetch.keep.takes(depth, obj)):
                found[each] = obj
                if obj.kind == "tree":
                    waiting += [(depth + 1, inner) for inner in tree_entries(obj)]
        return list(found.values())


def _reach(commits: Mapping[str, Commit], tips: Iterable[str], depth: int, stops: frozenset[str]) -> dict[str, int]:
    """Give the commits that histories reach, by how far they lie (a tip 1), at most `depth`; `stops` end them."""
    reached: dict[str, int] = {}
    for tip in tips:
        sha, far = tip, 1
        while sha and far <= depth and far < reached.get(sha, _UNBOUNDED):
            reached[sha] = far
            sha, far = ("" if sha in stops else commits[sha].parent), far + 1
    return reached
