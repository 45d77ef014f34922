"""What a run's folder holds while the run goes on, so that a master that is killed leaves everything up to the last
report: `run.json`, written once at its begin, and `state.msgpack`, replaced soon after every report. docs/results.md.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import gevent
import msgpack  # type: ignore[import-untyped]
from gevent.event import Event

from inference_swarm.data.progress import OnceNumbers
from inference_swarm.errors import ProtocolError
from inference_swarm.export.run_folder import write_json
from inference_swarm.export.summary import versions
from inference_swarm.measure.totals import SwarmTotals
from inference_swarm.run.run import Run

RUN_FILE = "run.json"
STATE_FILE = "state.msgpack"
VERSION = 1
# Reports of many workers that come together are written together.
GATHER_S = 0.25


class StateFile:
    """Writes the state of one run from its begin to its end, off the event loop."""

    def __init__(self, run: Run, once_numbers: Callable[[], OnceNumbers | None]) -> None:
        assert run.folder is not None
        self._run = run
        self._once_numbers = once_numbers
        self._path = run.folder / STATE_FILE
        self._is_due = Event()
        write_json(run.folder / RUN_FILE, describe_run(run))
        self._writer = gevent.spawn(self._write_on_and_on)

    def write_soon(self) -> None:
        """A report has come."""
        self._is_due.set()

    def close(self) -> None:
        """The run has ended in good order; its last state stays beside the results."""
        self._writer.kill(block=True)
        self._write(is_ended=True)

    def _write_on_and_on(self) -> None:
        while True:
            self._is_due.wait()
            gevent.sleep(GATHER_S)
            self._is_due.clear()
            self._write(is_ended=False)

    def _write(self, *, is_ended: bool) -> None:
        run, once = self._run, self._once_numbers()
        state = {
            "version": VERSION,
            "is_ended": is_ended,
            "duration_s": run.duration_s,
            "lost_workers": dict(run.lost_workers),
            "once": None if once is None else asdict(once),
            "totals": run.totals.to_state(),
        }
        gevent.get_hub().threadpool.apply(_replace, (self._path, state))


def describe_run(run: Run) -> dict[str, Any]:
    """What is known of a run when it begins."""
    assert run.folder is not None
    return {
        "version": VERSION,
        "run_id": run.run_id,
        "run": run.folder.name,
        "started_unix_s": run.started_unix_s,
        "settings": run.settings.to_record(),
        "data": {
            "source": run.source,
            "rows": run.manifest.rows,
            "blocks": len(run.manifest.blocks),
            "fingerprint": run.manifest.fingerprint,
        },
        "versions": versions(),
    }


@dataclass(frozen=True, slots=True)
class SavedState:
    """What `state.msgpack` holds. A run whose state is not `is_ended` was interrupted, or goes on still."""

    is_ended: bool
    duration_s: float
    lost_workers: dict[str, str]
    once: dict[str, int] | None
    totals: SwarmTotals


def read_state(folder: Path) -> SavedState:
    """The last state of the run in a folder. FileNotFoundError without one; ProtocolError when it cannot be used."""
    try:
        state = msgpack.unpackb((folder / STATE_FILE).read_bytes(), strict_map_key=False)
        if state["version"] != VERSION:
            raise ProtocolError(f"state of version {state['version']!r} in {folder}", expected=f"version {VERSION}")
        return SavedState(
            bool(state["is_ended"]),
            float(state["duration_s"]),
            dict(state["lost_workers"]),
            state["once"],
            SwarmTotals.from_state(state["totals"]),
        )
    except (ValueError, KeyError, TypeError, msgpack.UnpackException) as error:
        raise ProtocolError(f"the state in {folder} cannot be read ({error!r})") from error


def _replace(path: Path, state: dict[str, Any]) -> None:
    beside = path.with_name(path.name + ".part")
    with beside.open("wb") as file:
        file.write(msgpack.packb(state))
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
