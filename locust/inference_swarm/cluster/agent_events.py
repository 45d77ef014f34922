"""What happens to a worker's agent and what it wants done. Values only; adapters feed and execute them.

Instants are seconds of the worker's own monotonic clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from inference_swarm.cluster.protocol import (
    HoldRows,
    Message,
    OnceReport,
    Partition,
    RequestsUsed,
    RowsLoading,
    RowsReady,
    TargetProbed,
    Wire,
)
from inference_swarm.data.progress import BlockProgress
from inference_swarm.errors import ExitCode
from inference_swarm.load.steps import LoadStep


class AgentEvent:
    """Base of all events but messages."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class RowsAreReady(AgentEvent):
    """All rows of the `Hold` of this generation are in memory."""

    message: RowsReady

    @property
    def run_id(self) -> str:
        return self.message.run_id


@dataclass(frozen=True, slots=True)
class RowsAreLoading(AgentEvent):
    """Loading has come this far."""

    message: RowsLoading

    @property
    def run_id(self) -> str:
        return self.message.run_id


@dataclass(frozen=True, slots=True)
class RowsCouldNotLoad(AgentEvent):
    """Reading or encoding failed, or the worker refuses the target."""

    run_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class TargetIsProbed(AgentEvent):
    """The server was asked before the run."""

    message: TargetProbed

    @property
    def run_id(self) -> str:
        return self.message.run_id


@dataclass(frozen=True, slots=True)
class OnceProgressed(AgentEvent):
    """Order once: these rows are to be reported now."""

    run_id: str
    sequence: int
    progress: Sequence[BlockProgress]


@dataclass(frozen=True, slots=True)
class RequestsCounted(AgentEvent):
    """`--requests`: this many were sent, and so many more are wanted."""

    message: RequestsUsed

    @property
    def run_id(self) -> str:
        return self.message.run_id


@dataclass(frozen=True, slots=True)
class UsersStopped(AgentEvent):
    """No user of `StopUsers` with this token is left."""

    token: int


@dataclass(frozen=True, slots=True)
class SnapshotTaken(AgentEvent):
    """The requested snapshot is ready. `locust`: Locust's own statistics of the same time; others: in the final one."""

    run_id: str
    sequence: int
    is_final: bool
    snapshot: Wire
    locust: Wire = field(default_factory=dict)
    once: OnceReport | None = None
    requests: RequestsUsed | None = None


@dataclass(frozen=True, slots=True)
class EndAsked(AgentEvent):
    """This process is to end."""

    reason: str


@dataclass(frozen=True, slots=True)
class AgentTick(AgentEvent):
    """Time has passed."""


class AgentAction:
    """Base of all actions."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class SendToMaster(AgentAction):
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
class Probe(AgentAction):
    """Ask the server before the run → TargetIsProbed."""

    run_id: str


@dataclass(frozen=True, slots=True)
class DropRows(AgentAction):
    """Release all rows; loading stops."""


@dataclass(frozen=True, slots=True)
class DropLeases(AgentAction):
    """Order once: send none of the leased rows; they are leased to others now."""


@dataclass(frozen=True, slots=True)
class GiveBackRows(AgentAction):
    """Order once: send no more rows. The final snapshot says which were sent."""


@dataclass(frozen=True, slots=True)
class AcknowledgeOnce(AgentAction):
    """Order once: the master has recorded the report."""

    sequence: int


@dataclass(frozen=True, slots=True)
class LimitRequests(AgentAction):
    """`--requests`: send at most so many in all; of the grant with this number."""

    number: int
    limit: int


@dataclass(frozen=True, slots=True)
class BeginRecording(AgentAction):
    """The first users of a run are about to start; the run began at `began_s`, perhaps a moment ahead."""

    run_id: str
    began_s: float


@dataclass(frozen=True, slots=True)
class SetPartition(AgentAction):
    """Open load: dispatch this part of the arrivals from now on, at most until the lease ends."""

    partition: Partition


@dataclass(frozen=True, slots=True)
class SetEpochs(AgentAction):
    """The statistics were reset at these instants, in ns since the run began."""

    epochs_ns: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SetSteps(AgentAction):
    """The load is decided while the run goes on: its steps so far."""

    steps: tuple[LoadStep, ...]


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
    """Release the numbers of this run; nobody needs them any more."""


@dataclass(frozen=True, slots=True)
class EndWorkerProcess(AgentAction):
    """The process may end."""

    code: ExitCode


@dataclass(frozen=True, slots=True)
class AgentNote(AgentAction):
    """A line for the log; `level` as in `logging`."""

    level: str
    text: str
