"""Real Git: bare repositories served over smart HTTP by `git http-backend`, and a clone to commit from."""

from __future__ import annotations

import gzip
import os
import subprocess
import threading
from collections import deque
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from tests.parts import programs
from tests.parts.loopback import HOST

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

BRANCH = "main"
REQUESTS_KEPT = 10_000
# No setting of this machine or its user may change what a test's Git does.
HERMETIC = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_TERMINAL_PROMPT": "0"}


@dataclass(frozen=True)
class GitRequest:
    """One request that the server got: method and path, the query included."""

    method: str
    path: str


class GitServer:
    """Serves the repositories under `folder`, to read and to push. Its threads live in this process."""

    def __init__(self, folder: Path, port: int) -> None:
        self._folder = folder
        (folder / "bare").mkdir(parents=True)
        self._port = port
        self.requests: deque[GitRequest] = deque(maxlen=REQUESTS_KEPT)
        self._server: ThreadingHTTPServer | None = None

    def start(self) -> None:
        """Begin to serve. Does nothing if it does already."""
        if self._server is not None:
            return
        handler = type("Handler", (_BackendHandler,), {"root": self._folder / "bare", "requests": self.requests})
        self._server = ThreadingHTTPServer((HOST, self._port), handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, name="git-http", daemon=True).start()

    def stop(self) -> None:
        """Refuse connections from now on; the repositories stay, and can be committed to."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def create(self, name: str) -> GitRepo:
        """Create an empty repository and return it. Raises `FileExistsError`."""
        bare, clone = self._folder / "bare" / f"{name}.git", self._folder / "clones" / name
        if bare.exists():
            raise FileExistsError(f"there is a repository {name!r} already")
        _git(["init", "-q", "--bare", "-b", BRANCH, str(bare)])
        _git(["config", "http.receivepack", "true"], bare)  # without it a push needs a login
        _git(["init", "-q", "-b", BRANCH, str(clone)])
        _git(["remote", "add", "origin", str(bare)], clone)
        return GitRepo(f"http://{HOST}:{self._port}/{name}.git", clone)


class GitRepo:
    """One repository: `url` is where Flux reads it; commits go straight to the bare one, server or no server."""

    def __init__(self, url: str, clone: Path) -> None:
        self.url = url
        self.clone = clone

    def commit(self, files: Mapping[str, str | None], message: str, author: str = "alice") -> str:
        """Write `files` (path to text; None deletes), commit and push them, and return the commit's id (SHA-1)."""
        for path, text in files.items():
            file = self.clone / path
            if text is None:
                file.unlink()
            else:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
        _git(["add", "-A"], self.clone)
        identity = {
            f"GIT_{role}_{key}": value
            for role in ("AUTHOR", "COMMITTER")
            for key, value in (("NAME", author), ("EMAIL", f"{author}@example.com"))
        }
        _git(["commit", "-q", "--allow-empty", "-m", message], self.clone, identity)
        _git(["push", "-q", "--force", "origin", BRANCH], self.clone)
        return self.head()

    def read(self, path: str) -> str:
        """Return a file's text as committed last."""
        return (self.clone / path).read_text()

    def head(self) -> str:
        """Return the id of the branch's last commit."""
        return _git(["rev-parse", "HEAD"], self.clone).strip()

    @property
    def revision(self) -> str:
        """The last commit as Flux names it."""
        return f"{BRANCH}@sha1:{self.head()}"


def _git(arguments: list[str], folder: Path | None = None, environment: Mapping[str, str] | None = None) -> str:
    result = subprocess.run(
        [str(programs.find("git")), *arguments],
        cwd=folder,
        env={**os.environ, **HERMETIC, **(environment or {})},
        check=False,
        capture_output=True,
        text=True,
    )
    if result.returncode:
        raise RuntimeError(f"git {' '.join(arguments)} failed: {result.stderr.strip()}")
    return result.stdout


class _BackendHandler(BaseHTTPRequestHandler):
    """Passes each request to `git http-backend`, as a web server does by CGI."""

    root: Path
    requests: deque[GitRequest]

    def do_GET(self) -> None:
        self._serve(b"")

    def do_POST(self) -> None:
        chunked = self.headers.get("Transfer-Encoding", "").lower() == "chunked"
        body = self._chunks() if chunked else self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self._serve(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
        """Keep silent; `requests` is the log."""

    def _serve(self, body: bytes) -> None:
        self.requests.append(GitRequest(self.command, self.path))
        path, _, query = self.path.partition("?")
        environment = {
            **os.environ,
            **HERMETIC,
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "REMOTE_ADDR": HOST,
        }
        backend = [str(programs.find("git")), "http-backend"]
        answer = subprocess.run(backend, input=body, env=environment, check=False, capture_output=True).stdout
        head, _, content = answer.partition(b"\r\n\r\n")
        headers = [line.split(": ", 1) for line in head.decode().split("\r\n")]
        status = next((int(value.split()[0]) for name, value in headers if name == "Status"), 200)
        self.send_response(status)
        for name, value in headers:
            if name != "Status":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _chunks(self) -> bytes:
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body
