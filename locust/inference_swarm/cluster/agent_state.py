"""What a worker knows, what happens to it and what it wants done. Values; agent.py decides by them.

Instants are seconds of the worker's own monotonic clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from inference_swarm.cluster.master_clock import MasterClock
from inference_swarm.cluster.protocol import (
    HoldRows,
    Message,
    OnceReport,
    Partition,
    Report,
    RowsLoading,
    RowsReady,
    Wire,
)
from inference_swarm.cluster.state import LEASE_S
from inference_swarm.data.progress import BlockProgress
from inference_swarm.errors import ExitCode


class RunStage(StrEnum):
    """How far this worker is in a run."""

    NONE = "none"
    HOLDING = "holding"  # it holds rows, or loads them; no user has been started
    SENDING = "sending"
    STOPPING = "stopping"  # users are being stopped, for good
    FINAL = "final"  # its last report is made; it may still have to be delivered


# what happens in this process


class AgentEvent:
    """Base of all events but messages."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class RowsAreReady(AgentEvent):
    """All rows of the `Hold` of this generation are in memory."""

    message: RowsReady


@dataclass(frozen=True, slots=True)
class RowsAreLoading(AgentEvent):
    """How far loading is."""

    message: RowsLoading


@dataclass(frozen=True, slots=True)
class RowsCouldNotLoad(AgentEvent):
    """Reading or encoding failed, or the worker refuses the target."""

    run_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class OnceProgressed(AgentEvent):
    """Order once: what is to be reported now."""

    run_id: str
    sequence: int
    progress: Sequence[BlockProgress]


@dataclass(frozen=True, slots=True)
class UsersStopped(AgentEvent):
    """No user of `StopUsers` with this token is left."""

    token: int


@dataclass(frozen=True, slots=True)
class SnapshotTaken(AgentEvent):
    """The snapshot that was asked for. `locust`: Locust's own statistics of the same time; `once`: in the final one."""

    run_id: str
    sequence: int
    is_final: bool
    snapshot: Wire
    locust: Wire = field(default_factory=dict)
    once: OnceReport | None = None


@dataclass(frozen=True, slots=True)
class EndAsked(AgentEvent):
    """This process is to end."""

    reason: str


@dataclass(frozen=True, slots=True)
class AgentTick(AgentEvent):
    """Time has passed."""


# what is to be done


class AgentAction:
    """Base of all actions."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Say(AgentAction):
    """Send a message to the master. It may be lost; the agent repeats what matters."""

    session: int
    message: Message


@dataclass(frozen=True, slots=True)
class OpenChannel(AgentAction):
    """Forget the connection and open a new one."""


@dataclass(frozen=True, slots=True)
class Hold(AgentAction):
    """Hold exactly these rows → RowsAreReady or RowsCouldNotLoad."""

    order: HoldRows


@dataclass(frozen=True, slots=True)
class DropRows(AgentAction):
    """Release all rows; loading stops."""


@dataclass(frozen=True, slots=True)
class DropLeases(AgentAction):
    """Order once: send none of the rows that were leased; others were told to."""


@dataclass(frozen=True, slots=True)
class GiveBackRows(AgentAction):
    """Order once: no more rows are sent. Which were is in the final snapshot."""


@dataclass(frozen=True, slots=True)
class AcknowledgeOnce(AgentAction):
    """Order once: the master has recorded the report."""

    sequence: int


@dataclass(frozen=True, slots=True)
class BeginRecording(AgentAction):
    """The first users of a run are about to start; the run began at `began_s`, perhaps a moment ahead."""

    run_id: str
    began_s: float


@dataclass(frozen=True, slots=True)
class SetPartition(AgentAction):
    """Open load: from now on this part of the arrivals is this worker's, at most until its lease ends."""

    partition: Partition


@dataclass(frozen=True, slots=True)
class SetEpochs(AgentAction):
    """The statistics were reset at these instants, in ns since the run began."""

    epochs_ns: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ExtendLease(AgentAction):
    """Arrivals up to this instant may be taken."""

    until_s: float


@dataclass(frozen=True, slots=True)
class ApplyUsers(AgentAction):
    """Start and stop users until there are these."""

    users: dict[str, int]


@dataclass(frozen=True, slots=True)
class StopUsers(AgentAction):
    """No user sends another request; those in flight may take the stop timeout, or none at all → UsersStopped.

    Arrivals after `arrivals_until_s` are not this worker's. `is_final`: what does not end in time is abandoned.
    """

    token: int
    arrivals_until_s: float
    is_at_once: bool = False
    is_final: bool = False


@dataclass(frozen=True, slots=True)
class TakeSnapshot(AgentAction):
    """Count everything since the last one → SnapshotTaken."""

    run_id: str
    is_final: bool


@dataclass(frozen=True, slots=True)
class DropRecording(AgentAction):
    """Nobody will ask for the numbers of this run any more."""


@dataclass(frozen=True, slots=True)
class EndWorkerProcess(AgentAction):
    """The process may end."""

    code: ExitCode


@dataclass(frozen=True, slots=True)
class AgentNote(AgentAction):
    """A line for the log; `level` as in `logging`."""

    level: str
    text: str


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """Who this worker is. `swarm`: set in workers that a master has forked, who take part in its swarm only."""

    worker: str
    lease_s: float = LEASE_S
    swarm: str = ""
    release: str = "unknown"
    host_name: str = "unknown"
    pid: int = 0
    cpu_count: int = 1


@dataclass(slots=True)
class Undelivered:
    """A report that the master has not confirmed."""

    report: Report
    said_s: float | None = None


@dataclass(slots=True)
class Agent:
    """The whole state. Changed in place by `agent.step`, by nobody else."""

    config: AgentConfig
    clock: MasterClock
    stage: RunStage = RunStage.NONE
    # the link to the master
    is_joined: bool = False
    session: int = 0
    session_since_s: float = 0.0
    hello_s: float | None = None  # when the last hello was sent
    apart_since_s: float = 0.0
    index: int = -1
    lease_until_s: float = 0.0
    beat: int = 0
    beats: dict[int, float] = field(default_factory=dict)
    beat_due_s: float = 0.0
    questions_left: int = 0
    question_due_s: float = 0.0
    state_name: str = "ready"
    cpu_percent: float = 0.0
    memory_bytes: int = 0
    # the run
    run_id: str = ""
    rows_generation: int = -1
    ready_generation: int = -1
    users_generation: int = -1
    users: dict[str, int] = field(default_factory=dict)
    partition: Partition | None = None
    epochs_ns: tuple[int, ...] = ()
    began_s: float = 0.0
    lower_at_s: float | None = None  # open load: when fewer users are to be applied
    lower_to: dict[str, int] = field(default_factory=dict)
    token: int = 0
    failure: str = ""
    failure_said_s: float = 0.0
    report_due_s: float = 0.0
    undelivered: dict[tuple[str, int], Undelivered] = field(default_factory=dict)
    # the end
    is_leaving: bool = False
    leave_by_s: float | None = None
    is_ended: bool = False
    actions: list[AgentAction] = field(default_factory=list)

    def do(self, action: AgentAction) -> None:
        """Something is to be done, in the order of these calls."""
        self.actions.append(action)

    def say(self, message: Message) -> None:
        """To the master, if there is one."""
        if self.is_joined:
            self.actions.append(Say(self.session, message))

    def note(self, text: str, level: str = "info") -> None:
        """A line for the log."""
        self.actions.append(AgentNote(level, text))
