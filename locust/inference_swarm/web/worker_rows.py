"""The rows of the page's table of workers: those in trouble first; of many workers one row a host. Pure.

A page of two thousand workers costs no more than one of fifty: what it gets is sums.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from inference_swarm.cluster.run_rows import RowsState
from inference_swarm.config.documents import Document
from inference_swarm.measure.snapshot import WorkerHealth

MAX_SINGLE = 20
MAX_HOSTS = 30
BUSY_PERCENT = 90.0
LATE_MS = 10.0
_NUMBER_OF_WORKER = re.compile(r"_[0-9a-f]{8}$")


@dataclass(frozen=True, slots=True)
class WorkerState:
    """One worker as the master sees it; `state` is Locust's word."""

    id: str
    state: str
    users: int
    rate_rps: float
    rows_per_s: float
    cpu_percent: float
    memory_bytes: int
    health: WorkerHealth = field(default_factory=WorkerHealth)
    shard: RowsState | None = None


def worker_rows(workers: Sequence[WorkerState]) -> list[Document]:
    """Return a document for each row; `workers` and `hosts` say how many it stands for, `trouble` what is wrong."""
    ordered = sorted(workers, key=lambda worker: (-_trouble(worker), worker.id))
    if len(ordered) <= MAX_SINGLE:
        return [single_row(worker) for worker in ordered]
    single = [worker for worker in ordered[:MAX_SINGLE] if _trouble(worker)]
    rows = [single_row(worker) for worker in single]
    groups: dict[str, list[WorkerState]] = {}
    for worker in ordered[len(single) :]:
        groups.setdefault(host_of(worker.id), []).append(worker)
    hosts = sorted(groups, key=lambda host: (-len(groups[host]), host))
    kept = hosts if len(hosts) <= MAX_HOSTS else hosts[: MAX_HOSTS - 1]
    rows += [_summed(host, groups[host], 1) for host in sorted(kept)]
    rest = hosts[len(kept) :]
    if rest:
        rows.append(_summed("", [worker for host in rest for worker in groups[host]], len(rest)))
    return rows


def single_row(worker: WorkerState) -> Document:
    """Return the row of one worker."""
    return _row(worker.id, [worker], 1)


def host_of(worker_id: str) -> str:
    """Return the name of the machine on which a worker runs."""
    return _NUMBER_OF_WORKER.sub("", worker_id)


def _trouble(worker: WorkerState) -> int:
    """Gone, loading, late, busy: what is worse counts more than all that is less bad."""
    is_loading = worker.shard is not None and not worker.shard.is_ready
    return 8 * (worker.state == "missing") + 4 * is_loading + 2 * _is_late(worker) + _is_busy(worker)


def _is_late(worker: WorkerState) -> bool:
    return (worker.health.loop_lag_p99_ms or 0.0) >= LATE_MS


def _is_busy(worker: WorkerState) -> bool:
    return worker.cpu_percent >= BUSY_PERCENT


def _summed(host: str, group: Sequence[WorkerState], hosts: int) -> Document:
    return _row(group[0].id if len(group) == 1 else host, group, hosts)


def _row(name: str, group: Sequence[WorkerState], hosts: int) -> Document:
    """Sums; of CPU and lags the worst."""
    shards = [worker.shard for worker in group if worker.shard is not None]
    states = Counter(worker.state for worker in group)
    return {
        "id": name,
        "workers": len(group),
        "hosts": hosts,
        "state": ", ".join(state if count == len(group) else f"{count:,} {state}" for state, count in states.items()),
        "users": sum(worker.users for worker in group),
        "rate_rps": round(sum(worker.rate_rps for worker in group), 3),
        "rows_per_s": round(sum(worker.rows_per_s for worker in group), 3),
        "cpu_percent": round(max(worker.cpu_percent for worker in group), 1),
        "memory_bytes": sum(worker.memory_bytes for worker in group),
        **{name: _worst(group, name) for name in ("loop_lag_p99_ms", "loop_lag_max_ms", "scheduling_lag_p99_ms")},
        "is_busy": any(_is_busy(worker) for worker in group),
        "is_late": any(_is_late(worker) for worker in group),
        "shard": _shard(shards),
    }


def _shard(shards: Sequence[RowsState]) -> Document | None:
    if not shards:
        return None
    if len(shards) == 1:
        return asdict(shards[0])
    return {
        "blocks": sum(shard.blocks for shard in shards),
        "rows": sum(shard.rows or 0 for shard in shards),
        "ready_rows": sum(shard.ready_rows or 0 for shard in shards),
        "ready_bytes": sum(shard.ready_bytes or 0 for shard in shards),
        "is_ready": all(shard.is_ready for shard in shards),
    }


def _worst(group: Sequence[WorkerState], name: str) -> float | None:
    values = [value for worker in group if (value := getattr(worker.health, name)) is not None]
    return max(values, default=None)
