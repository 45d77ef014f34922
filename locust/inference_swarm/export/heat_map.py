"""How many requests took how long, and when: where modes and stalls show better than in percentiles. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inference_swarm.export.axes import time_labels, value_labels
from inference_swarm.export.formats import format_count, format_share, format_us
from inference_swarm.export.plots import HEIGHT, WIDTH
from inference_swarm.measure.histogram import BUCKET_COUNT, LOWEST_IN_BUCKET_US
from inference_swarm.measure.hlog import HlogInterval

ROWS_PER_DECADE = 12
MAX_COLUMNS = 120
# Strengths of one colour. More could not be told apart.
LEVELS = 8

_LEFT, _TOP, _RIGHT, _BOTTOM = 84, 10, WIDTH - 34, HEIGHT - 76
_LEGEND_BOX = 20
_ROW_OF_BUCKET = np.floor(np.log10(np.maximum(LOWEST_IN_BUCKET_US, 1)) * ROWS_PER_DECADE + 1e-9).astype(np.int64)
_ROW_COUNT = int(_ROW_OF_BUCKET[-1]) + 1


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Requests by latency and time.

    `counts[row, column]`: those of the intervals whose middle is from `column * column_s` on; a row holds the latencies
    from `10 ** ((lowest_row + row) / ROWS_PER_DECADE)` µs on. Without requests it is empty.
    """

    counts: npt.NDArray[np.int64]
    lowest_row: int
    column_s: float
    end_s: float


def heat_map(intervals: Iterable[HlogInterval], interval_s: float, end_s: float) -> HeatMap:
    """Return the map of a run that ended then, with intervals at most so long, in any order and of any name."""
    column_s = interval_s * max(1, math.ceil(end_s / interval_s / MAX_COLUMNS))
    end_s = end_s or column_s  # a trace of one instant has no length, and its requests a time all the same
    counts = np.zeros((_ROW_COUNT, max(1, math.ceil(end_s / column_s))), dtype=np.int64)
    for interval in intervals:
        column = min(int((interval.start_s + interval.length_s / 2) / column_s), counts.shape[1] - 1)
        filled = np.flatnonzero(interval.histogram.counts[:BUCKET_COUNT])
        np.add.at(counts[:, column], _ROW_OF_BUCKET[filled], interval.histogram.counts[filled])
    rows = np.flatnonzero(counts.any(axis=1))
    if not rows.size:
        return HeatMap(counts[:0], 0, column_s, end_s)
    return HeatMap(counts[rows[0] : rows[-1] + 1], int(rows[0]), column_s, end_s)


def plot_heat_map(heat: HeatMap) -> str:
    """Return the SVG: time to the right, latency upwards on a logarithmic scale, the stronger the more requests."""
    if not heat.counts.size:
        return ""
    most = int(heat.counts.max())
    low, high = (10 ** (row / ROWS_PER_DECADE) for row in (heat.lowest_row, heat.lowest_row + heat.counts.shape[0]))
    ticks = [tick for tick in value_labels([low, high], is_logarithmic=True) if low <= tick <= high]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{described(heat)}" '
        f'viewBox="0 0 {WIDTH} {HEIGHT}" font-size="17" fill="var(--ink)">'
    ]
    parts += [
        f'<text x="{_LEFT - 8}" y="{_y(heat, math.log10(tick) * ROWS_PER_DECADE) + 6:.1f}" text-anchor="end">'
        f"{format_us(tick)}</text>"
        for tick in ticks
    ]
    parts += [
        f'<text x="{_x(heat, at_s):.1f}" y="{_BOTTOM + 24}" text-anchor="middle">{label}</text>'
        for at_s, label in time_labels(heat.end_s)
    ]
    parts += [
        f'<path fill="var(--line-1)" fill-opacity="{_opacity(level):.2f}" d="{"".join(_cells(heat, level, most))}"/>'
        for level in range(LEVELS)
    ]
    parts.append(
        f'<path fill="none" stroke="var(--faint)" d="M{_LEFT} {_TOP}V{_BOTTOM}H{_RIGHT}"/>'
        f"{''.join(_legend(most, heat.column_s))}</svg>"
    )
    return "".join(parts)


def described(heat: HeatMap) -> str:
    """Return the map in words, for those who cannot see it."""
    totals = heat.counts.sum(axis=1)
    most = int(totals.argmax())
    bounds_us = [10 ** ((heat.lowest_row + row) / ROWS_PER_DECADE) for row in (0, most, most + 1, len(totals))]
    low, from_, to, high = (format_us(value) for value in bounds_us)
    share = format_share(int(totals[most]), int(totals.sum()))
    return f"latencies from {low} to {high}, most of them, {share}, from {from_} to {to}"


def _x(heat: HeatMap, at_s: float) -> float:
    return _LEFT + (_RIGHT - _LEFT) * min(1.0, at_s / heat.end_s)


def _y(heat: HeatMap, row: float) -> float:
    rows: int = heat.counts.shape[0]
    return _BOTTOM - (_BOTTOM - _TOP) * (row - heat.lowest_row) / rows


def _opacity(level: int) -> float:
    return 0.15 + 0.85 * level / (LEVELS - 1)


def _level(count: int, most: int) -> int:
    """By the logarithm: a single slow request is to be seen beside ten thousand fast ones."""
    return round((LEVELS - 1) * math.log(count) / math.log(most)) if most > 1 else LEVELS - 1


def _cells(heat: HeatMap, level: int, most: int) -> Iterator[str]:
    """Yield the rectangles of this level, each with what follows it in its row and is as strong."""
    for row, counts in enumerate(heat.counts.tolist()):
        levels = [_level(count, most) if count else -1 for count in counts]
        top, bottom = _y(heat, heat.lowest_row + row + 1), _y(heat, heat.lowest_row + row)
        column = 0
        while column < len(levels):
            begin = column
            while column < len(levels) and levels[column] == level:
                column += 1
            if column > begin:
                left, right = _x(heat, begin * heat.column_s), _x(heat, column * heat.column_s)
                yield f"M{left:.1f} {top:.1f}H{right:.1f}V{bottom:.1f}H{left:.1f}z"
            column = max(column, begin + 1)


def _legend(most: int, column_s: float) -> Iterator[str]:
    y = HEIGHT - 26
    yield f'<text x="{_LEFT - 8}" y="{y + 15}" text-anchor="end">1</text>'
    for level in range(LEVELS):
        x = _LEFT + level * _LEGEND_BOX
        yield (
            f'<rect x="{x}" y="{y}" width="{_LEGEND_BOX}" height="{_LEGEND_BOX}" fill="var(--line-1)" '
            f'fill-opacity="{_opacity(level):.2f}"/>'
        )
    words = f"{format_count(most)} requests in {column_s:.3g} s"
    yield f'<text x="{_LEFT + LEVELS * _LEGEND_BOX + 8}" y="{y + 15}">{words}</text>'
