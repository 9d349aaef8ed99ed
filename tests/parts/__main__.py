"""`python -m tests.parts`: install, build and clean the real parts, or run a cluster of them by hand."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

from tests.parts import build, elasticsearch, programs, store
from tests.parts.cluster import Cluster
from tests.parts.versions import ELASTICSEARCH_VERSION, GO_PARTS


def say(line: str) -> None:
    sys.stderr.write(f"parts: {line}\n")


def answer(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.parts", description=__doc__)
    commands = parser.add_subparsers(required=True)
    for name, run, text in (
        ("setup", _setup, "install the Debian packages that are missing (as root) and build what is not built"),
        ("list", _list, "show each part, its version and whether it is built"),
        ("up", _up, "run a cluster until Ctrl-C and print its kubeconfigs"),
        ("clean", _clean, "delete every built part"),
    ):
        commands.add_parser(name, help=text).set_defaults(run=run)
    try:
        parser.parse_args().run()
    except (programs.MissingProgramError, build.BuildError) as error:
        say(str(error))
        return 1
    return 0


def _setup() -> None:
    started = time.monotonic()
    programs.install_missing(say)
    build.ensure_all(say)
    elasticsearch.ensure(say)
    say(f"all parts are ready in {store.root()} ({time.monotonic() - started:.0f} s)")


def _list() -> None:
    for part in GO_PARTS:
        answer(f"{part.name}\t{part.version}\t{build.folder(part) if build.is_built(part) else 'not built'}")
    answer(
        f"elasticsearch\t{ELASTICSEARCH_VERSION}\t{elasticsearch.folder() if elasticsearch.is_built() else 'not built'}"
    )
    for package in programs.missing():
        answer(f"{package}\tDebian\tnot installed")


def _up() -> None:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with tempfile.TemporaryDirectory(prefix="abdrift-cluster-") as folder, Cluster(Path(folder), say) as cluster:
        for user in ("admin", "alice"):
            answer(f"export KUBECONFIG={cluster.kubeconfig(user)}")
        answer(f"git clone {cluster.fleet.url}")
        stop.wait()


def _clean() -> None:
    for part in GO_PARTS:
        shutil.rmtree(build.folder(part), ignore_errors=True)
    shutil.rmtree(elasticsearch.folder(), ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
