"""A run whose master was killed: its results from the last state that it wrote. Run by test_patched.py."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import msgpack  # type: ignore[import-untyped]
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "export"))

from sample_runs import make_run

from inference_swarm.errors import DataError
from inference_swarm.export.recovery import recover_run
from inference_swarm.export.saved_run import read_run


def interrupted(folder: Path) -> Path:
    run = make_run(intervals=3, slo=("p50<1us",))
    known = {
        "version": 1, "run_id": "run", "run": "a-run", "started_unix_s": 1_700_000_000.0,
        "settings": run.settings.to_dict(), "versions": {},
        "data": {"source": "rows.parquet", "rows": 300, "blocks": 5, "fingerprint": "f00d"},
    }  # fmt: skip
    state = {
        "version": 1, "is_ended": False, "duration_s": 9.0, "lost_workers": {"worker-9": "fell over"}, "once": None,
        "totals": run.totals.to_state(),
    }  # fmt: skip
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps(known), encoding="utf-8")
    (folder / "state.msgpack").write_bytes(msgpack.packb(state))
    return folder


def test_all_numbers_up_to_the_last_report_are_there_and_the_run_is_not_complete(tmp_path: Path) -> None:
    folder = interrupted(tmp_path / "run")
    recover_run(folder)
    saved = read_run(folder)
    assert saved.summary["requests"] == 6000
    assert saved.summary["complete"] is False
    assert saved.summary["verdict"] == "objective missed"
    assert any("the master was killed" in reason for reason in saved.summary["reasons"])
    assert "fell over" in saved.summary["incomplete_workers"]["worker-9"]
    assert len(saved.rows) == 3
    assert "Objective missed" in (folder / "report.html").read_text(encoding="utf-8")


def test_a_state_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    folder = interrupted(tmp_path / "run")
    (folder / "state.msgpack").write_bytes(b"\xc1")
    with pytest.raises(DataError, match="state of the run"):
        recover_run(folder)
