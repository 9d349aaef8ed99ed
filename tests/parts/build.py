"""Builds Kubernetes' and Flux's programs from their Go modules, as the wrapper modules under `go/` lock them."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.parts import programs, store
from tests.parts.versions import GO_MINIMUM, GO_PARTS, GoPart

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PROGRESS_EVERY_SECONDS = 15
LOG_TAIL_BYTES = 4000
# `-mod=readonly` makes go.sum a lock: a module that is not in it, or differs, is an error rather than an update.
GO_ENVIRONMENT: Mapping[str, str] = {
    "CGO_ENABLED": "0",
    "GOFLAGS": "-mod=readonly -buildvcs=false",
    "GOTOOLCHAIN": "local",
    "GOWORK": "off",
}


class BuildError(RuntimeError):
    """A part could not be built; the text carries the end of Go's output."""


def folder(part: GoPart) -> Path:
    """Where the programs of `part` are kept, built or not. CRDs, where there are any, lie in `crds/` there."""
    return store.root() / f"{part.name}-{part.version}"


def is_built(part: GoPart) -> bool:
    """Whether `part` is in the store, from this very recipe."""
    return store.is_current(folder(part), recipe(part))


def recipe(part: GoPart) -> str:
    """A digest of all that decides what `part` becomes, the Go toolchain left out: SHA-256 in hex."""
    digest = hashlib.sha256()
    for text in (*_build_arguments(part, Path("-")), *(f"{k}={v}" for k, v in GO_ENVIRONMENT.items())):
        digest.update(text.encode() + b"\0")
    for file in (part.wrapper / "go.mod", part.wrapper / "go.sum", *sorted(part.wrapper.glob("*.go"))):
        digest.update(file.read_bytes() + b"\0")
    return digest.hexdigest()


def ensure(part: GoPart, say: Callable[[str], None]) -> Path:
    """Return the folder with the programs of `part`, built now if it must be.

    Raises `BuildError`, or `MissingProgramError` where Go is missing or too old.
    """
    return store.install(folder(part), recipe(part), lambda into: _build(part, into, say), say)


def ensure_all(say: Callable[[str], None]) -> None:
    """Build every part that is not in the store. Raises as `ensure` does."""
    for part in GO_PARTS:
        ensure(part, say)


def _build(part: GoPart, into: Path, say: Callable[[str], None]) -> None:
    go = _go()
    with tempfile.TemporaryDirectory(prefix="abdrift-build-") as scratch:
        wrapper = Path(shutil.copytree(part.wrapper, Path(scratch) / part.name))
        say(
            f"building {part.name} {part.version}; nothing cached, that takes ~{part.cold_build_minutes} min on 2 cores"
        )
        started = time.monotonic()
        with (Path(scratch) / "log").open("wb+") as log:
            process = subprocess.Popen(
                [str(go), *_build_arguments(part, into)],
                cwd=wrapper,
                env={**os.environ, **GO_ENVIRONMENT},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            _wait(process, f"building {part.name}", say)
            if process.returncode:
                log.seek(max(0, log.tell() - LOG_TAIL_BYTES))
                raise BuildError(f"{part.name} {part.version} did not build:\n{log.read().decode(errors='replace')}")
        if part.has_crds:
            _copy_crds(go, part, wrapper, into / "crds")
        say(f"built {part.name} {part.version} in {time.monotonic() - started:.0f} s")


def _build_arguments(part: GoPart, into: Path) -> list[str]:
    # The same flags give the same entries of Go's build cache wherever this runs; -trimpath keeps paths out of them.
    linker = f"-s -w -X {part.version_symbol}={part.version}"
    tags = ["-tags", part.tags] if part.tags else []
    return ["build", "-trimpath", *tags, "-ldflags", linker, "-o", f"{into}/", *part.packages]


def _wait(process: subprocess.Popen[bytes], what: str, say: Callable[[str], None]) -> None:
    started = time.monotonic()
    try:
        while True:
            try:
                process.wait(timeout=PROGRESS_EVERY_SECONDS)
            except subprocess.TimeoutExpired:
                say(f"{what}: {time.monotonic() - started:.0f} s")
            else:
                return
    finally:
        if process.poll() is None:  # interrupted: Go's own children end with it
            process.terminate()
            process.wait()


def _copy_crds(go: Path, part: GoPart, wrapper: Path, into: Path) -> None:
    answer = subprocess.run(
        [str(go), "mod", "download", "-json", f"{part.module}@{part.version}"],
        cwd=wrapper,
        env={**os.environ, **GO_ENVIRONMENT},
        check=True,
        capture_output=True,
    )
    source = Path(json.loads(answer.stdout)["Dir"]) / "config" / "crd" / "bases"
    into.mkdir()
    for crd in sorted(source.glob("*.yaml")):
        (into / crd.name).write_bytes(crd.read_bytes())  # not copied as a file: the module cache is read-only


def _go() -> Path:
    go = programs.find("go")
    version = subprocess.run(
        [str(go), "env", "GOVERSION"], env={**os.environ, **GO_ENVIRONMENT}, check=True, capture_output=True, text=True
    ).stdout
    found = re.match(r"go(\d+)\.(\d+)", version)
    if found is None or (int(found[1]), int(found[2])) < GO_MINIMUM:
        least = ".".join(map(str, GO_MINIMUM))
        raise programs.MissingProgramError(
            f"{go} is {version.strip()}; {least} or newer is needed (https://go.dev/dl/)"
        )
    return go
