"""The changelog protocol against its promise: whatever prefix was written, recovery finds a commit's state."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.commit import (
    CHUNK_BYTES,
    NOBODY,
    OWNER_HEADER,
    Fence,
    Ledger,
    OutboxFact,
    Owner,
    Recovered,
    Seen,
    StateError,
    Write,
    cell_write,
    claim_write,
    recover,
)

CHUNK = 40  # so small that most redo records need several

Cells = dict[str, bytes | None]


@dataclass
class Log:
    """A changelog: what was appended, in order."""

    records: list[Seen] = field(default_factory=list)

    def append(self, owner: Owner, writes: list[Write]) -> None:
        for write in writes:
            self.records.append(Seen(len(self.records), write.key, write.value, owner))

    def compacted(self) -> "Log":
        """Keep each key's newest record; of tombstones none."""
        newest = {seen.key: seen.offset for seen in self.records}
        return Log([s for s in self.records if newest[s.key] == s.offset and s.value is not None])

    def read(self) -> tuple[Fence, dict[bytes, bytes]]:
        fence, table = Fence(), {}
        for seen in self.records:
            if fence.accepts(seen):
                table.pop(seen.key, None)
                if seen.value is not None:
                    table[seen.key] = seen.value
        return fence, table

    def state(self) -> Recovered:
        return recover(self.read()[1].items())


class Worker:
    """An owner that notes what it has committed, as the engine does: redo, facts, cells."""

    def __init__(self, log: Log, name: str) -> None:
        self.log = log
        owner = Owner(log.read()[0].owner.epoch + 1, name)
        log.append(owner, [claim_write(owner)])
        fence, table = log.read()
        self.found = recover(table.items())
        self.ledger = Ledger.take_over(self.found, owner, fence.refused)
        self.ledger.chunk_bytes = CHUNK
        self.cells = dict(self.found.cells)

    def writes(self, number: int, cells: Cells) -> list[list[Write]]:
        """Return the two bursts of a commit."""
        fact = OutboxFact("facts", 0, f"fact-{number}", b"%d" % number)
        redo = self.ledger.stage({"in": number}, cells, [fact])
        flush = self.ledger.flush()
        self.ledger.flushed()
        for key, value in cells.items():
            self.cells.pop(key, None)
            if value is not None:
                self.cells[key] = value
        return [redo, flush]

    def commit(self, number: int, cells: Cells) -> None:
        for burst in self.writes(number, cells):
            self.log.append(self.ledger.owner, burst)

    def settle(self) -> None:
        """Finish the last owner's commit, as a new owner does first."""
        self.log.append(self.ledger.owner, self.ledger.flush())
        self.ledger.flushed()


batches = st.lists(
    st.dictionaries(st.sampled_from("abcd"), st.none() | st.binary(max_size=60), max_size=4), min_size=1, max_size=6
)


@given(batches, st.data())
def test_every_prefix_recovers_to_a_commit(script: list[Cells], data: st.DataObject) -> None:
    log = Log()
    worker = Worker(log, "A")
    worker.settle()
    states = {len(log.records): (0, {})}
    for number, cells in enumerate(script, 1):
        redo, flush = worker.writes(number, cells)
        log.append(worker.ledger.owner, redo)
        states[len(log.records)] = (number, dict(worker.cells))
        log.append(worker.ledger.owner, flush)
    cut = data.draw(st.integers(1, len(log.records)))
    recovered = Log(log.records[:cut]).state()
    number, cells = states[max(length for length in states if length <= cut)]
    assert recovered.cells == cells
    assert recovered.redo.offsets.get("in", 0) == number
    assert [fact.key for fact in recovered.redo.outbox] == ([f"fact-{number}"] if number else [])


@given(st.lists(st.tuples(batches, st.integers(0, 1000)), min_size=1, max_size=4))
def test_owners_that_crash_one_after_another_lose_no_commit_and_invent_none(
    lives: list[tuple[list[Cells], int]],
) -> None:
    log, number = Log(), 0
    model: dict[int, dict[str, bytes]] = {0: {}}
    for life, (script, cut_at) in enumerate(lives):
        worker = Worker(log, f"worker-{life}")
        number = worker.found.redo.offsets.get("in", 0)
        assert worker.found.cells == model[number]
        worker.settle()
        begun = len(log.records)
        for cells in script:
            number += 1
            worker.commit(number, cells)
            model[number] = dict(worker.cells)
        del log.records[begun + cut_at % (len(log.records) - begun + 1) :]
    final = log.state()
    assert final.cells == model[final.redo.offsets.get("in", 0)]


@given(batches, batches, batches, st.data())
def test_a_superseded_owners_late_records_change_nothing(
    before: list[Cells], late: list[Cells], after: list[Cells], data: st.DataObject
) -> None:
    log = Log()
    old = Worker(log, "old")
    for number, cells in enumerate(before, 1):
        old.commit(number, cells)
    pending = [
        write for number, cells in enumerate(late, 100) for burst in old.writes(number, cells) for write in burst
    ]
    new = Worker(log, "new")
    new.settle()
    for number, cells in enumerate(after, 10):
        for burst in new.writes(number, cells):
            for write in burst:
                while pending and data.draw(st.booleans()):
                    log.append(old.ledger.owner, [pending.pop(0)])
                log.append(new.ledger.owner, [write])
    log.append(old.ledger.owner, pending)
    assert log.state().cells == new.cells
    assert log.state().redo.version == new.ledger.version

    fence, table = log.read()
    new.ledger.heal(fence.refused, recover(table.items()).cells)
    log.append(new.ledger.owner, new.ledger.restage())
    new.settle()
    assert log.compacted().state().cells == new.cells, "once healed, compaction takes nothing rightful away"
    assert log.compacted().state().redo.offsets == new.ledger.offsets


@given(batches, batches)
def test_a_late_record_before_the_claim_is_taken_over(before: list[Cells], late: list[Cells]) -> None:
    log = Log()
    old = Worker(log, "old")
    for number, cells in enumerate(before + late, 1):
        old.commit(number, cells)
    new = Worker(log, "new")
    assert new.found.cells == old.cells
    assert new.ledger.offsets == {"in": len(before + late)}


def test_two_that_claim_at_once_get_one_owner() -> None:
    log = Log()
    first, second = Owner(1, "first"), Owner(1, "second")
    log.append(first, [claim_write(first)])
    log.append(second, [claim_write(second)])
    assert log.read()[0].owner == first


def test_chunks_of_a_large_redo_do_not_lie_about_for_ever() -> None:
    log = Log()
    worker = Worker(log, "A")
    worker.commit(1, {"a": b"x" * 400})
    for number in range(2, 5):
        worker.commit(number, {"a": b"y"})
    worker.settle()
    _, table = log.read()
    assert len([key for key in table if key.startswith(b"w/")]) <= 2 * (1 + 4)


def test_a_cell_that_no_record_holds_is_an_error_that_names_it() -> None:
    with pytest.raises(StateError, match="'big'"):
        cell_write("big", b"x" * (CHUNK_BYTES + 1))


def test_cells_without_any_redo_are_not_taken_for_state() -> None:
    with pytest.raises(StateError, match="no whole redo"):
        recover([(b"c/a", b"1")])


@pytest.mark.parametrize(
    ("headers", "owner"),
    [
        pytest.param([Owner(7, "ab").header()], Owner(7, "ab"), id="ours"),
        pytest.param([("other", b"1/x"), Owner(7, "ab").header()], Owner(7, "ab"), id="among-others"),
        pytest.param([], NOBODY, id="none"),
        pytest.param([(OWNER_HEADER, b"seven/ab")], NOBODY, id="no-number"),
        pytest.param([(OWNER_HEADER, b"7")], NOBODY, id="no-worker"),
    ],
)
def test_owner_of_headers(headers: list[tuple[str, bytes]], owner: Owner) -> None:
    assert Owner.of(headers) == owner
    assert Fence().accepts(Seen(0, b"c/a", b"1", owner)) is (owner != NOBODY)
