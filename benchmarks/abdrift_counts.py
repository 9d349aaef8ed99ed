"""What Abdrift counted, read back from its changelog: what a worker that took over would begin with."""

from collections.abc import Iterable
from pathlib import Path

from abdrift import kafka
from abdrift.kafka import KafkaSettings
from benchmarks.measuring import RunError
from benchmarks.oracle import TOTALS_FILE, WARNINGS_FILE
from streams.commit import recover
from streams.preparation import changelog_topic
from streams.rates import RatesStep, read
from streams.rates.state import State


async def leave(settings: KafkaSettings, folder: Path) -> None:
    """Write the counts that the step's changelog holds, as `benchmarks.oracle` reads them.

    Raises:
        RunError: the rows were of more than a state remembers, so what it counted is not all.

    """
    tables = await _tables(settings)
    with folder.joinpath(TOTALS_FILE).open("w") as totals, folder.joinpath(WARNINGS_FILE).open("w") as warnings:
        for partition, table in tables.items():
            state = read.opened(recover(table.items()).cells, partition, len(tables))
            refuse_what_is_not_all(state)
            totals.writelines(_lines((cluster, name, events) for cluster, name, events, _ in read.totals(state)))
            warnings.writelines(_lines(read.warnings(state)))


def refuse_what_is_not_all(state: State) -> None:
    """Say so where a state's bounds were reached.

    Raises:
        RunError: they were.

    """
    if full := {reason: count for reason, count in state.counters.items() if reason.endswith("-full")}:
        told = ", ".join(f"{reason}: {count:,}" for reason, count in full.items())
        raise RunError(
            "the rows were of more than a partition's state remembers, which refused and counted the rest "
            f"({told} Events); take fewer rows (--rows, --seconds)"
        )


def _lines(rows: Iterable[tuple[str | int, ...]]) -> Iterable[str]:
    return ("\t".join(map(str, row)) + "\n" for row in rows)


async def _tables(settings: KafkaSettings) -> dict[int, dict[bytes, bytes]]:
    """Return each partition's newest value by key. One worker wrote all of them, so none is a superseded owner's."""
    where = await kafka.partitions(settings, changelog_topic(RatesStep.name))
    tables: dict[int, dict[bytes, bytes]] = {at.partition: {} for at in where}
    async with kafka.consumer(settings) as consumer:
        consumer.assign(where)
        for at, end in (await consumer.end_offsets(where)).items():
            while await consumer.position(at) < end:
                for record in (await consumer.getmany(at, timeout_ms=500)).get(at, ()):
                    if record.value is None:
                        tables[at.partition].pop(record.key, None)
                    else:
                        tables[at.partition][record.key] = record.value
    return tables
