"""Keeps a run in its folder while it goes on, so that a master that is killed leaves everything up to the last
report: `run.json`, written once at its begin, and `state.msgpack`, replaced soon after every report. docs/results.md.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

import gevent
import msgpack  # type: ignore[import-untyped]
from gevent.event import Event

from inference_swarm.config.documents import Document
from inference_swarm.data.progress import OnceNumbers
from inference_swarm.data.threads import run_in_pool
from inference_swarm.errors import ProtocolError
from inference_swarm.export.run_folder import write_json
from inference_swarm.export.summary import versions
from inference_swarm.run.run import Run

RUN_FILE = "run.json"
STATE_FILE = "state.msgpack"
VERSION = 2
# Reports of many workers that come together are written together; the longer that takes, the more of them, so that the
# checkpoints of a swarm of thousands, whose reports never pause, cost a few per cent of a core at most.
GATHER_S, MAX_GATHER_S = 0.25, 6.0
PAUSE_PER_READ = 60.0  # of the time in which the event loop waits for the state to be read
logger = logging.getLogger(__name__)


class Checkpoint:
    """Writes the state of one run from its begin to its end, off the event loop; one write at a time."""

    def __init__(self, run: Run, once_numbers: Callable[[], OnceNumbers | None]) -> None:
        self._run = run
        self._once_numbers = once_numbers
        self._path = run.folder / STATE_FILE
        self._is_due = Event()
        self._closing = Event()
        self._read_s = 0.0
        self._writer = gevent.spawn(self._write_loop)

    def write_soon(self) -> None:
        """Write the state soon, as a report has arrived."""
        self._is_due.set()

    def close(self) -> None:
        """Wait for a write under way. The run's last state stays beside its results."""
        self._closing.set()
        self._is_due.set()
        self._writer.join()
        self._write(is_ended=True)

    def _write_loop(self) -> None:
        self._try(partial(write_begin, self._run))
        while True:
            self._is_due.wait()
            self._closing.wait(min(MAX_GATHER_S, max(GATHER_S, PAUSE_PER_READ * self._read_s)))
            self._is_due.clear()
            if self._closing.is_set():
                return
            self._write(is_ended=False)

    def _try(self, task: Callable[[], None]) -> None:
        try:
            run_in_pool(gevent.get_hub().threadpool.apply, task)
        except OSError as error:  # a full disk, say: the run goes on, and its results may still be written
            logger.error("The state of the run could not be saved: %s", error)

    def _write(self, *, is_ended: bool) -> None:
        once = self._run.course.once if is_ended else self._once_numbers()
        began_s = time.monotonic()
        state = {"version": VERSION, "is_ended": is_ended, **self._run.to_state(once)}
        self._read_s = time.monotonic() - began_s
        self._try(partial(_replace, self._path, state))


def describe_run(run: Run) -> Document:
    """Return what is known of a run when it begins."""
    return {
        "version": VERSION,
        "run_id": run.run_id,
        "run": run.folder.name,
        "started_unix_s": run.started_unix_s,
        "settings": run.plan.settings.to_record(),
        "sources": dict(run.plan.sources),
        "data": asdict(run.data),
        "versions": versions(),
    }


def write_begin(run: Run) -> None:
    """Write `run.json`."""
    write_json(run.folder / RUN_FILE, describe_run(run))


def read_state(folder: Path) -> Document:
    """Read the last state of a run's folder. FileNotFoundError without one; ProtocolError when it cannot be used."""
    try:
        state: Document = msgpack.unpackb((folder / STATE_FILE).read_bytes(), strict_map_key=False)
        version = state["version"]
    except (ValueError, KeyError, TypeError, msgpack.UnpackException) as error:
        raise ProtocolError(f"the state in {folder} cannot be read ({error!r})") from error
    if version != VERSION:
        raise ProtocolError(f"state of version {version!r} in {folder}", expected=f"version {VERSION}")
    return state


def _replace(path: Path, state: Document) -> None:
    beside = path.with_name(path.name + ".part")
    with beside.open("wb") as file:
        file.write(msgpack.packb(state))
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
