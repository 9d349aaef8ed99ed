"""Steps as a process: started together, stopped in order, ended where Faust would stand still."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable, Sequence
from typing import Any, Final

from streams.engine import StepWorker, quiet_faust
from streams.preparation import EngineError, prepare
from streams.settings import EngineSettings, Surroundings
from streams.step import AnyStep
from streams.telemetry import Metrics, event

__all__ = ["EngineError", "run", "run_process"]

_LEAVE_SECONDS: Final = 1.0


async def run(
    steps: Sequence[AnyStep],
    settings: EngineSettings,
    *,
    stop: asyncio.Event | None = None,
    around: Surroundings | None = None,
    metrics: Metrics | None = None,
    on_ready: Callable[[], None] = lambda: None,
) -> None:
    """Run steps in this event loop until `stop` is set, or until one of them cannot go on.

    Args:
        steps: Each becomes a Faust app with a consumer group of its own.
        settings: How.
        stop: Ends the run in order. None: SIGTERM and SIGINT do.
        around: Clocks and the like; for tests.
        metrics: Where to count. None: the process's default registry.
        on_ready: Told once every step has joined its group and recovered what it was assigned.

    Raises:
        EngineError: it could not start, or a step had to stop. What was absorbed until then is kept.
        kafka.KafkaUnreachableError: no broker lets this client in.

    """
    quiet_faust()
    counts = await prepare(steps, settings)
    metrics, around, turn = metrics or Metrics(), around or Surroundings(), asyncio.Lock()
    workers = [StepWorker(step, settings, counts, around, metrics, turn) for step in steps]
    ended = stop or asyncio.Event()
    with contextlib.ExitStack() as stack:
        if stop is None:
            stack.enter_context(_signals_set(ended))
        starts = [asyncio.create_task(worker.start()) for worker in workers]
        try:
            await _until_ended(workers, starts, ended, on_ready)
        finally:
            await _stop_all(workers, starts, settings.stop_timeout_seconds)


def run_process(steps: Sequence[AnyStep], settings: EngineSettings, **options: Any) -> None:
    """`run`, with its options, in an event loop of its own, and end whatever Faust leaves over.

    Some of Faust's tasks take no cancellation while a broker does not answer. `asyncio.run` would wait for them, so
    that a worker that had to stop would stand still instead, and nobody would start it again.

    Raises:
        EngineError, kafka.KafkaUnreachableError: as `run` does.

    """
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(run(steps, settings, **options))
    finally:
        if stuck := loop.run_until_complete(_leave()):
            event(logging.WARNING, "tasks-stuck", count=stuck)
            # They go with the process, which need not be told of each.
            loop.set_exception_handler(lambda *_: None)
        else:
            loop.close()


async def _leave() -> int:
    """Cancel what is left, and return how much of it does not end."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    return len((await asyncio.wait(left, timeout=_LEAVE_SECONDS))[1]) if left else 0


async def _until_ended(
    workers: Sequence[StepWorker],
    starts: Sequence[asyncio.Task[None]],
    ended: asyncio.Event,
    on_ready: Callable[[], None],
) -> None:
    """Return when asked to end; raise when a worker fails or Faust gives one up."""
    asked = asyncio.create_task(ended.wait())
    crashed = [asyncio.create_task(worker.crashed()) for worker in workers]
    watched: set[asyncio.Future[Any]] = {asked, *crashed, *(worker.failed for worker in workers), *starts}
    try:
        while not asked.done():
            done, _ = await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
            for one in done - {asked}:
                if error := one.exception():
                    raise EngineError(f"{type(error).__name__}: {error}") from error
            watched -= done
            if not watched.intersection(starts) and done.intersection(starts):
                on_ready()
    finally:
        for task in (asked, *crashed):
            task.cancel()


async def _stop_all(
    workers: Sequence[StepWorker], starts: Sequence[asyncio.Task[None]], timeout_seconds: float
) -> None:
    for start in starts:
        start.cancel()
    stops = [asyncio.create_task(worker.stop()) for worker in workers]
    _, late = await asyncio.wait(stops, timeout=timeout_seconds)
    for task in late:
        task.cancel()
    for worker in workers:
        worker.failed.cancel()
    event(logging.INFO, "stopped", steps=",".join(worker.step.name for worker in workers), cut_off=len(late))


@contextlib.contextmanager
def _signals_set(ended: asyncio.Event) -> Any:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
