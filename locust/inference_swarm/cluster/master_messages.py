"""Messages from a master to its workers; docs/protocol.md says when which is sent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import BeforeValidator, ConfigDict, Field

from inference_swarm.cluster.wire import (
    EXACT,
    MAX_LIST,
    Amount,
    Count,
    Indexes,
    Instants,
    Label,
    Message,
    Name,
    Nanoseconds,
    Positive,
    Ranges,
    Text,
    Users,
    Version,
    Wire,
    from_list,
)
from inference_swarm.data.progress import BlockLease

MAX_EARLIER = 32


@dataclass(frozen=True, slots=True)
class Welcome(Message):
    """The worker takes part. `run_id` is the run under way, empty if there is none."""

    __pydantic_config__: ClassVar[ConfigDict] = EXACT
    type: ClassVar[str] = "swarm_welcome"
    index: Count
    run_id: Label
    swarm: Label


@dataclass(frozen=True, slots=True)
class Refused(Message):
    """The worker takes no part; it logs the reason and ends with the exit code of a bad configuration."""

    __pydantic_config__: ClassVar[ConfigDict] = EXACT
    type: ClassVar[str] = "swarm_refused"
    protocol_version: Version
    reason: Text


@dataclass(frozen=True, slots=True)
class Rejoin(Message):
    """The worker was marked lost, or belongs to a former master. It stops its users and says hello again."""

    __pydantic_config__: ClassVar[ConfigDict] = EXACT
    type: ClassVar[str] = "swarm_rejoin"
    reason: Text


@dataclass(frozen=True, slots=True)
class HeartbeatAck(Message):
    """Extends the worker's lease: it may send until a fixed time after it sent the heartbeat of this number.

    `next_s`: how long after that one the next heartbeat is wanted.
    """

    __pydantic_config__: ClassVar[ConfigDict] = EXACT
    type: ClassVar[str] = "swarm_heartbeat_ack"
    beat: Count
    next_s: Amount


@dataclass(frozen=True, slots=True)
class ClockAnswer(Message):
    """The master's monotonic clock. Processes with the same `boot` read the same clock."""

    __pydantic_config__: ClassVar[ConfigDict] = EXACT
    type: ClassVar[str] = "clock_answer"
    sent_ns: Nanoseconds
    master_ns: Nanoseconds
    boot: Label


@dataclass(frozen=True, slots=True)
class Lease:
    """`progress.BlockLease` on the wire."""

    __pydantic_config__: ClassVar[ConfigDict] = EXACT
    block_id: Count
    lease: Positive
    rows: Ranges


@dataclass(frozen=True, slots=True)
class RunOffer:
    """Everything that a worker needs to make its requests."""

    __pydantic_config__: ClassVar[ConfigDict] = EXACT
    manifest: Wire  # checked by Manifest.from_wire
    settings: Wire  # checked by config.settings


@dataclass(frozen=True, slots=True)
class HoldRows(Message):
    """Hold exactly these blocks from now on. A later generation replaces an earlier one whole."""

    __pydantic_config__: ClassVar[ConfigDict] = EXACT
    type: ClassVar[str] = "hold_rows"
    run_id: Name
    generation: Count
    blocks: Ranges
    leases: Annotated[tuple[Lease, ...], BeforeValidator(from_list), Field(max_length=MAX_LIST)] = ()
    offer: RunOffer | None = None  # None: that of the first message of this run to this session still holds

    def block_leases(self) -> list[BlockLease]:
        """The leases as the row store takes them."""
        return [BlockLease(lease.block_id, lease.lease, lease.rows) for lease in self.leases]


def leases_of(leases: Iterable[BlockLease]) -> tuple[Lease, ...]:
    """Return leases as they travel."""
    return tuple(Lease(lease.block_id, lease.lease, lease.rows) for lease in leases)


@dataclass(frozen=True, slots=True)
class Partition:
    """The arrivals with these indexes of every `count`, from an instant on; no indexes: no arrivals at all."""

    __pydantic_config__: ClassVar[ConfigDict] = EXACT
    indexes: Indexes = ()
    count: Count = 0
    from_ns: Count = 0  # since the run began


@dataclass(frozen=True, slots=True)
class Step:
    """`load.steps.LoadStep` on the wire."""

    __pydantic_config__: ClassVar[ConfigDict] = EXACT
    from_ns: Count
    settled_ns: Count
    rate_rps: Amount


MAX_STEPS = 1000
Steps = Annotated[tuple[Step, ...], BeforeValidator(from_list), Field(max_length=MAX_STEPS)]
Partitions = Annotated[tuple[Partition, ...], BeforeValidator(from_list), Field(max_length=MAX_EARLIER)]


@dataclass(frozen=True, slots=True)
class SetUsers(Message):
    """Run exactly these users from now on. A later generation replaces an earlier one whole.

    `began_ns` and `now_ns` are instants of the master's monotonic clock: when the run began, when this was sent.
    """

    __pydantic_config__: ClassVar[ConfigDict] = EXACT
    type: ClassVar[str] = "set_users"
    run_id: Name
    generation: Count
    users: Users
    began_ns: Nanoseconds
    now_ns: Nanoseconds
    boot: Label
    partition: Partition | None = None  # None: a closed load
    epochs_ns: Instants = ()  # resets of the statistics: when each began, since the run began
    earlier: Partitions = ()  # partitions that the worker has not confirmed, oldest first: it may have missed them
    steps: Steps = ()  # of a load that is decided while the run goes on: all of them, oldest first


@dataclass(frozen=True, slots=True)
class ProbeTarget(Message):
    """Ask the server before the run, as its settings say; the reply to a second one is that to the first."""

    __pydantic_config__: ClassVar[ConfigDict] = EXACT
    type: ClassVar[str] = "probe_target"
    run_id: Name


@dataclass(frozen=True, slots=True)
class StopRun(Message):
    """The load is over: stop the users, send the final report. Repeated until that has come."""

    __pydantic_config__: ClassVar[ConfigDict] = EXACT
    type: ClassVar[str] = "stop_run"
    run_id: Name


@dataclass(frozen=True, slots=True)
class ReportAck(Message):
    """The report is in the totals, or is known not to belong there; it need not be sent again."""

    __pydantic_config__: ClassVar[ConfigDict] = EXACT
    type: ClassVar[str] = "report_ack"
    run_id: Name
    sequence: Count


@dataclass(frozen=True, slots=True)
class OnceAck(Message):
    """The report is recorded, so the rows that it reserved may be sent."""

    __pydantic_config__: ClassVar[ConfigDict] = EXACT
    type: ClassVar[str] = "once_ack"
    run_id: Name
    sequence: Count


@dataclass(frozen=True, slots=True)
class GrantRequests(Message):
    """`--requests`: send at most so many in all in this run. A later number replaces an earlier one."""

    __pydantic_config__: ClassVar[ConfigDict] = EXACT
    type: ClassVar[str] = "grant_requests"
    run_id: Name
    number: Count
    limit: Count


@dataclass(frozen=True, slots=True)
class ReleaseRun(Message):
    """The run is over, or will not begin: its rows may be released. Loading stops."""

    __pydantic_config__: ClassVar[ConfigDict] = EXACT
    type: ClassVar[str] = "release_run"
    run_id: Name


@dataclass(frozen=True, slots=True)
class EndWorker(Message):
    """The master of a finite run ends, and its workers with it."""

    __pydantic_config__: ClassVar[ConfigDict] = EXACT
    type: ClassVar[str] = "end_worker"
    reason: Text
