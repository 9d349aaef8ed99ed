"""One cluster's story in one line of time: what changed in Git, what drifted, what was done, and what came of it.

`story` folds facts into entries and is pure; only `reading` meets Kafka. Forbidden here: how an entry looks.
"""

from abdrift.timeline.entries import Entry, Kind, Tone, in_order
from abdrift.timeline.story import Head, Story, Told

__all__ = ["Entry", "Head", "Kind", "Story", "Told", "Tone", "in_order"]
