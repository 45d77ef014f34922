"""The clock that workers share, and who is told which part when workers change. Run by test_patched.py."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from inference_swarm.wiring.arrivals import BEGIN_MESSAGE, CHANGE_LEAD_NS, ArrivalParts, MasterClock, boot_id

MS = 1_000_000
ELSEWHERE = "another machine"


def test_the_quickest_answer_is_believed() -> None:
    clock = MasterClock()
    # The master's clock is 1,000 ms ahead; answers take 2 + 8, then 1 + 1, then 9 + 1 ms.
    clock.note(0, 1_002 * MS, 10 * MS, ELSEWHERE)
    clock.note(20 * MS, 1_021 * MS, 22 * MS, ELSEWHERE)
    clock.note(40 * MS, 1_049 * MS, 50 * MS, ELSEWHERE)
    assert clock.error_ns == 1 * MS
    assert clock.to_local_ns(5_000 * MS) == 4_000 * MS


def test_without_an_answer_a_message_is_better_than_nothing_and_an_answer_better_than_that() -> None:
    clock = MasterClock()
    clock.note_message(1_000 * MS, 7 * MS, ELSEWHERE)
    assert clock.to_local_ns(1_000 * MS) == 7 * MS
    clock.note(8 * MS, 1_004 * MS, 10 * MS, ELSEWHERE)
    clock.note_message(2_000 * MS, 3_000 * MS, ELSEWHERE)
    assert clock.to_local_ns(1_004 * MS) == 9 * MS


def test_on_the_masters_machine_the_clocks_are_one() -> None:
    clock = MasterClock()
    clock.note(0, 500 * MS, 80 * MS, boot_id())
    assert (clock.to_local_ns(7), clock.error_ns) == (7, 0) or not boot_id()


class Runner:
    """Takes the messages that a master would send."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.clients = {"a": 1, "b": 1, "c": 1}

    def register_message(self, *_: Any, **__: Any) -> None:
        return

    def send_message(self, kind: str, data: dict[str, Any], worker: str) -> None:
        assert kind == BEGIN_MESSAGE
        self.sent.append((worker, data))

    def parts(self) -> dict[str, tuple[int, int]]:
        parts = {worker: (data["place"], data["of"]) for worker, data in self.sent}
        self.sent.clear()
        return parts


def test_parts_follow_the_workers_from_one_agreed_instant_on() -> None:
    runner = Runner()
    parts = ArrivalParts(runner)
    parts.on_workers_changed(["a"])
    assert runner.parts() == {}  # no run
    parts.begin("run", 10**15, ["a", "b"])
    assert {data["from_ns"] for _, data in runner.sent} == {0}
    assert runner.parts() == {"a": (0, 2), "b": (1, 2)}
    parts.on_workers_changed(["a", "b"])
    assert runner.parts() == {}
    parts.on_workers_changed(["a", "b", "c"])
    assert runner.parts() == {"a": (0, 3), "b": (1, 3), "c": (2, 3)}
    parts.on_workers_changed(["b", "c"])  # a leaves but is still here: it plays nothing from then on
    assert runner.parts() == {"b": (0, 2), "c": (1, 2), "a": (0, 0)}
    del runner.clients["c"]  # c is gone
    parts.on_workers_changed(["b"])
    assert runner.parts() == {"b": (0, 1)}


def test_a_change_lies_ahead_of_what_workers_have_looked_at(monkeypatch: Any) -> None:
    from inference_swarm.load.player import AHEAD_NS
    from inference_swarm.wiring import arrivals

    monkeypatch.setattr(arrivals, "time", SimpleNamespace(monotonic_ns=lambda: 50_000 * MS))
    runner = Runner()
    parts = ArrivalParts(runner)
    parts.begin("run", 20_000 * MS, ["a"])
    runner.sent.clear()
    parts.on_workers_changed(["a", "b"])
    assert {data["from_ns"] for _, data in runner.sent} == {30_000 * MS + CHANGE_LEAD_NS}
    assert CHANGE_LEAD_NS > 2 * AHEAD_NS
