"""All workers one by one: every one of them on one page, in an order that stays, at a cost that has a bound."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from inference_swarm.errors import SettingProblem
from inference_swarm.measure.snapshot import WorkerHealth
from inference_swarm.web.json_text import json_bytes
from inference_swarm.web.worker_pages import DEFAULT_LIMIT, MAX_LIMIT, PageWanted, WorkerPages, parse_page
from inference_swarm.web.worker_rows import WorkerState


def worker(number: int) -> WorkerState:
    return WorkerState(f"host-{number % 50:02d}_{number:08x}", "running", 2, 5.0, 6.0, 10.0, 7, WorkerHealth())


MANY = [worker(number) for number in range(2000)]


def all_pages(workers: list[WorkerState], limit: int, host: str = "") -> Iterator[dict[str, Any]]:
    after: str | None = ""
    while after is not None:
        page = WorkerPages(workers).page(PageWanted(after, limit, host))
        yield page
        after = page["next"]


def ids(page: dict[str, Any]) -> list[str]:
    return [row["id"] for row in page["workers"]]


def test_all_of_2000_workers_are_on_one_page_each_by_name() -> None:
    pages = list(all_pages(MANY, 300))
    assert [len(ids(page)) for page in pages] == [300, 300, 300, 300, 300, 300, 200]
    assert [page["before"] for page in pages] == [0, 300, 600, 900, 1200, 1500, 1800]
    assert {page["worker_count"] for page in pages} == {2000}
    assert list(itertools.chain.from_iterable(map(ids, pages))) == sorted(one.id for one in MANY)


def test_those_of_one_host() -> None:
    first, last = all_pages(MANY, 30, "host-07")
    assert (first["worker_count"], first["next"], last["next"]) == (40, ids(first)[-1], None)
    assert ids(first) + ids(last) == [f"host-07_{number:08x}" for number in range(7, 2000, 50)]
    (none,) = all_pages(MANY, 30, "host-99")
    assert none == {"workers": [], "worker_count": 0, "before": 0, "next": None}


def test_the_order_stays_whatever_happens_to_workers_and_no_other_is_hidden_when_one_leaves() -> None:
    first = WorkerPages(MANY).page(PageWanted(limit=100))
    ended = [replace(one, state="missing", cpu_percent=99.0) if one.id in ids(first)[::2] else one for one in MANY]
    assert ids(WorkerPages(ended[::-1]).page(PageWanted(limit=100))) == ids(first)
    left = [one for one in MANY if one.id not in ids(first)]  # with the one after which the next page begins
    second = WorkerPages(left).page(PageWanted(str(first["next"]), 100))
    assert ids(second) == sorted(one.id for one in MANY)[100:200]
    assert second["before"] == 0


def test_a_row_says_what_the_table_says_of_one_worker() -> None:
    (row,) = WorkerPages([worker(3)]).page(PageWanted())["workers"]
    assert (row["id"], row["workers"], row["hosts"], row["users"], row["rate_rps"], row["cpu_percent"]) == (
        "host-03_00000003", 1, 1, 2, 5.0, 10.0,
    )  # fmt: skip


def test_a_page_has_a_bound_however_many_workers_there_are() -> None:
    few, many = (json_bytes(WorkerPages(MANY[:count]).page(PageWanted(limit=MAX_LIMIT))) for count in (500, 2000))
    assert len(many) < 1.01 * len(few)


def test_arguments_of_the_route() -> None:
    assert parse_page({}) == PageWanted("", DEFAULT_LIMIT, "")
    assert parse_page({"after": "a_1", "limit": "1", "host": "a"}) == PageWanted("a_1", 1, "a")
    assert parse_page({"limit": str(MAX_LIMIT)}).limit == MAX_LIMIT


@pytest.mark.parametrize("limit", ["0", "-1", "501", "x", "", "1.5", "1e2", " 5", "٣", "9" * 5000])
def test_a_limit_that_is_none_is_refused_with_what_was_expected(limit: str) -> None:
    with pytest.raises(SettingProblem, match="limit in the address is '") as caught:
        parse_page({"limit": limit})
    assert "a whole number from 1 to 500" in str(caught.value)
    assert len(str(caught.value)) < 400


def test_another_argument_is_refused_by_name() -> None:
    with pytest.raises(SettingProblem, match="'page' is not an argument of swarm/workers"):
        parse_page({"page": "2"})
