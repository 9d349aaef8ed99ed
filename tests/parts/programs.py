"""Programs that come from the system: found, or asked for with the command that installs them."""

from __future__ import annotations

import os
import shutil
import subprocess
import textwrap
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.parts.versions import DEBIAN_FILES, DEBIAN_PACKAGES, SERVICES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

POLICY = Path("/usr/sbin/policy-rc.d")


class MissingProgramError(RuntimeError):
    """A program that the real parts need is not on the PATH; the text says how to get it."""


def find(program: str) -> Path:
    """Return the path of `program`.

    Raises `MissingProgramError`.
    """
    # Debian keeps /usr/sbin off an ordinary user's PATH, and Go installs itself beside it.
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/go/bin", "/usr/sbin"])
    if found := shutil.which(program, path=path):
        return Path(found)
    raise MissingProgramError(f"{program} is not installed. {_advice(program)}")


def missing() -> list[str]:
    """The Debian packages whose programs are not here."""
    absent = [package for program, package in DEBIAN_PACKAGES.items() if not _is_here(program)]
    return absent + [package for file, package in DEBIAN_FILES.items() if not any(Path("/").glob(file))]


def install_missing(say: Callable[[str], None]) -> None:
    """Install the Debian packages that are missing. Starts no service, now or at boot.

    Raises `MissingProgramError` where that takes rights or a package manager that aren't here.
    """
    packages = missing()
    if not packages:
        return
    if not may_install():
        raise MissingProgramError(f"missing: {', '.join(packages)}. As root: {_apt_command(packages)}")
    say(f"installing {', '.join(packages)}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with _services_held():
        _run(["apt-get", "update", "-qq"], environment)
        _run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages], environment)
    if shutil.which("systemctl"):
        # These packages enable a service for the next boot; this machine asked for the program only.
        for package in SERVICES.keys() & set(packages):
            subprocess.run(["systemctl", "disable", SERVICES[package]], check=False, capture_output=True)


def require(say: Callable[[str], None]) -> None:
    """Return once every program is here. In CI, where nobody minds, what is missing is installed.

    Raises `MissingProgramError`.
    """
    if os.environ.get("CI") == "true":
        install_missing(say)
    elif packages := missing():
        raise MissingProgramError(f"missing: {', '.join(packages)}. As root: {_apt_command(packages)}")


def may_install() -> bool:
    """Whether this process could install Debian packages."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def _is_here(program: str) -> bool:
    try:
        find(program)
    except MissingProgramError:
        return False
    return True


def _advice(program: str) -> str:
    if program == "go":
        return "Install Go 1.26 or newer from https://go.dev/dl/ and put its bin folder on the PATH."
    package = DEBIAN_PACKAGES.get(program, program)
    return f"On Debian or Ubuntu, as root: {_apt_command([package])} (`python -m tests.parts setup` does that)."


def _apt_command(packages: list[str]) -> str:
    return f"apt-get update && apt-get install -y --no-install-recommends {' '.join(packages)}"


def _run(argv: list[str], environment: dict[str, str]) -> None:
    result = subprocess.run(argv, env=environment, check=False, capture_output=True, text=True)
    if result.returncode:
        output = textwrap.indent((result.stdout + result.stderr)[-2000:], "  ")
        raise MissingProgramError(f"`{' '.join(argv)}` failed with code {result.returncode}:\n{output}")


@contextmanager
def _services_held() -> Iterator[None]:
    """Forbid package scripts to start services, by the switch that Debian's policy gives for it."""
    if POLICY.exists():
        yield  # somebody has decided already, as container images do
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()
