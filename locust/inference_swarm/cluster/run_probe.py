"""Before a run begins, one of its workers asks the server: is it ready, does it answer one row? In PREPARING.

A worker, since in a cluster only workers may reach the server. It is asked again for another one only when the first
is gone before it has replied. Handlers of coordinator.TABLE, and a part of its follow-up.
"""

from __future__ import annotations

from inference_swarm.cluster.events import Received
from inference_swarm.cluster.presence import REPEAT_S
from inference_swarm.cluster.protocol import ProbeTarget, TargetProbed
from inference_swarm.cluster.run_common import give_up, job_of
from inference_swarm.cluster.state import Coordinator, Job
from inference_swarm.errors import ExitCode


def is_probed(state: Coordinator, job: Job, now_s: float) -> bool:
    """Return whether the run may begin as far as the server is concerned; asks a worker with rows when it may not."""
    assert job.rows is not None
    if job.is_probed or not job.load.asks_server:
        return True
    hosts = job.rows.hosts()
    if job.prober not in hosts:
        job.prober, job.probe_sent_s = hosts[0], None
        job.notified_s = now_s
        took_s = now_s - job.since_s
        state.note(f"Loaded: {job.rows.describe()}, {took_s:.1f} s; worker {job.prober} asks the server")
    if job.probe_sent_s is None or now_s - job.probe_sent_s > REPEAT_S:
        job.probe_sent_s = now_s
        state.send(state.members[job.prober], ProbeTarget(job.run_id))
    return False


def is_asking(job: Job) -> bool:
    """Return whether a worker asks the server now."""
    rows = job.rows
    return rows is not None and not job.is_probed and rows.is_settled and job.prober in rows.hosts()


def probed(state: Coordinator, event: Received, now_s: float) -> None:
    """The worker has asked: the run goes on, or is refused in the server's words."""
    message, job = event.message, job_of(state)
    assert isinstance(message, TargetProbed)
    if event.worker != job.prober or job.is_probed:
        return
    if not message.code:
        job.is_probed = True
        state.note(message.text, "warning" if message.is_warning else "info")
    elif message.code == ExitCode.TARGET_UNREACHABLE:
        give_up(state, message.text, ExitCode.TARGET_UNREACHABLE)
    else:
        give_up(state, message.text, ExitCode.BAD_CONFIGURATION)
