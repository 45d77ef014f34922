"""Computes when an open load intends its requests: a pure function of seed, arrival process and rate over time.

The schedule is cut into cells of 4,096 expected arrivals (`gamma`: exactly so many), each made from (seed, cell) alone,
so that anyone can start in the middle. Each worker sends the arrivals of its part, chosen by their number: when workers
come and go the parts change from an agreed instant on and the schedule stays as it was.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from inference_swarm.load.bursts import BLOCK_CELLS, CELL_ARRIVALS, GammaCells
from inference_swarm.load.stages import Floats, Stages

# A free Poisson process of 120,000 arrivals misses its rate by more than 0.5 % for one seed in twelve. Ours has exactly
# as many arrivals as expected in each block of cells, and is Poisson given that: what was asked for is what is sent.
SPARE_ARRIVALS = 64
NS_PER_S = 1_000_000_000

Offsets = npt.NDArray[np.int64]


class ArrivalProcess(StrEnum):
    """`constant`: evenly spaced at the rate of the moment; `poisson`: independent of each other at that rate.

    `gamma`: with gaps of a gamma distribution, whose shape is the burstiness: 1 is Poisson, less comes in bursts.
    """

    CONSTANT = "constant"
    POISSON = "poisson"
    GAMMA = "gamma"


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Intended instants in ns since the run began, ascending, and the numbers that decide which worker sends them."""

    offsets_ns: Offsets
    numbers: npt.NDArray[np.int64]


class Schedule:
    """All arrivals of the swarm, the same on every machine for the same process, rate and seed."""

    def __init__(
        self, process: ArrivalProcess, rate: Stages, seed: int, burstiness: float = 1.0, limit: int | None = None
    ) -> None:
        """`limit`: there are no more arrivals than these first ones."""
        self.process = process
        self.rate = rate
        self.seed = seed
        self.burstiness = burstiness
        self.limit = limit
        self._kept: dict[int, Arrivals] = {}
        self._gamma: GammaCells | None = None
        if process is ArrivalProcess.GAMMA:
            amount = rate.amount if math.isfinite(rate.duration_s) else math.inf
            self._gamma = GammaCells(seed, burstiness, amount)
        end_s = rate.duration_s
        self.end_ns: int | None = None if math.isinf(end_s) else round(end_s * NS_PER_S)
        """The instant from which on no arrival is intended; None when there is no end."""
        if limit is not None and (last_ns := self._instant_of(limit - 1)) is not None:
            self.end_ns = last_ns + 1

    def with_rate(self, rate: Stages) -> Schedule:
        """Return the schedule of another rate; where both rates are the same from the begin on, so are the arrivals."""
        return Schedule(self.process, rate, self.seed, self.burstiness, self.limit)

    def between(self, from_ns: int, to_ns: int) -> Arrivals:
        """Arrivals with from_ns <= instant < to_ns. The last two cells are kept for the next call."""
        from_s, to_s = from_ns / NS_PER_S, to_ns / NS_PER_S
        # One arrival more on either side, for the rounding of times to ns.
        first = self._cell_at(self.rate.amount_until(from_s) - 1)
        last = self._cell_at(self.rate.amount_until(to_s) + 1)
        parts = []
        for cell in range(first, last + 1):
            arrivals = self._cell(cell)
            low, high = np.searchsorted(arrivals.offsets_ns, [from_ns, to_ns])
            parts.append((arrivals.offsets_ns[low:high], arrivals.numbers[low:high]))
        offsets_ns, numbers = zip(*parts, strict=True)
        arrivals = Arrivals(np.concatenate(offsets_ns), np.concatenate(numbers))
        if self.limit is None or not arrivals.numbers.size or arrivals.numbers[-1] < self.limit:
            return arrivals
        count = int(np.searchsorted(arrivals.numbers, self.limit))
        return Arrivals(arrivals.offsets_ns[:count], arrivals.numbers[:count])

    def count_until(self, to_ns: int) -> int:
        """Return how many arrivals there are before an instant; makes two cells, however many there are."""
        count = self._count_until(to_ns)
        return count if self.limit is None else min(count, self.limit)

    def _count_until(self, to_ns: int) -> int:
        cell = self._cell_at(self.rate.amount_until(to_ns / NS_PER_S))
        # One cell more on either side, for the rounding of times to ns.
        for candidate in range(cell + 1, max(-1, cell - 3), -1):
            arrivals = self._make_cell(candidate)
            if arrivals.offsets_ns.size and arrivals.offsets_ns[0] < to_ns:
                return int(arrivals.numbers[0] + np.searchsorted(arrivals.offsets_ns, to_ns))
        return 0

    def _instant_of(self, number: int) -> int | None:
        """Return when the arrival of this number is intended; None if there are not so many."""
        cell = number // CELL_ARRIVALS
        if math.isfinite(self.rate.amount):
            cell = min(cell, self._cell_at(self.rate.amount))
        while (arrivals := self._make_cell(cell)).numbers.size and arrivals.numbers[-1] < number:
            cell += 1
        while cell and (not arrivals.numbers.size or arrivals.numbers[0] > number):
            cell -= 1
            arrivals = self._make_cell(cell)
        place = number - int(arrivals.numbers[0]) if arrivals.numbers.size else 0
        return int(arrivals.offsets_ns[place]) if 0 <= place < arrivals.offsets_ns.size else None

    def _cell_at(self, amount: float) -> int:
        return max(0, int(amount // CELL_ARRIVALS)) if self._gamma is None else self._gamma.cell_at(amount)

    def _cell(self, cell: int) -> Arrivals:
        if cell not in self._kept:
            self._kept = {kept: arrivals for kept, arrivals in self._kept.items() if kept == cell - 1}
            self._kept[cell] = self._make_cell(cell)
        return self._kept[cell]

    def _make_cell(self, cell: int) -> Arrivals:
        """Return the arrivals whose place in operational time (the integral of the rate) lies in this cell."""
        if self._gamma is not None:
            first, places = self._gamma.cell(cell)
        elif self.process is ArrivalProcess.CONSTANT:
            first = cell * CELL_ARRIVALS
            places = first + np.arange(CELL_ARRIVALS, dtype=np.float64)
        else:
            first, places = _unit_rate_poisson(self.seed, cell)
            places += cell * CELL_ARRIVALS
        # A process of rate 1 in operational time has the wanted rate in real time (time rescaling theorem).
        times_s = self.rate.time_of(places)
        times_s = times_s[np.isfinite(times_s)]
        offsets_ns = np.rint(times_s * NS_PER_S).astype(np.int64)
        if math.isfinite(self.rate.duration_s):  # rounding must not carry it over the end
            offsets_ns = np.minimum(offsets_ns, round(self.rate.duration_s * NS_PER_S) - 1)
        return Arrivals(offsets_ns, np.arange(first, first + offsets_ns.size))


def _unit_rate_poisson(seed: int, cell: int) -> tuple[int, Floats]:
    """The number of a cell's first arrival, and its arrivals on [0, CELL_ARRIVALS): independent and uniform, sorted.

    Raw Philox words, because NumPy promises to keep those but not what its distributions make of them (NEP 19).
    """
    block, place = divmod(cell, BLOCK_CELLS)
    counts = _arrivals_of_cells(seed, block)
    words = np.random.Philox(key=seed, counter=[0, 0, 0, cell]).random_raw(int(counts[place]))
    places = (np.sort(words) >> np.uint64(11)).astype(np.float64) * (2.0**-53 * CELL_ARRIVALS)
    return block * BLOCK_CELLS * CELL_ARRIVALS + int(counts[:place].sum()), places


@lru_cache(maxsize=2)
def _arrivals_of_cells(seed: int, block: int) -> npt.NDArray[np.int64]:
    """Return how many of a block's arrivals fall into each of its cells: each arrival draws its cell."""
    words = np.random.Philox(key=seed, counter=[0, 0, 1, block]).random_raw(BLOCK_CELLS * CELL_ARRIVALS)
    # The first four bits of a word are one of 16 cells.
    return np.bincount((words >> np.uint64(60)).astype(np.int64), minlength=BLOCK_CELLS)


@dataclass(frozen=True, slots=True)
class Part:
    """The arrivals whose number modulo `count` is among `indexes`; none without indexes."""

    indexes: tuple[int, ...] = ()
    count: int = 0

    def __post_init__(self) -> None:
        if any(not 0 <= index < self.count for index in self.indexes):
            raise ValueError(f"there is no part {self.indexes} of {self.count}")

    def pick(self, arrivals: Arrivals) -> Offsets:
        """Return the intended instants that belong to this part."""
        if not self.indexes:
            return arrivals.offsets_ns[:0]
        if len(self.indexes) == self.count:
            return arrivals.offsets_ns
        table = np.zeros(self.count, np.bool_)
        table[list(self.indexes)] = True
        chosen: Offsets = arrivals.offsets_ns[table[arrivals.numbers % self.count]]
        return chosen

    def count_between(self, first: int, after: int) -> int:
        """Return how many arrivals of this part have numbers from `first` to before `after`."""
        return sum(
            max(0, -((index - after) // self.count)) - max(0, -((index - first) // self.count))
            for index in self.indexes
        )


NO_PART = Part()


class Share:
    """One worker's part of a schedule, taken from front to back; `change` gives it another part from an instant on."""

    def __init__(self, schedule: Schedule, part: Part, from_ns: int = 0) -> None:
        self.schedule = schedule
        self.position_ns = from_ns
        self.possible_duplicates = 0
        """Arrivals that were taken by a part that had passed to others by then: a change that came too late."""
        self._part = part
        self._changes: list[tuple[int, Part]] = []
        self._had_part = bool(part.indexes)

    def change(self, part: Part, from_ns: int) -> None:
        """Take this part from an instant on, or at once if that has passed already.

        All workers must get the same instant, ahead of what any has taken; deviations are counted.
        """
        if not self._had_part:  # what was due before this worker had begun comes late; it is nobody else's
            self.position_ns = min(self.position_ns, from_ns)
        self._had_part = self._had_part or bool(part.indexes)
        if from_ns < self.position_ns:
            taken = self._part.pick(self.schedule.between(from_ns, self.position_ns))
            mine = part.pick(self.schedule.between(from_ns, self.position_ns))
            self.possible_duplicates += int(np.count_nonzero(~np.isin(taken, mine)))
        from_ns = max(from_ns, self.position_ns)
        self._changes = [change for change in self._changes if change[0] < from_ns]
        self._changes.append((from_ns, part))

    def follow(self, schedule: Schedule, from_ns: int) -> Offsets:
        """Follow another schedule, which differs from this one from an instant on.

        Returns the arrivals that were missed, and counts those that the new schedule does not have here as possible
        duplicates: there are some when that instant has passed already.
        """
        missed = np.zeros(0, dtype=np.int64)
        if from_ns < self.position_ns:
            taken = self._part.pick(self.schedule.between(from_ns, self.position_ns))
            wanted = self._part.pick(schedule.between(from_ns, self.position_ns))
            self.possible_duplicates += int(np.count_nonzero(~np.isin(taken, wanted)))
            missed = wanted[~np.isin(wanted, taken)]
        self.schedule = schedule
        return missed

    def take(self, until_ns: int) -> Offsets:
        """Return this worker's intended instants since the last call up to `until_ns`, in ns since the run began."""
        parts: list[Offsets] = []
        while self.position_ns < until_ns:
            while self._changes and self._changes[0][0] <= self.position_ns:
                self._part = self._changes.pop(0)[1]
            stop_ns = min(until_ns, self._changes[0][0]) if self._changes else until_ns
            parts.append(self._part.pick(self.schedule.between(self.position_ns, stop_ns)))
            self.position_ns = stop_ns
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)

    def count_ahead(self, ahead_s: float) -> tuple[int, bool]:
        """Return how many arrivals are to be taken in the time ahead, at least, and whether these are all of them.

        For schedules with a limit only.
        """
        assert self.schedule.limit is not None
        first = self.schedule.count_until(self.position_ns)
        from_s = self.position_ns / NS_PER_S
        rate = self.schedule.rate
        # Bursts may bring more than the rate says.
        expected = 1.5 * (rate.amount_until(from_s + ahead_s) - rate.amount_until(from_s)) + SPARE_ARRIVALS
        after = min(self.schedule.limit, first + math.ceil(expected))
        count, part = 0, self._part
        for from_ns, changed in self._changes:
            until = min(after, max(first, self.schedule.count_until(from_ns)))
            count += part.count_between(first, until)
            first, part = until, changed
        return count + part.count_between(first, after), after == self.schedule.limit

    @property
    def is_over(self) -> bool:
        """True when the schedule has an end and all of it was taken."""
        return self.schedule.end_ns is not None and self.position_ns >= self.schedule.end_ns
