"""`make test`: every check, then every test, with the steps' coverage; prints how long each phase took.

What starts nothing, then the streams with a broker of their own and the trials, run beside what starts other parts and
the pipeline on simulated clusters, as most of all that is waiting. Then the pipeline on the real cluster has the
machine to itself. Each lane stops at the first of its phases that fails.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

BIN = Path(sys.executable).parent
STEPS_COVERAGE_PERCENT = 95
STEPS = ("drift/*", "health/*", "governor/*", "rates/*", "levels/*", "incidents/*", "reduce.py", "rollup.py")
NOTHING_COLLECTED = 5
"""pytest's status where the options given leave a phase without tests."""


@dataclass(frozen=True)
class Phase:
    """One command of a lane."""

    title: str
    command: Sequence[str]
    is_told: bool = True
    """Whether its output is shown where it succeeds."""
    fine: Sequence[int] = (0,)
    """Statuses that are no failure."""


def check(title: str, *command: str) -> Phase:
    """A check, which is silent where all is well."""
    return Phase(title, command, is_told=False)


def trial(title: str, *options: str, under: Sequence[str] = ()) -> Phase:
    """A run of pytest, with the options that this program was given."""
    chosen = ["pytest", "-q", "-p", "no:cacheprovider", "--durations=10", *options, *sys.argv[1:]]
    command = [*under, "-m", *chosen] if under else chosen
    return Phase(title, command, fine=(0, NOTHING_COLLECTED) if sys.argv[1:] else (0,))


E2E, STREAMS, CAPS = "tests/e2e", "tests/streams", "tests/e2e/test_caps.py"
TRIALS = tuple(f"{E2E}/test_{name}.py" for name in ("edge", "hub", "outage"))
"""What has all of its parts to itself, none of which is Flux."""
APART = tuple(f"--ignore={file}" for file in (CAPS, *TRIALS))
ON_SIMULATED = "simulated"
"""In the ids of all tests of the pipeline on simulated clusters."""
LANES = (
    (
        check("lint", "ruff", "check", "--quiet", "."),
        check("format", "ruff", "format", "--check", "--quiet", "."),
        check("types", "mypy"),
        check("import contracts", "lint-imports", "--no-logo"),
        trial("units", "-m", "not parts and not soak", f"--ignore={STREAMS}"),
        # Coverage doubles a test's time: only what shall be covered runs under it, and only that is followed.
        trial("steps", STREAMS, "-m", "not parts and not soak", under=("coverage", "run", "--source=streams")),
        check(
            "steps' coverage",
            "coverage",
            "report",
            f"--include={','.join(f'streams/{step}' for step in STEPS)}",
            f"--fail-under={STEPS_COVERAGE_PERCENT}",
        ),
        trial("streams", STREAMS, "-m", "parts and not soak"),
        trial("trials", *TRIALS, "-m", "not soak"),
        trial("caps", CAPS, "-m", "not soak"),
    ),
    (
        trial("parts", "-m", "parts and not soak", f"--ignore={E2E}", f"--ignore={STREAMS}"),
        trial("simulated", E2E, "-m", "not soak", "-k", ON_SIMULATED, *APART),
    ),
)
PIPELINE = trial("pipeline", E2E, "-m", "not soak", "-k", f"not {ON_SIMULATED}", *APART)


class Report:
    """What is printed: whole phases, one after another, whichever lane they are of."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: list[str] = []

    def tell(self, phase: Phase, seconds: float, status: int, output: str) -> None:
        """Print a phase's end, and its output where it is wanted."""
        good = status in phase.fine
        line = f"{phase.title:18} {'ok' if good else 'FAILED'}  {seconds:.1f} s"
        with self._lock:
            self._lines.append(line)
            if output and (phase.is_told or not good):
                say(f"\n--- {phase.title}\n{output.rstrip()}")
            say(line)

    def close(self) -> None:
        """Print all phases again, together."""
        say("\n" + "\n".join(self._lines))


def say(line: str) -> None:
    """Print a line at once, so that long work shows where it is."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def run(phases: Sequence[Phase], report: Report, *, is_shown_live: bool = False) -> bool:
    """Run phases in turn, and return whether all went well."""
    for phase in phases:
        begun = time.monotonic()
        where = None if is_shown_live else subprocess.PIPE
        done = subprocess.run(
            [BIN / phase.command[0], *phase.command[1:]],
            check=False,
            stdout=where,
            stderr=None if is_shown_live else subprocess.STDOUT,
            text=True,
        )
        report.tell(phase, time.monotonic() - begun, done.returncode, done.stdout or "")
        if done.returncode not in phase.fine:
            return False
    return True


def main() -> None:
    """Install and build the real parts where they are missing, check, test."""
    if subprocess.run([sys.executable, "-m", "tests.parts", "setup"], check=False).returncode:
        sys.exit("the real parts that the tests start could not be prepared; see above")
    report = Report()
    with ThreadPoolExecutor(len(LANES)) as lanes:
        good = list(lanes.map(lambda phases: run(phases, report), LANES))
    good.append(run((PIPELINE,), report, is_shown_live=True))
    report.close()
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
