"""`make test`: every check, then every test, with the steps' coverage; stops at the first that fails.

The last lines are pytest's own, so that whoever reads a log finds the count where they expect it.
"""

import os
import subprocess
import sys
import time

BIN = os.path.dirname(sys.executable)
STEPS_COVERAGE_PERCENT = 95
STEPS = ("streams/drift/*", "streams/health/*", "streams/governor/*", "streams/reduce.py", "streams/rollup.py")

CHECKS: tuple[tuple[str, list[str]], ...] = (
    ("lint", ["ruff", "check", "--quiet", "."]),
    ("format", ["ruff", "format", "--check", "--quiet", "."]),
    ("types", ["mypy"]),
    ("import contracts", ["lint-imports", "--no-logo"]),
)


def run(title: str, command: list[str]) -> None:
    """Run one check; end everything with its output where it fails."""
    begun = time.monotonic()
    done = subprocess.run([os.path.join(BIN, command[0]), *command[1:]], check=False, capture_output=True, text=True)
    print(f"{title:18} {'ok' if done.returncode == 0 else 'FAILED'}  {time.monotonic() - begun:.1f} s", flush=True)
    if done.returncode:
        sys.exit(f"{done.stdout}{done.stderr}")


def main() -> None:
    """Check, build the real parts where they are missing, test."""
    for title, command in CHECKS:
        run(title, command)
    if subprocess.run([sys.executable, "-m", "tests.parts", "setup"], check=False).returncode:
        sys.exit("the real parts that the tests start could not be prepared; see above")
    pytest = [os.path.join(BIN, "coverage"), "run", "-m", "pytest", "-m", "not soak", *sys.argv[1:]]
    tested = subprocess.run(pytest, check=False).returncode
    if tested:
        sys.exit(tested)
    report = ["coverage", "report", f"--include={','.join(STEPS)}", f"--fail-under={STEPS_COVERAGE_PERCENT}"]
    run("steps' coverage", report)


if __name__ == "__main__":
    main()
