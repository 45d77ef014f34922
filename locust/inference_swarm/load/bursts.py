"""Arrivals with gamma-distributed gaps: seed, shape and a cell in, places in operational time out. Pure.

A block is 65,536 gaps that add up to its length: gamma gaps given their sum, so that what was asked for is sent.
A cell holds 4,096 arrivals of a block, whatever time they take. By the gamma distribution's own rule the sum of a
cell's gaps is gamma-distributed too, and what each of them has of that sum is independent of it: so the cells' lengths
are drawn first, and each cell's arrivals from (seed, cell) alone, in any order.

Raw Philox words only, as NumPy promises nothing of its distributions (NEP 19). Its `log` and `exp` may differ in the
last bit between machines, which moves an instant by a ns at most and no number: each cell has its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inference_swarm.load.stages import Floats

CELL_ARRIVALS = 4096
BLOCK_CELLS = 16
BLOCK_ARRIVALS = CELL_ARRIVALS * BLOCK_CELLS
# What the words of a Philox generator are for, in its counter: 0 and 1 are those of Poisson arrivals.
_LENGTHS, _GAPS = 2, 3


@dataclass(frozen=True, slots=True)
class _Block:
    """Where its cells begin, and how many arrivals each of them has. `edges` has one more: the block's end."""

    edges: Floats
    counts: tuple[int, ...]


class GammaCells:
    """Cells of arrivals whose gaps have the given shape and the mean 1, up to `amount` of operational time.

    A load that ends (`amount` is finite) has as many arrivals as its rate gives: its last block is as short as it is.
    """

    def __init__(self, seed: int, shape: float, amount: float) -> None:
        self._seed = seed
        self._shape = shape
        self._amount = amount
        self._kept: dict[int, _Block] = {}

    def cell_at(self, amount: float) -> int:
        """Return the cell in which an instant of operational time lies."""
        number, rest = divmod(max(0.0, amount), BLOCK_ARRIVALS)
        edges = self._block(int(number)).edges
        cell = int(np.searchsorted(edges, rest, side="right")) - 1
        return int(number) * BLOCK_CELLS + min(max(cell, 0), BLOCK_CELLS - 1)

    def cell(self, cell: int) -> tuple[int, Floats]:
        """Return the number of a cell's first arrival, and the cell's arrivals in operational time, ascending."""
        number, place = divmod(cell, BLOCK_CELLS)
        block = self._block(number)
        first = number * BLOCK_ARRIVALS + place * CELL_ARRIVALS
        if place >= len(block.counts):
            return first, np.zeros(0)
        gaps = _gammas(self._seed, _GAPS, cell, self._shape, block.counts[place])
        ends = np.cumsum(gaps)
        low, high = block.edges[place], block.edges[place + 1]
        # An arrival stands at the begin of its gap: the first one of a load at 0, as with evenly spaced arrivals.
        places: Floats = low + (ends - gaps) * ((high - low) / ends[-1])
        # Rounding must not carry it over the end.
        return first, np.minimum(number * BLOCK_ARRIVALS + places, np.nextafter(self._amount, 0.0))

    def _block(self, number: int) -> _Block:
        if number not in self._kept:
            self._kept = {kept: block for kept, block in self._kept.items() if kept == number - 1}
            self._kept[number] = self._make_block(number)
        return self._kept[number]

    def _make_block(self, number: int) -> _Block:
        length = min(float(BLOCK_ARRIVALS), max(0.0, self._amount - number * BLOCK_ARRIVALS))
        whole, rest = divmod(math.ceil(length), CELL_ARRIVALS)
        counts = (CELL_ARRIVALS,) * whole + ((rest,) if rest else ())
        if not counts:
            return _Block(np.zeros(1), ())
        lengths = [
            _gammas(self._seed, _LENGTHS, number * BLOCK_CELLS + place, self._shape * count, 1)[0]
            for place, count in enumerate(counts)
        ]
        edges = np.concatenate([[0.0], np.cumsum(lengths)])
        return _Block(edges * (length / edges[-1]), counts)


def _gammas(seed: int, purpose: int, place: int, shape: float, count: int) -> Floats:
    """Return `count` independent gamma variates of this shape, in any scale: all come from (seed, purpose, place)."""
    source = np.random.Philox(key=seed, counter=[0, 0, purpose, place])
    if shape >= 1:
        return _gammas_from_1(source, shape, count)
    # Of shape + 1 times u^(1/shape) (Stuart's theorem). A tiny shape makes zeros, which are gaps of no time.
    power = _uniforms(source.random_raw(count))
    made: Floats = _gammas_from_1(source, shape + 1, count) * np.exp(np.log(power) / shape)
    if not made.any():
        made[-1] = 1.0
    return made


def _gammas_from_1(source: np.random.Philox, shape: float, count: int) -> Floats:
    """Cheng's method GB (1977), for shapes of at least 1: accepts 68 % of its draws at 1, 89 % for large shapes."""
    root = math.sqrt(2 * shape - 1)
    made = np.zeros(count)
    left = np.arange(count)
    while left.size:
        one, other = _uniforms(source.random_raw(left.size)), _uniforms(source.random_raw(left.size))
        logit = np.log(one / (1 - one)) / root
        value = shape * np.exp(logit)
        is_taken = shape - math.log(4) + (shape + root) * logit - value >= np.log(one * one * other)
        made[left[is_taken]] = value[is_taken]
        left = left[~is_taken]
    return made


def _uniforms(words: npt.NDArray[np.uint64]) -> Floats:
    """Return numbers between 0 and 1, never one of the two."""
    return ((words >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52
