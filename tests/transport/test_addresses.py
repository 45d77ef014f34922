"""Which address the next connection goes to: evenly, failed ones last, and back when they have rested."""

from __future__ import annotations

import socket
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_swarm.transport.addresses import FIRST_REST_S, MAX_REST_S, Address, AddressPool

A, B, C = (Address(socket.AF_INET, (f"10.0.0.{number}", 80)) for number in (1, 2, 3))


def connect(pool: AddressPool, addresses: tuple[Address, ...], now_s: float = 0.0) -> Address:
    best = pool.order(addresses, now_s)[0]
    pool.reserve(best)
    return best


@pytest.mark.parametrize("count", [1, 2, 3])
def test_connections_are_spread_evenly(count: int) -> None:
    pool = AddressPool()
    addresses = (A, B, C)[:count]
    chosen = Counter(connect(pool, addresses) for _ in range(count * 20))
    assert chosen == dict.fromkeys(addresses, 20)


@given(st.lists(st.one_of(st.none(), st.integers(0, 50)), max_size=60))
def test_new_connections_level_out_what_ends(ends: list[int | None]) -> None:
    pool = AddressPool()
    is_open: list[Address] = []
    for end in ends:
        if end is None or not is_open:
            is_open.append(connect(pool, (A, B, C)))
        else:
            pool.release(is_open.pop(end % len(is_open)))
    is_open += [connect(pool, (A, B, C)) for _ in range(100)]
    counts = Counter(is_open)
    assert max(counts.values()) - min(counts.values()) <= 1
    assert {address: pool.connection_count(address) for address in (A, B, C)} == counts


def test_workers_do_not_all_begin_with_the_same_address() -> None:
    assert {AddressPool(first=first).order((A, B, C), 0.0)[0] for first in range(3)} == {A, B, C}


def test_a_failed_address_comes_last_until_it_has_rested_and_rests_longer_each_time() -> None:
    pool = AddressPool()
    now_s, rests = 100.0, []
    for _ in range(6):
        pool.note_failure(A, now_s)
        pool.note_failure(A, now_s)  # another user who had the same experience
        rest_s = 0.0
        while pool.order((A, B), now_s + rest_s)[-1] == A and rest_s < 1000:
            pool.reserve(B)
            rest_s += 1
        rests.append(rest_s)
        now_s += rest_s
    assert rests == [FIRST_REST_S, 10, 20, 40, MAX_REST_S, MAX_REST_S]
    pool.note_success(A)
    pool.note_failure(A, now_s)
    assert pool.order((A, B), now_s + FIRST_REST_S - 0.1)[-1] == A
    assert pool.order((A, B), now_s + FIRST_REST_S)[0] == A


def test_when_all_rest_all_are_still_tried() -> None:
    pool = AddressPool()
    for address in (A, B, C):
        pool.note_failure(address, 0.0)
    assert set(pool.order((A, B, C), 1.0)) == {A, B, C}


def test_addresses_that_the_name_no_longer_has_are_forgotten_when_unused() -> None:
    pool = AddressPool()
    for address in (A, B):
        pool.reserve(address)
    pool.release(B)
    pool.keep_only((C,))
    assert set(pool._states) == {A}


def test_addresses_are_labelled_as_people_write_them() -> None:
    assert A.label == "10.0.0.1:80"
    assert Address(socket.AF_INET6, ("fd00::7", 8080, 0, 0)).label == "[fd00::7]:8080"
