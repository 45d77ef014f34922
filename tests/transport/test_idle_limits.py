"""Suspected idle limits: which idle times are risky, what is learned and what is dropped."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_swarm.transport.idle_limits import LATE_NS, LINGER_S, MAX_LIMITS, MIN_IDLE_NS, IdleLimits

S = 1_000_000_000


@pytest.mark.parametrize(
    ("idle_s", "limit_s"),
    [(1.0, None), (1.95, None), (1.97, 2), (2.2, 2), (2.4, None), (4.9, None), (5.0, 5), (5.3, 5), (60.0, 60)],
)
def test_common_limits_are_suspected_around_their_value(idle_s: float, limit_s: int | None) -> None:
    found = IdleLimits().find_risk(round(idle_s * S))
    assert found == (None if limit_s is None else limit_s * S)


def test_a_limit_is_learned_from_a_close_and_given_up_when_a_connection_outlives_it() -> None:
    limits = IdleLimits(())
    assert limits.find_risk(7 * S) is None
    limits.note_close(7 * S)
    limits.note_close(7 * S + 50_000_000)  # the same limit
    assert limits.find_risk(7 * S - 50_000_000) == 7 * S
    limits.note_survival(7 * S)
    limits.note_survival(7 * S)
    assert limits.find_risk(7 * S) is None


def test_closes_of_connections_that_were_in_use_teach_nothing() -> None:
    limits = IdleLimits(())
    limits.note_close(MIN_IDLE_NS - 1)
    assert limits.find_risk(MIN_IDLE_NS - 1) is None


@given(st.lists(st.integers(0, 1000 * S), max_size=100))
def test_what_was_last_learned_is_known_and_no_more_than_so_many(closes_ns: list[int]) -> None:
    limits = IdleLimits()
    for idle_ns in closes_ns:
        limits.note_close(idle_ns)
        assert (limits.find_risk(idle_ns) is None) == (idle_ns < MIN_IDLE_NS)
        assert len(limits._limits_ns) <= MAX_LIMITS


def test_a_replaced_connection_is_watched_for_longer_than_a_server_may_be_late() -> None:
    assert LINGER_S * S > LATE_NS
