"""What processes of pytest share: locks, turns, things made once. Here with threads, each with a lock of its own."""

from __future__ import annotations

import fcntl
import threading
from pathlib import Path

import pytest
from suite import shared
from suite.alone import turn
from suite.inner_session import run_inner
from swarm_processes import wait_until


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(shared.FOLDER_VARIABLE, str(tmp_path))
    return tmp_path


def is_locked(path: Path) -> bool:
    with path.open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_one_that_waits_to_be_alone_goes_before_those_that_came_after_it(folder: Path) -> None:
    order: list[str] = []

    def take(name: str, is_alone: bool) -> None:
        with turn(is_alone=is_alone):
            order.append(name)

    with turn(is_alone=False):
        with turn(is_alone=False):
            order.append("two together")
        alone = threading.Thread(target=take, args=("alone", True))
        alone.start()
        wait_until(lambda: is_locked(folder / "gate"), 10, "that it waits")
        late = threading.Thread(target=take, args=("late", False))
        late.start()
        assert order == ["two together"]
        order.append("first ends")
    alone.join()
    late.join()
    assert order == ["two together", "first ends", "alone", "late"]


def test_a_thing_is_made_once_by_the_first_that_asks_and_again_only_after_a_failure() -> None:
    made: list[str] = []

    def make(text: str) -> str:
        made.append(text)
        if text == "broken":
            raise ValueError(text)
        return text

    with pytest.raises(ValueError, match="broken"):
        shared.once("thing", lambda: make("broken"))
    assert [shared.once("thing", lambda text=text: make(text)) for text in ("a", "b")] == ["a", "a"]  # type: ignore[misc]
    assert made == ["broken", "a"]


@pytest.mark.processes
def test_processes_of_one_session_make_a_thing_once_and_the_end_of_it_runs_the_commands(tmp_path: Path) -> None:
    tests = """
import os, pytest
from pathlib import Path
from suite import shared

@pytest.mark.parametrize("number", range(4))
def test_it(number):
    def make():
        shared.run_at_end(["touch", "ended"])
        return os.environ["PYTEST_XDIST_WORKER"]

    Path(os.environ["PYTEST_XDIST_WORKER"] + ".saw").write_text(shared.once("thing", make))
    assert not Path("ended").exists()
"""
    said = run_inner(tmp_path, tests, "-n", "2", "--dist", "each")
    assert "8 passed" in said, said
    assert (tmp_path / "ended").exists()
    assert len({file.read_text() for file in tmp_path.glob("*.saw")}) == 1
    assert len(list(tmp_path.glob("*.saw"))) == 2
