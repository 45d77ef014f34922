"""Which workers take part in a run, and how many users they are wanted to run. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable

from inference_swarm.cluster.distribution import UserClass
from inference_swarm.cluster.file_limit import reason_against_users
from inference_swarm.cluster.run_users import RunUsers
from inference_swarm.cluster.state import Coordinator, Job
from inference_swarm.cluster.uncounted import Order

NS_PER_S = 1_000_000_000


def first_hosts(state: Coordinator, job: Job) -> list[str]:
    """Return the workers that a run begins with."""
    able = able_workers(state, job)
    return able[: _wanted_hosts(job, able)]


def reason_against_files(state: Coordinator, job: Job, hosts: list[str]) -> str:
    """Return why these workers cannot connect all users that are wanted; empty if they can."""
    limits = {worker: state.members[worker].files_limit for worker in hosts}
    return reason_against_users(_peak_users(job), job.load.connections_each, limits)


def choose_hosts(state: Coordinator, job: Job) -> None:
    """Let workers join or leave the run's rows, as few as possible."""
    assert job.rows is not None
    able = able_workers(state, job)
    wanted, can, current = _wanted_hosts(job, able), set(able), []
    for worker in job.rows.workers:
        if worker in can:
            current.append(worker)
        else:
            job.rows.leave(worker)
    has = set(current)
    joining = [worker for worker in able if worker not in has][: max(0, wanted - len(current))]
    if joining:
        current += joining
        job.rows.join(*joining)
    # Those that can run users stay rather than those that still load.
    current.sort(key=job.rows.is_host, reverse=True)
    for worker in reversed(current[wanted:]):
        job.rows.leave(worker)


def _wanted_hosts(job: Job, able: list[str]) -> int:
    """Return the wanted hosts: at most one for each user, as rows that nobody sends would be left unsent."""
    return min(len(able), max(1, _peak_users(job)))


def able_workers(state: Coordinator, job: Job) -> list[str]:
    """Return the workers that can be given rows and users."""
    failures = job.course.failures
    return [
        member.worker for member in state.members.values() if member.may_take_part and member.worker not in failures
    ]


def _peak_users(job: Job) -> int:
    """Return the maximum of users wanted from now on; in order once, the present number, as all rows must be sent."""
    users = job.wanted[0]
    stages = job.load.stages
    if stages is not None and not job.load.is_once:
        return max(users, math.ceil(stages.highest))
    return users


def begin_users(state: Coordinator, job: Job, now_s: float) -> None:
    """Begin the load: users are spawned."""
    course = job.course
    assert course.began_s is not None
    users, spawn_rate = job.wanted
    job.users = RunUsers(
        job.run_id, job.classes, spawn_rate, course.began_s, state.config.boot,
        is_open=job.load.is_open, few_workers=state.config.few_workers,
    )  # fmt: skip
    if course.steps:
        job.users.set_steps(course.steps)
    want_users(job, users, spawn_rate, now_s)


def want_users(
    job: Job, users: int, spawn_rate: float, now_s: float, classes: Iterable[UserClass] | None = None
) -> None:
    """Aim at the given number of users from now on."""
    assert job.users is not None
    job.wanted = (users, spawn_rate)
    job.is_complete_notified = False
    job.is_placement_due, job.placed_s = True, -math.inf  # at once
    job.users.want(users, spawn_rate, now_s, classes)


def exposed(job: Job, worker: str, generation: int, now_s: float) -> None:
    """The worker was assigned users: from now on it may send, so its last report is expected."""
    assert job.users is not None
    users, partition = job.users.users_of(worker), job.users.partition_of(worker)
    share = len(partition.indexes) / partition.count if partition.count else 0.0
    if users and not job.course.totals.is_complete_for(worker):
        job.course.totals.expect(worker)
        job.waited_for.add(worker)
    order = Order(generation, users, share, partition.from_ns / NS_PER_S, partition.indexes)
    job.uncounted.notified(worker, order, now_s)
