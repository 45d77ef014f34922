from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from inference_swarm.measure.phases import NS_PER_S, Phase, Phases, Segment, phases_of_run

S = NS_PER_S
cuts = st.lists(st.integers(1, 100), max_size=4).map(lambda seconds: sorted(set(seconds)))


def test_a_warm_up_and_stages_cut_a_run() -> None:
    phases = phases_of_run([30.0, 60.0, 10.0], 10.0)
    assert phases == Phases((10 * S,), (30 * S, 90 * S))
    assert [phases.at(at * S) for at in (0, 10, 29, 30, 89, 90, 500)] == [
        Phase(0, 0), Phase(1, 0), Phase(1, 0), Phase(1, 1), Phase(1, 1), Phase(1, 2), Phase(1, 2),
    ]  # fmt: skip


def test_a_run_without_either_has_one_phase() -> None:
    assert phases_of_run([]).is_whole
    assert phases_of_run([60.0]).is_whole
    assert not phases_of_run([], 5.0).is_whole
    assert phases_of_run([]).segments(0, 3 * S) == [Segment(Phase(), 0, 3 * S)]


def test_a_stretch_without_length_is_one_segment() -> None:
    assert Phases((5 * S,)).segments(7 * S, 7 * S) == [Segment(Phase(1, 0), 7 * S, 7 * S)]


@settings(deadline=None)
@given(cuts, cuts, st.lists(st.integers(0, 120), max_size=20))
def test_many_instants_have_the_phases_that_each_has_by_itself(
    epochs: list[int], stages: list[int], instants: list[int]
) -> None:
    phases = Phases.from_seconds(epochs, stages)
    codes = phases.codes_of(np.array(instants, dtype=np.int64) * S)
    assert [phases.decode(code) for code in codes.tolist()] == [phases.at(instant * S) for instant in instants]


@settings(deadline=None)
@given(cuts, cuts, st.integers(0, 100), st.integers(1, 50))
def test_segments_cover_a_stretch_without_gaps_and_each_has_its_phase(
    epochs: list[int], stages: list[int], start: int, length: int
) -> None:
    phases = Phases.from_seconds(epochs, stages)
    segments = phases.segments(start * S, (start + length) * S)
    assert segments[0].start_ns == start * S
    assert segments[-1].end_ns == (start + length) * S
    for before, after in itertools.pairwise(segments):
        assert before.end_ns == after.start_ns
        assert before.phase != after.phase
    for segment in segments:
        assert phases.at(segment.start_ns) == phases.at(segment.end_ns - 1) == segment.phase
