"""Disks that are slow, full or gone. Run by test_patched.py."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gevent
import pytest
from gevent.monkey import get_original
from recovery_cases import run_in

from inference_swarm.export import results
from inference_swarm.export.checkpoint import RUN_FILE, STATE_FILE, Checkpoint

make_lock = get_original("_thread", "allocate_lock")


def test_the_event_loop_goes_on_while_results_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = make_lock()
    disk.acquire()

    def write(*_: object) -> dict[str, Any]:
        assert disk.acquire(timeout=20), "nothing else ran meanwhile"
        return {"requests": 1, "exit_code": 1}

    monkeypatch.setattr(results, "write_run_files", write)
    environment: Any = SimpleNamespace(
        parsed_options=SimpleNamespace(exit_code_on_error=1, headless=False), runner=None
    )
    gevent.spawn(disk.release)
    assert results.write_results(run_in(tmp_path), environment)["requests"] == 1
    assert environment.process_exit_code == 1


def test_what_cannot_be_saved_ends_neither_the_run_nor_its_last_state(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    checkpoint = Checkpoint(run_in(tmp_path / "gone"), lambda: None)
    checkpoint.close()
    assert [record.getMessage()[:40] for record in caplog.records] == ["The state of the run could not be saved:"] * 2
    assert "Traceback" not in capfd.readouterr().err


def test_a_run_is_described_when_it_begins(tmp_path: Path) -> None:
    checkpoint = Checkpoint(run_in(tmp_path), lambda: None)
    checkpoint.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == [RUN_FILE, STATE_FILE]
