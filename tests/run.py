"""`make test`: every check, then every test, with the steps' coverage; stops at the first that fails.

The last lines are pytest's own, so that whoever reads a log finds the count where they expect it.
"""

import subprocess
import sys
import time
from pathlib import Path

BIN = Path(sys.executable).parent
STEPS_COVERAGE_PERCENT = 95
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


def main() -> None:
    """Check, install and build the real parts where they are missing, test."""
    for title, command in CHECKS.items():
        check(title, command)
    if subprocess.run([sys.executable, "-m", "tests.parts", "setup"], check=False).returncode:
        sys.exit("the real parts that the tests start could not be prepared; see above")
    pytest = [BIN / "coverage", "run", "-m", "pytest", "-q", "-m", "not soak", "--durations=15", *sys.argv[1:]]
    tested = subprocess.run(pytest, check=False).returncode
    if tested:
        sys.exit(tested)
    check(
        "steps' coverage",
        ["coverage", "report", f"--include={STEPS}", f"--fail-under={STEPS_COVERAGE_PERCENT}"],
    )


if __name__ == "__main__":
    main()
