"""Git as Flux sees it: repositories shared by clusters, branches, commits, and what they hold.

No packs and no protocol (`git_http` speaks it): a repository answers what its head is and what lies under a path at a
commit. Commits are real ones: their ids are those that `git` computes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from abdrift.simulation import git_objects
from abdrift.simulation.git_objects import GitObject, Tree
from abdrift.simulation.objects import Object


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit."""

    object: GitObject
    parent: str
    """Id of the commit before it, empty for the first."""
    author: str
    message: str
    time_ns: int
    tree: Tree

    @property
    def sha(self) -> str:
        """Give its id."""
        return self.object.id

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
        # Named, since repositories with the same files would otherwise begin with the same commit.
        self.commit(url, tree, message=f"initial\n\nThe first commit of {urlsplit(url).path}.", author=author)
        return repository

    def branch(self, url: str, name: str, of: str = "main") -> None:
        """Begin a branch at the head of another. Raises KeyError for an unknown repository or branch."""
        branches = self.repositories[url].branches
        branches[name] = list(branches[of])

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
        _, root = git_objects.snapshot(files)[0]
        commit = Commit(
            git_objects.commit(root.id, parent, author, time_ns, message), parent, author, message, time_ns, files
        )
        commits.append(commit)
        return commit
