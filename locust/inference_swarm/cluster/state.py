"""The coordinator's state: its phase, its workers, the run under way. Values; coordinator.py decides by them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from inference_swarm.cluster.attendance import Attendance
from inference_swarm.cluster.distribution import FEW_WORKERS, UserClass
from inference_swarm.cluster.events import Action, Note, Send
from inference_swarm.cluster.protocol import Message
from inference_swarm.cluster.request_budget import RequestBudget
from inference_swarm.cluster.run_rows import RunRows
from inference_swarm.cluster.run_users import RunUsers
from inference_swarm.cluster.uncounted import Uncounted
from inference_swarm.run.course import LoadPlan, RunCourse

# A worker says something every second, in a large swarm every other, and its lease ends LEASE_S after its last answered
# heartbeat was sent. So who was not heard of for SILENCE_S sends no more, and its users are never there twice.
HEARTBEAT_S = 1.0
LEASE_S = 4.0
SILENCE_S = 5.0


# A master with so many workers spends half of its time for them on heartbeats.
CALM_WORKERS = 500


class Phase(StrEnum):
    """The phase of the run under way; IDLE: there is none."""

    IDLE = "idle"
    PREPARING = "preparing"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    CLOSING = "closing"


@dataclass(frozen=True, slots=True)
class CoordinatorConfig:
    """`ends_after_run`: the process has one run and ends with it. `swarm`: workers forked by this process carry it."""

    ends_after_run: bool = False
    swarm: str = ""
    boot: str = ""
    release: str = ""
    few_workers: int = FEW_WORKERS
    """In a larger swarm workers that come and go are placed together, and differ by more users."""
    silence_s: float = SILENCE_S
    """A worker that was not heard of for longer is lost."""
    lease_s: float = LEASE_S
    """So long after the reply to a heartbeat its worker may run users."""
    calm_workers: int = CALM_WORKERS
    """In a larger swarm heartbeats come half as often."""


@dataclass(slots=True)
class Member:
    """One worker, from its first hello until it has left or is forgotten."""

    worker: str
    session: int
    index: int
    heard_s: float
    files_limit: int = 0  # files that its process may have open; 0: not known
    is_welcome: bool = False  # it has said more than hellos, so it has got the welcome
    is_leaving: bool = False
    lost_s: float | None = None
    state: str = "ready"
    cpu_percent: float = 0.0
    memory_bytes: int = 0
    users: dict[str, int] = field(default_factory=dict)
    rows_sent: tuple[int, float] = (-1, 0.0)  # generation of the last HoldRows of this run, and when it was sent
    users_sent: tuple[int, float] = (-1, 0.0)
    users_applied: int = -1

    def begin_run(self) -> None:
        """Nothing was sent to it for this run yet."""
        self.rows_sent = self.users_sent = (-1, 0.0)
        self.users_applied = -1

    @property
    def is_here(self) -> bool:
        return self.lost_s is None

    @property
    def may_take_part(self) -> bool:
        """True when it can be given rows and users."""
        return self.lost_s is None and not self.is_leaving


@dataclass(slots=True)
class Job:
    """The run under way, from the wish for it until its results are written."""

    course: RunCourse
    classes: tuple[UserClass, ...]
    since_s: float  # when the phase began
    rows: RunRows | None = None
    users: RunUsers | None = None
    budget: RequestBudget | None = None
    uncounted: Uncounted = field(default_factory=Uncounted)
    prober: str = ""  # the worker that asks the server before the run
    probe_sent_s: float | None = None
    is_probed: bool = False
    is_opened: bool = False
    is_test_started: bool = False
    is_complete_notified: bool = False
    is_placement_due: bool = False  # workers, rows or wanted users have changed
    placed_s: float = -math.inf  # when that was last followed
    unapplied: set[str] = field(default_factory=set)  # workers that have not confirmed what users they are to run
    waited_for: set[str] = field(default_factory=set)  # workers whose last report is not in
    alone_since_s: float | None = None
    attendance: Attendance = field(default_factory=Attendance)
    notified_s: float = 0.0  # when people or workers were last notified of what is repeated
    wanted: tuple[int, float] = (0, 1.0)

    @property
    def run_id(self) -> str:
        return self.course.run_id

    @property
    def load(self) -> LoadPlan:
        return self.course.load


@dataclass(slots=True)
class Coordinator:
    """The whole state. Only `coordinator.step` changes it, in place."""

    config: CoordinatorConfig = field(default_factory=CoordinatorConfig)
    phase: Phase = Phase.IDLE
    members: dict[str, Member] = field(default_factory=dict)
    job: Job | None = None
    is_quitting: bool = False
    ends_workers: bool = False
    ticked_s: float | None = None
    late_s: float = 0.0  # of the last ticks, which were late one after the other
    next_index: int = 0
    actions: list[Action] = field(default_factory=list)

    def here(self) -> Iterator[Member]:
        """Return the workers that are not lost, in order of their index."""
        return (member for member in self.members.values() if member.lost_s is None)

    def do(self, action: Action) -> None:
        """Add an action; actions are executed in the order of these calls."""
        self.actions.append(action)

    def send(self, member: Member, message: Message) -> None:
        """Send to the worker's present session."""
        self.actions.append(Send(member.worker, member.session, message))

    def note(self, text: str, level: str = "info") -> None:
        """Write a line to the log."""
        self.actions.append(Note(level, text))
