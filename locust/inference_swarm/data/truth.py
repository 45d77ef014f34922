"""What answers to the rows of a block are compared with: labels, and recorded answers. Values only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import pyarrow as pa

from inference_swarm.data.answers_file import decode_answers
from inference_swarm.data.blocks import iter_blocks
from inference_swarm.data.json_rows import labels_of
from inference_swarm.data.manifest import Block, Manifest

# Estimates for the budget of memory: a row whose pair of values no other row has, and an entry of a list.
_COST_BYTES: Final = 144
_ENTRY_BYTES: Final = 32


class RowTruth(NamedTuple):
    """The label of a row and the answer that was recorded for it, None where there is none."""

    label: Any
    expected: Any


@dataclass(frozen=True, slots=True, weakref_slot=True)
class BlockTruth:
    """Those of a block, by the position of the row in it, each as the only one of a request: most have one row."""

    rows: list[tuple[RowTruth]]

    @classmethod
    def of(
        cls, labels: pa.ChunkedArray | None, answers: pa.ChunkedArray | None, answer_field: pa.Field | None
    ) -> BlockTruth | None:
        """Make it from columns; None where there is neither."""
        if labels is None and (answers is None or answer_field is None):
            return None
        known = None if labels is None else labels_of(labels)
        expected = None if answers is None or answer_field is None else decode_answers(answer_field, answers)
        none = [None] * len(known or expected or ())
        shared: dict[Any, tuple[RowTruth]] = {}
        return cls([_share(shared, *pair) for pair in zip(known or none, expected or none, strict=True)])

    @property
    def cost_bytes(self) -> int:
        """Memory in use, about."""
        if not self.rows:
            return 0
        lists = [value for value in self.rows[0][0] if isinstance(value, list)]
        return len(self.rows) * (_COST_BYTES + _ENTRY_BYTES * sum(map(len, lists)))


def _share(shared: dict[Any, tuple[RowTruth]], label: Any, expected: Any) -> tuple[RowTruth]:
    """Return the same object for the same classes, of which there are few."""
    key = label, label.__class__, expected, expected.__class__
    try:
        known = shared.get(key)
        if known is None:
            known = shared[key] = (RowTruth(label, expected),)
    except TypeError:  # a list
        return (RowTruth(label, expected),)
    return known


def iter_with_truth(manifest: Manifest, blocks: Iterable[Block]) -> Iterator[tuple[Block, pa.Table, BlockTruth | None]]:
    """Yield the rows of blocks, as `iter_blocks`, each with what its answers are compared with."""
    for block, table, labels, answers in iter_blocks(manifest, blocks):
        yield block, table, BlockTruth.of(labels, answers, manifest.answer_field)
