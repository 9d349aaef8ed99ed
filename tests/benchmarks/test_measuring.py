"""Rates come from what follows the warm-up; a program that ends early or says nothing is told of."""

import sys
import time

import pytest

from benchmarks.measuring import Measured, PinnedProgram, RunError, Sample, cores, measured


@pytest.mark.parametrize(
    ("samples", "rows_per_second", "cpu_seconds_per_million_rows"),
    [
        pytest.param([(0, 0, 5), (1, 100, 6), (5, 250, 9), (6, 1_000, 10)], 750.0, 1 / 750 * 1e6, id="warm-up"),
        pytest.param([(0, 10, 1), (2, 1_000, 2)], 495.0, 1 / 990 * 1e6, id="short"),
        pytest.param([(0, 250, 1), (1, 500, 1.5), (2, 1_000, 2)], 375.0, 1 / 750 * 1e6, id="already-warm"),
    ],
)
def test_measured(
    samples: list[tuple[float, int, float]], rows_per_second: float, cpu_seconds_per_million_rows: float
) -> None:
    found = measured([Sample(*one) for one in samples], 7)
    assert found == Measured(1_000, rows_per_second, pytest.approx(cpu_seconds_per_million_rows), 7)


def test_what_others_took_of_the_core_is_left_out() -> None:
    found = measured([Sample(0, 0, 0, 1.0), Sample(4, 1_000, 2, 3.0)], 0)
    assert (found.rows_per_second, found.foreign_share) == (500.0, 0.5)


@pytest.mark.parametrize("samples", [[], [Sample(1, 5, 1)]], ids=["none", "one"])
def test_a_run_of_one_sample_is_too_short(samples: list[Sample]) -> None:
    with pytest.raises(RunError, match="too short"):
        measured(samples, 0)


def program(code: str) -> PinnedProgram:
    return PinnedProgram([sys.executable, "-u", "-c", code], cores()[0])


def test_a_program_is_pinned_sampled_and_gone_afterwards() -> None:
    code = """
import os, time
print(len(os.sched_getaffinity(0)))
for rows in (100, 400, 1000):
    begun = time.process_time()
    while time.process_time() < begun + 0.03: pass
    print('{"rows":%d}' % rows)
print('{"done":true}')
time.sleep(60)
"""
    with program(code) as running:
        found = running.follow(20)
        assert running.told("").splitlines()[-1] == "1"
    assert found.rows == 1_000
    assert found.memory_bytes > 1 << 20
    assert running.process.popen.poll() is not None


@pytest.mark.parametrize(
    ("code", "said"),
    [
        pytest.param("raise SystemExit('no such topic')", r"ended early .*\nno such topic", id="ends"),
        pytest.param("import time; time.sleep(60)", r"not done in 0.5 s", id="hangs"),
    ],
)
def test_a_failing_program_is_told_of(code: str, said: str) -> None:
    with program(code) as running, pytest.raises(RunError, match=said):
        running.follow(5 if "raise" in code else 0.5)


def test_a_program_that_does_not_stop_is_killed() -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('x'); time.sleep(60)"
    with program(code) as running:
        begun = time.monotonic()
        running.stop(0.3)
        assert running.process.popen.poll() is not None
        assert time.monotonic() - begun < 30
