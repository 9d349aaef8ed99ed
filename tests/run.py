"""`make test`: every check, then every test, with the steps' coverage; stops at the first that fails.

A few end-to-end tests that fail are tried once more by themselves, and named: what fails twice has failed.
"""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

BIN = Path(sys.executable).parent
STEPS_COVERAGE_PERCENT = 95
MOST_TRIED_AGAIN = 5
STEPS = "streams/drift/*,streams/health/*,streams/governor/*,streams/reduce.py,streams/rollup.py"
CHECKS = {
    "lint": ["ruff", "check", "--quiet", "."],
    "format": ["ruff", "format", "--check", "--quiet", "."],
    "types": ["mypy"],
    "import contracts": ["lint-imports", "--no-logo"],
}


def say(line: str) -> None:
    """Print a line at once, so that long work shows where it is."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def check(title: str, command: list[str]) -> None:
    """Run one check; end everything with its output where it fails."""
    begun = time.monotonic()
    done = subprocess.run([BIN / command[0], *command[1:]], check=False, capture_output=True, text=True)
    say(f"{title:18} {'ok' if done.returncode == 0 else 'FAILED'}  {time.monotonic() - begun:.1f} s")
    if done.returncode:
        sys.exit(f"{done.stdout}{done.stderr}")


def tested(*options: str) -> int:
    """Run pytest under coverage and return its status."""
    return subprocess.run([BIN / "coverage", "run", "-a", "-m", "pytest", "-q", *options], check=False).returncode


def failed() -> list[str]:
    """Return the tests that the last run saw fail."""
    known = Path(".pytest_cache/v/cache/lastfailed")
    return sorted(json.loads(known.read_text())) if known.exists() else []


def main() -> None:
    """Check, install and build the real parts where they are missing, test."""
    for title, command in CHECKS.items():
        check(title, command)
    if subprocess.run([sys.executable, "-m", "tests.parts", "setup"], check=False).returncode:
        sys.exit("the real parts that the tests start could not be prepared; see above")
    shutil.rmtree(".pytest_cache/v/cache", ignore_errors=True)
    Path(".coverage").unlink(missing_ok=True)
    status = tested("-m", "not soak", "--durations=15", *sys.argv[1:])
    again = failed()
    if status == 1 and 0 < len(again) <= MOST_TRIED_AGAIN and all(name.startswith("tests/e2e/") for name in again):
        # Real parts on a machine that others use too can be late. What fails twice, the second time alone, has failed.
        say(f"tried once more, alone: {', '.join(again)}")
        status = tested("--last-failed", "-m", "not soak")
    if status:
        sys.exit(status)
    check(
        "steps' coverage",
        ["coverage", "report", f"--include={STEPS}", f"--fail-under={STEPS_COVERAGE_PERCENT}"],
    )


if __name__ == "__main__":
    main()
