"""A run whose master was killed: its last state makes the results of a finished one. Run by test_patched.py."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgpack  # type: ignore[import-untyped]
import pytest
from sample_runs import make_run

from inference_swarm.data.locate import Source
from inference_swarm.data.progress import OnceNumbers
from inference_swarm.errors import DataError
from inference_swarm.export.checkpoint import STATE_FILE, VERSION, write_begin
from inference_swarm.export.recovery import UP_TO, read_run, recover_run
from inference_swarm.export.saved_run import SavedRun
from inference_swarm.export.saved_run import read_run as read_saved_run
from inference_swarm.export.summary import build_summary, record_of
from inference_swarm.judge.self_check import SelfCheck
from inference_swarm.measure.counters import RequestCounters
from inference_swarm.measure.intervals import Interval
from inference_swarm.measure.snapshot import WorkerHealth
from inference_swarm.run.course import Change, Loss, RunCourse, Stop, StopCause
from inference_swarm.run.plan import RunPlan, load_of, objectives_of
from inference_swarm.run.run import Run
from inference_swarm.transport.target import target_of

NO_PORTS = WorkerHealth(ports_exhausted=4)


def run_in(folder: Path, *, intervals: int = 3, slo: tuple[str, ...] = (), **settings: object) -> Run:
    """A run as it is kept while it goes on, with everything that may have happened in one."""
    made = make_run(intervals=intervals, slo=slo, **settings)  # type: ignore[arg-type]
    plan = RunPlan(
        made.settings,
        dict(made.sources),
        target_of(made.settings),
        Source("rows.parquet"),
        tuple(objectives_of(made.settings)),
        load_of(made.settings),
    )
    course = RunCourse("run", plan.load, made.totals, began_s=0.0)
    course.losses = {"worker-9": Loss("fell over", 17)}
    course.failures = {"worker-8": "no such file"}
    course.untold_duplicates = 5
    course.changes = [Change(2.5, "7 users at 2 a second")]
    assert made.data is not None
    run = Run(plan, made.data, course, made.totals, folder, made.started_unix_s)
    run.frozen_s = 3.0 * intervals
    run.self_check = SelfCheck()
    run.self_check.observe("worker-0", NO_PORTS)
    run.master_health = WorkerHealth(cpu_percent=42.0)
    return run


def leave(run: Run, once: OnceNumbers | None = None) -> Path:
    """What a killed master leaves of the run."""
    run.folder.mkdir()
    write_begin(run)
    state = {"version": VERSION, "is_ended": False, **run.to_state(once)}
    (run.folder / STATE_FILE).write_bytes(msgpack.packb(state))
    return run.folder


def recovered(folder: Path) -> SavedRun:
    recover_run(folder)
    return read_saved_run(folder)


def test_all_numbers_up_to_the_last_report_are_there_and_the_run_is_not_complete(tmp_path: Path) -> None:
    saved = recovered(leave(run_in(tmp_path / "run", slo=("p50<1us",))))
    assert saved.summary["requests"] == 6000
    assert saved.summary["complete"] is False
    assert (
        "interrupted after 9.0 s (the master was killed: these are the numbers up to its last report)"
        in (saved.summary["reasons"])
    )
    assert len(saved.rows) == 3
    assert "the master was killed" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")


def test_each_interval_is_read_once_for_summary_table_and_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = leave(run_in(tmp_path / "run", intervals=5))
    read: list[int] = []
    total = Interval.total

    def counted(interval: Interval) -> RequestCounters:
        read.append(interval.first)
        return total(interval)

    monkeypatch.setattr(Interval, "total", counted)
    assert [row.requests for row in recovered(folder).rows] == [2000] * 5
    assert read == [0, 1, 2, 3, 4]


def test_a_run_that_had_met_everything_when_its_master_was_killed_is_not_passed(tmp_path: Path) -> None:
    run = run_in(tmp_path / "run", slo=("p50<1s",))
    run.course.losses, run.course.failures, run.course.untold_duplicates = {}, {}, 0
    run.self_check = SelfCheck()
    summary = recovered(leave(run)).summary
    assert (summary["verdict"], summary["objectives"][0]["outcome"]) == ("interrupted", "pass")
    assert summary["exit_code"] != 0


def test_a_recovered_run_says_everything_that_a_finished_one_says(tmp_path: Path) -> None:
    run = run_in(tmp_path / "run", duration_s=60.0, slo=("p50<1us",))
    summary = recovered(leave(run)).summary
    run.course.stop = Stop(StopCause.KILLED, run.duration_s, UP_TO)
    finished = json.loads(json.dumps(build_summary(record_of(run, is_cut_short=True))))
    assert summary.pop("written_unix_s", None) is not None or "written_unix_s" not in finished
    finished.pop("written_unix_s", None)
    assert summary == finished
    assert "up to 17 of its requests" in summary["incomplete_workers"]["worker-9"]
    assert "no such file" in summary["incomplete_workers"]["worker-8"]
    assert any("ran out of local ports" in warning["sentence"] for warning in summary["self_check"])
    assert summary["generator_bound"] is True


def test_arrivals_of_an_open_load_are_accounted_for_up_to_the_last_checkpoint(tmp_path: Path) -> None:
    run = run_in(tmp_path / "run", arrival="constant", rate_rps=1000.0, duration_s=60.0)
    arrivals = recovered(leave(run)).summary["arrivals"]
    assert (arrivals["wanted"], arrivals["sent"], arrivals["unaccounted"]) == (9000, 6000, 3000)


def test_the_account_of_order_once_is_that_of_the_last_checkpoint(tmp_path: Path) -> None:
    once = OnceNumbers(planned=300, sent=250, maybe_sent=20, never_sent=30, possible_duplicates=3)
    summary = recovered(leave(run_in(tmp_path / "run", row_order="once"), once)).summary
    assert summary["once"] == asdict(once)
    assert any("of 20 rows it is not known whether they were sent" in reason for reason in summary["reasons"])


def test_what_is_read_back_is_what_was_kept(tmp_path: Path) -> None:
    run = run_in(tmp_path / "run", intervals=2)
    run.course.stop = Stop(StopCause.ABORTED, 4.5, "too many failures")
    again = read_run(leave(run))
    assert again.to_state(None) == run.to_state(None)
    assert (again.run_id, again.plan.settings, again.plan.objectives) == ("run", run.plan.settings, run.plan.objectives)
    assert (again.course.stop, again.losses) == (run.course.stop, run.losses)


def _without_totals(state: dict[str, Any]) -> bytes:
    del state["totals"]
    packed: bytes = msgpack.packb(state)
    return packed


def _of_another_version(state: dict[str, Any]) -> bytes:
    packed: bytes = msgpack.packb({**state, "version": 1})
    return packed


@pytest.mark.parametrize("spoil", [lambda _: b"\xc1", lambda _: b"", _without_totals, _of_another_version])
def test_a_state_that_cannot_be_used_is_named(tmp_path: Path, spoil: Callable[[dict[str, Any]], bytes]) -> None:
    folder = leave(run_in(tmp_path / "run"))
    path = folder / STATE_FILE
    path.write_bytes(spoil(msgpack.unpackb(path.read_bytes(), strict_map_key=False)))
    with pytest.raises(DataError, match="state of the run"):
        recover_run(folder)
    assert not (folder / "summary.json").exists()
