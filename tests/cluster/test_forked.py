"""What becomes of a master whose forked workers end before they have joined."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from unittest.mock import patch

import gevent
import pytest

from inference_swarm.cluster.forked import count_children, wait_for_joined


def in_turn(*counts: int) -> Callable[[], int]:
    remaining = list(counts)
    return lambda: remaining.pop(0) if len(remaining) > 1 else remaining[0]


def wait(joined: Callable[[], int], there: Callable[[], int]) -> str:
    with patch.object(gevent, "sleep"):
        return wait_for_joined(3, joined, there)


def test_all_have_joined() -> None:
    assert wait(in_turn(0, 0, 1, 1, 3), in_turn(3)) == ""


def test_one_that_ends_before_it_joins_is_not_waited_for() -> None:
    reason = wait(in_turn(0, 1), in_turn(3, 3, 2))
    assert reason.startswith("1 of the 3 worker processes that this master forked have ended before they joined")


def test_one_that_ends_after_all_have_joined_is_the_runs_affair() -> None:
    assert wait(in_turn(2, 3), in_turn(2)) == ""


@pytest.mark.processes
def test_children_that_have_ended_are_not_counted() -> None:

    before = count_children()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert count_children() == before + 1
        assert child.stdin is not None
        child.stdin.close()
        child.wait()
        assert count_children() == before
