"""Labels as numbers: a bounded dictionary whose numbers are given again once nothing needs them."""

import heapq
from collections.abc import Iterable

REFUSED = -1


class Labels:
    """Which number each label has, at most `capacity` of them."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.numbers: dict[str, int] = {}
        self._labels: list[str | None] = []
        self._free: list[int] = []
        """Numbers that are free, and some that have a label again."""

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, number: int) -> str:
        """Return a label by its number.

        Raises:
            KeyError: no label has it.

        """
        label = self._labels[number] if number < len(self._labels) else None
        if label is None:
            raise KeyError(number)
        return label

    @property
    def used(self) -> int:
        """Numbers below this one have had a label."""
        return len(self._labels)

    def number(self, label: str) -> int:
        """Return a label's number, a new one where it has none; `REFUSED` where there is no room."""
        known = self.numbers.get(label)
        if known is not None:
            return known
        if len(self.numbers) >= self.capacity:
            return REFUSED
        while self._free:
            number = heapq.heappop(self._free)
            if self._labels[number] is None:
                break
        else:
            number = len(self._labels)
        self.put(label, number)
        return number

    def put(self, label: str, number: int) -> None:
        """Give a label the number that it had when it was written down."""
        while len(self._labels) <= number:
            heapq.heappush(self._free, len(self._labels))
            self._labels.append(None)
        self._labels[number] = label
        self.numbers[label] = number

    def release(self, numbers: Iterable[int]) -> None:
        """Forget labels by their numbers."""
        for number in numbers:
            del self.numbers[self[number]]
            self._labels[number] = None
            heapq.heappush(self._free, number)
