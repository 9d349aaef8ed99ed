"""Git as Flux sees it: repositories shared by clusters, branches, commits, and what they hold.

No packs and no protocol: a repository answers what its head is and what lies under a path at a commit.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from abdrift.simulation.objects import Object, digest

Tree = Mapping[str, tuple[Object, ...]]
"""Manifests by file path. A chart is a folder with a `Chart.yaml`, whose manifests are templates."""


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit."""

    sha: str
    author: str
    message: str
    time_ns: int
    tree: Tree

    def under(self, path: str) -> list[Object]:
        """Give the manifests below a folder, in the order of their files."""
        prefix = path.removeprefix("./").rstrip("/") + "/"
        prefix = "" if prefix == "/" else prefix
        return [each for name in sorted(self.tree) if name.startswith(prefix) for each in self.tree[name]]


@dataclass(slots=True)
class Repository:
    """One repository and its branches."""

    url: str
    branches: dict[str, list[Commit]] = field(default_factory=dict)
    unreachable: bool = False
    """Fetching fails, as when the server is down."""

    def head(self, branch: str = "main") -> Commit:
        """Give the newest commit. Raises KeyError for a branch that does not exist."""
        return self.branches[branch][-1]

    def find(self, sha: str) -> Commit:
        """Give the commit of that id. Raises KeyError."""
        for commits in self.branches.values():
            for commit in reversed(commits):
                if commit.sha == sha:
                    return commit
        raise KeyError(f"{self.url}: no commit {sha}")


class SimGit:
    """The Git server of a fleet."""

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self.repositories: dict[str, Repository] = {}

    def create(self, url: str, tree: Tree, *, author: str = "alice <alice@lab>") -> Repository:
        """Give a repository with one commit, `initial`, on `main`."""
        repository = self.repositories[url] = Repository(url)
        self.commit(url, tree, message="initial", author=author)
        return repository

    def commit(
        self,
        url: str,
        changes: Mapping[str, tuple[Object, ...] | None],
        *,
        message: str,
        author: str = "alice <alice@lab>",
        branch: str = "main",
    ) -> Commit:
        """Change files (None removes one) and push. Raises KeyError for an unknown repository."""
        commits = self.repositories[url].branches.setdefault(branch, [])
        files = dict(commits[-1].tree) if commits else {}
        for path, manifests in changes.items():
            if manifests is None:
                files.pop(path, None)
            else:
                files[path] = manifests
        parent = commits[-1].sha if commits else ""
        time_ns = self._now_ns()
        seed = f"{parent}\n{author}\n{time_ns}\n{message}\n{digest(files) if len(commits) else url}"
        commit = Commit(hashlib.sha1(seed.encode()).hexdigest(), author, message, time_ns, files)  # noqa: S324  Git's own
        commits.append(commit)
        return commit
