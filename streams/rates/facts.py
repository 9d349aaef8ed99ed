"""What changed, in words: numbers become dictionary codes of a frame, so that each word is looked up once."""

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa

from abdrift.signals.rates import RATES
from streams.rates import keys
from streams.rates.counting import BEAT_MS
from streams.rates.packing import Ints
from streams.rates.state import Changes, State
from streams.rates.sums import STAMP_BITS, STAMP_MASK
from streams.rates.vocabulary import Vocabulary


def rows(changes: Changes, state: State) -> pa.RecordBatch:
    """Return changes as rows of `RATES`, sorted by cluster, namespace, kind and name."""
    words = state.vocabulary
    places, labels = keys.place_of(changes.workloads), keys.label_of(changes.workloads)
    subjects = [
        _words(keys.cluster_of_place(places), words.clusters.__getitem__),
        _words(keys.namespace_of_place(places), words.namespaces.__getitem__),
        *_kinds_and_names(labels, words),
    ]
    columns: dict[str, pa.Array] = {
        **dict(zip(("cluster", "namespace", "kind", "name"), subjects, strict=True)),
        "unusual": pa.array(changes.unusual),
        "warnings": pa.array(changes.warnings),
        "usual_per_minute": pa.array(changes.usual_per_minute),
        "reason": _words(changes.stamps & STAMP_MASK, lambda tag: words.reasons.get(tag, "")),
        "last_ms": pa.array(changes.stamps >> STAMP_BITS),
        "judged_ms": pa.array(np.full(len(changes.workloads), state.beat * BEAT_MS)),
    }
    made = pa.RecordBatch.from_arrays([columns[column.name] for column in RATES.columns], names=list(columns))
    order = np.lexsort([np.asarray(subject.indices) for subject in reversed(subjects)])
    return made.take(pa.array(order))


def _kinds_and_names(labels: Ints, words: Vocabulary) -> tuple[pa.DictionaryArray, pa.DictionaryArray]:
    distinct, codes = np.unique(labels, return_inverse=True)
    kinds, names = zip(*map(words.split, distinct.tolist()), strict=True)
    return _sortable(kinds, codes), _sortable(names, codes)


def _words(numbers: Ints, word_of: Callable[[int], str]) -> pa.DictionaryArray:
    distinct, codes = np.unique(numbers, return_inverse=True)
    return _sortable([word_of(number) for number in distinct.tolist()], codes)


def _sortable(words: Sequence[str], codes: Ints) -> pa.DictionaryArray:
    """Return words by code, with codes that sort as the words do."""
    ascending = sorted(set(words))
    rank = {word: code for code, word in enumerate(ascending)}
    ranks = np.array([rank[word] for word in words], dtype=np.int32)
    return pa.DictionaryArray.from_arrays(pa.array(ranks[codes]), pa.array(ascending, type=pa.utf8()))
