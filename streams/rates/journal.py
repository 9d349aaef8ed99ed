"""A partition's journal: which checkpoint and which deltas its changelog holds, and what a batch adds to it."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from streams.rates.cells import HEAD, Head, delta, head_cell, head_of, needless, section_keys


class Journal:
    """As the cells of `streams.rates.cells` tell it. It is moved on in place."""

    def __init__(self, kept: Mapping[str, bytes]) -> None:
        self.head = head_of(kept)
        self._kept = [key for key in kept if key != HEAD]
        """Keys of cells there are, those that nobody needs any more too."""

    def write(
        self,
        changes: Sequence[msgspec.Struct],
        most_bytes: int,
        checkpoint: Callable[[int], tuple[int, Iterable[tuple[str, bytes]]]],
    ) -> tuple[dict[str, bytes | None], Iterable[tuple[str, bytes]]]:
        """Return the cells to commit with a batch, and those to stage before it.

        Args:
            changes: What the batch changed: its delta.
            most_bytes: Where the deltas since the last checkpoint would grow as large, another is made instead.
            checkpoint: Returns how many sections a generation's checkpoint has, and their cells.

        """
        head = self.head
        parts = dict(delta(head.next_delta, changes))
        delta_bytes = head.delta_bytes + sum(map(len, parts.values()))
        staged: Iterable[tuple[str, bytes]]
        if delta_bytes < most_bytes:
            self.head = msgspec.structs.replace(head, next_delta=head.next_delta + 1, delta_bytes=delta_bytes)
            staged, keys_staged = parts.items(), list(parts)
        else:
            sections, staged = checkpoint(head.generation + 1)
            self.head = Head(head.generation + 1, sections, head.next_delta, head.next_delta)
            keys_staged = section_keys(self.head)
        changed: dict[str, bytes | None] = dict.fromkeys(needless(self._kept, self.head))
        self._kept = [key for key in self._kept if key not in changed] + keys_staged
        return {**changed, HEAD: head_cell(self.head)}, staged
