"""The state of a worker's agent. Values; agent.py decides by them.

Instants are seconds of the worker's own monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from inference_swarm.cluster.agent_events import AgentAction, AgentNote, SendToMaster
from inference_swarm.cluster.master_clock import MasterClock
from inference_swarm.cluster.protocol import (
    Message,
    Partition,
    Report,
    TargetProbed,
)
from inference_swarm.cluster.state import LEASE_S
from inference_swarm.load.steps import LoadStep


class RunStage(StrEnum):
    """The stage of a run that this worker is in."""

    NONE = "none"
    HOLDING = "holding"  # it holds rows, or loads them; no user has been started
    SENDING = "sending"
    STOPPING = "stopping"  # users are being stopped, for good
    FINAL = "final"  # its last report is made; it may still have to be delivered


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
    files_limit: int = 0


@dataclass(slots=True)
class Undelivered:
    """A report that the master has not confirmed."""

    report: Report
    sent_s: float | None = None


@dataclass(slots=True)
class Agent:
    """The whole state. Only `agent.step` changes it, in place."""

    config: AgentConfig
    clock: MasterClock
    stage: RunStage = RunStage.NONE
    # the link to the master
    is_joined: bool = False
    session: int = 0
    session_since_s: float = 0.0
    hello_s: float | None = None  # when the last hello was sent
    hello_due_s: float = 0.0
    hellos: int = 0
    was_joined: bool = False
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
    steps: tuple[LoadStep, ...] = ()
    began_s: float = 0.0
    lower_at_s: float | None = None  # open load: when fewer users are to be applied
    lower_to: dict[str, int] = field(default_factory=dict)
    token: int = 0
    failure: str = ""
    failure_sent_s: float = 0.0
    probed_run: str = ""  # the run for which the server was asked last
    probed: TargetProbed | None = None  # and what came of it, if that is known
    report_due_s: float = 0.0
    undelivered: dict[tuple[str, int], Undelivered] = field(default_factory=dict)
    # the end
    is_leaving: bool = False
    leave_by_s: float | None = None
    is_ended: bool = False
    actions: list[AgentAction] = field(default_factory=list)

    def do(self, action: AgentAction) -> None:
        """Add an action; actions are executed in the order of these calls."""
        self.actions.append(action)

    def send(self, message: Message) -> None:
        """Send to the master, if there is one."""
        if self.is_joined:
            self.actions.append(SendToMaster(self.session, message))

    def note(self, text: str, level: str = "info") -> None:
        """Write a line to the log."""
        self.actions.append(AgentNote(level, text))
