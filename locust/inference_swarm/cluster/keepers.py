"""What the runners ask of those who keep runs: shards, snapshots, results. Wiring fills these in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class RunKeeper(Protocol):
    """What master and single process do around a run."""

    def prepare_run(self) -> None:
        """Blocks until rows are ready to be sent. Raises SwarmError to refuse the run."""

    def refuse_run(self, error: Any) -> None:
        """The run could not be prepared."""

    def forget_run(self) -> None:
        """The run that was being prepared will not be."""

    def begin_run(self) -> None:
        """The first user is about to be spawned."""

    def end_load(self) -> None:
        """Users are about to be stopped: the measured time ends here."""

    def finish_run(self) -> None:
        """All users have been told to stop: collect what is missing and write the results."""


class MasterKeeper(RunKeeper, Protocol):
    """What the master does besides when workers come, report and go. None of these may wait."""

    @property
    def run_id(self) -> str:
        """Of the run under way or being prepared; empty if there is none."""

    def serving_workers(self) -> tuple[str, ...]:
        """Workers that have rows to send."""

    def worker_joined(self, worker: str) -> None:
        """It may be given rows."""

    def worker_leaving(self, worker: str) -> None:
        """It goes in good order: its rows go to others, its last report is still to come."""

    def worker_left(self, worker: str, reason: str) -> None:
        """It is gone: with `reason` "" in good order, else lost for that reason."""

    def take_report(self, worker: str, data: Mapping[str, Any]) -> bool:
        """A report has come. True when Locust is to count its part of it as well."""

    def spawned(self, worker: str) -> None:
        """The worker was told to run users for the first time, so a last report is expected of it."""


class WorkerKeeper(Protocol):
    """What a worker does around a run."""

    def finish_run(self) -> None:
        """All users have stopped; the next report is the final one."""

    def welcome(self, run_id: str) -> None:
        """The worker has joined a master that is about this run."""

    def sent_report(self, data: Mapping[str, Any]) -> None:
        """A report was sent; it is kept until the master has said that it has it."""

    def wait_delivered(self, timeout_s: float) -> bool:
        """Waits until the master has every report. False when it has not after the time."""
