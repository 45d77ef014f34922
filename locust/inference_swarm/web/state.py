"""The state of the swarm as plain values, and the document that page and tests read. Pure: no clock, no Locust.

Metrics have the names and units that they have in summary.json; docs/web-ui.md lists the fields.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from inference_swarm.config.documents import Document, ReadDocument
from inference_swarm.export.metrics import counter_metrics, verdict_metrics
from inference_swarm.judge.self_check import SelfCheckWarning, is_generator_bottleneck
from inference_swarm.judge.verdict import Verdict
from inference_swarm.measure.counters import RequestCounters, merge_counters
from inference_swarm.measure.snapshot import OtherCounts
from inference_swarm.web.worker_rows import WorkerState, worker_rows

# Of many workers in the same trouble a few tell it all.
MAX_WARNINGS = 20


@dataclass(frozen=True, slots=True)
class RunState:
    """The run under way, or the last one; `names` are the merged counters, to be read only."""

    run_id: str
    name: str
    started_unix_s: float
    duration_s: float
    measured_s: float
    is_over: bool
    target: str
    dataset: str
    model: str
    method: str
    api: str
    load: str
    source: str
    rows: int
    blocks: int
    fingerprint: str
    names: Mapping[str, RequestCounters]
    verdict: Verdict
    warnings: Sequence[SelfCheckWarning] = ()
    rate_wanted_rps: float | None = None
    """What an open load asks for at this moment."""
    files: Sequence[str] = ()
    """Result files that can be opened by now."""
    stale_reports: int = 0
    duplicates: int = 0
    left_out: ReadDocument | None = None
    """What was sent before what counts, as in summary.json."""
    others: OtherCounts = field(default_factory=OtherCounts)
    """What is in Locust's tables only."""
    capacity: ReadDocument | None = None
    """A search for a capacity and what it has come to, as in summary.json."""
    answers: ReadDocument | None = None
    """Answers that were looked at, as in summary.json but for what is over time or load."""
    unserved: int = 0
    """Requests that were asked for and are in no counter, once that is known."""


@dataclass(frozen=True, slots=True)
class SwarmState:
    """Everything at one instant; `state` is Locust's word, `refused` why the last start was refused."""

    state: str
    users: int
    users_wanted: int
    workers: Sequence[WorkerState]
    run: RunState | None = None
    refused: str = ""
    users_draining: int = 0
    """Users that are stopping while others run in their place; `users` are without them."""

    @property
    def rate_rps(self) -> float:
        """Return the requests that ended per second, in the last report of each worker."""
        return sum(worker.rate_rps for worker in self.workers)

    @property
    def rows_per_s(self) -> float:
        """Return the rows of these requests per second."""
        return sum(worker.rows_per_s for worker in self.workers)


def state_document(swarm: SwarmState) -> Document:
    """Return the document at `swarm/state`."""
    return {
        "state": swarm.state,
        "users": swarm.users,
        "users_wanted": swarm.users_wanted,
        "users_draining": swarm.users_draining,
        "rate_now_rps": round(swarm.rate_rps, 3),
        "rows_now_per_s": round(swarm.rows_per_s, 3),
        "refused": swarm.refused,
        "worker_count": len(swarm.workers),
        "workers": worker_rows(swarm.workers),
        "run": None if swarm.run is None else _run(swarm.run),
    }


def _run(run: RunState) -> Document:
    return {
        "run_id": run.run_id,
        "run": run.name,
        "started_unix_s": round(run.started_unix_s, 3),
        "duration_s": round(run.duration_s, 3),
        "is_over": run.is_over,
        "target": run.target,
        "dataset": run.dataset,
        "model": run.model,
        "method": run.method,
        "api": run.api,
        "load": run.load,
        "rate_wanted_rps": run.rate_wanted_rps,
        "measured_s": round(run.measured_s, 3),
        "left_out": run.left_out,
        "other_users": asdict(run.others),
        **verdict_metrics(run.verdict),
        "generator_bound": is_generator_bottleneck(run.warnings),
        "self_check": [asdict(warning) for warning in run.warnings[:MAX_WARNINGS]],
        "self_check_left_out": max(0, len(run.warnings) - MAX_WARNINGS),
        "capacity": run.capacity,
        "answers": run.answers,
        "data": {"source": run.source, "rows": run.rows, "blocks": run.blocks, "fingerprint": run.fingerprint},
        "files": list(run.files),
        **counter_metrics(merge_counters(run.names.values()), run.measured_s, run.unserved),
    }
