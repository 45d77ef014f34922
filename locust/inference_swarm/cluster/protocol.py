"""All messages between master and workers, as values; docs/protocol.md says when which is sent.

`to_wire` gives what msgpack carries; `from_wire` takes whatever arrived and returns a valid message or raises
ProtocolError. Unknown fields are refused: a release with other fields has another PROTOCOL_VERSION. Every message names
the session of its worker beside these fields (see `Envelope`), so that one of an earlier stay is recognised.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from inference_swarm.data.progress import BlockLease, BlockProgress
from inference_swarm.errors import ProtocolError

PROTOCOL_VERSION = 2

MAX_LIST = 1_000_000
MAX_TEXT = 8192
MAX_NUMBER = 1 << 26  # of blocks, and of rows in a block: what a range may make us allocate


def _from_list(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _ascending(ranges: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
    end = -1
    for first, after in ranges:
        if not max(end, 0) <= first < after:
            raise ValueError(f"range {first}:{after} after {end} is empty or out of order")
        end = after
    if end > MAX_NUMBER:
        raise ValueError(f"{end} is more than any block or row number")
    return ranges


Count = Annotated[int, Field(strict=True, ge=0, lt=1 << 63)]
Generation = Annotated[int, Field(strict=True, ge=-1, lt=1 << 63)]
Nanoseconds = Annotated[int, Field(strict=True, ge=-(1 << 62), lt=1 << 62)]
Version = Annotated[int, Field(strict=True)]
Positive = Annotated[int, Field(strict=True, ge=1, lt=1 << 63)]
Flag = Annotated[bool, Field(strict=True)]
Figure = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
Text = Annotated[str, Field(strict=True, max_length=MAX_TEXT)]
Name = Annotated[str, Field(strict=True, min_length=1, max_length=256)]
Label = Annotated[str, Field(strict=True, max_length=256)]
Span = Annotated[tuple[Count, Count], BeforeValidator(_from_list)]
Ranges = Annotated[
    tuple[Span, ...], BeforeValidator(_from_list), AfterValidator(_ascending), Field(max_length=MAX_LIST)
]
Indexes = Annotated[tuple[Count, ...], BeforeValidator(_from_list), Field(max_length=1024)]
Instants = Annotated[tuple[Count, ...], BeforeValidator(_from_list), Field(max_length=1000)]
Users = Annotated[dict[Name, Count], Field(max_length=1000)]
Wire = dict[str, Any]  # plain values as msgpack carries them, checked by the module whose value it is


def ranges_of(numbers: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """Ascending numbers as (first, after the last) runs: how blocks travel."""
    ranges: list[tuple[int, int]] = []
    for number in numbers:
        if ranges and ranges[-1][1] == number:
            ranges[-1] = (ranges[-1][0], number + 1)
        else:
            ranges.append((number, number + 1))
    return tuple(ranges)


def numbers_in(ranges: Iterable[tuple[int, int]]) -> list[int]:
    """The reverse of `ranges_of`."""
    return [number for first, after in ranges for number in range(first, after)]


def cut(text: str, limit: int = MAX_TEXT) -> str:
    """The text, or its beginning where it is longer than a message carries."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


class Message:
    """Base of all messages; `type` is the name under which the channel carries it."""

    type: ClassVar[str]
    __slots__ = ()

    def to_wire(self) -> Wire:
        """Plain values for msgpack."""
        return {spec.name: _plain(getattr(self, spec.name)) for spec in fields(self)}  # type: ignore[arg-type]

    @classmethod
    def from_wire(cls, wire: object) -> Self:
        """A message from outside. ProtocolError names the first fields that are wrong, never their values."""
        try:
            value: Self = _ADAPTERS[cls.type].validate_python(wire)
        except ValidationError as error:
            problems = "; ".join(f"{_place(problem['loc'])}: {problem['msg']}" for problem in error.errors()[:3])
            raise ProtocolError(
                f"A {cls.type} message cannot be used ({problems[:500]}).",
                expected=f"what docs/protocol.md describes, in version {PROTOCOL_VERSION}.",
                action="run the same release of the swarm on the master and on all workers.",
            ) from error
        return value


_EXACT: ConfigDict = ConfigDict(extra="forbid", hide_input_in_errors=True)


# worker -> master


@dataclass(frozen=True, slots=True)
class Hello(Message):
    """Until it is answered. A session is one stay of a worker in a swarm; they count up from 1 in each process."""

    __pydantic_config__: ClassVar[ConfigDict] = _EXACT
    type: ClassVar[str] = "swarm_hello"
    protocol_version: Version  # any: the master answers another version with `Refused`
    release: Name
    session: Count
    swarm: Label  # of a worker that was forked by a master: it takes part in that master's swarm only
    host_name: Name
    pid: Count
    cpu_count: Count


@dataclass(frozen=True, slots=True)
class Heartbeat(Message):
    """Once a second, and after each change of users.

    The generations are those of the last `HoldRows` and `SetUsers` of the run that were applied; `ready_generation` is
    the last one of which all rows are ready.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _EXACT
    type: ClassVar[str] = "swarm_heartbeat"
    beat: Count
    state: Label
    cpu_percent: Figure
    memory_bytes: Count
    users: Users
    run_id: Label = ""
    rows_generation: Generation = -1
    ready_generation: Generation = -1
    users_generation: Generation = -1


@dataclass(frozen=True, slots=True)
class ClockQuestion(Message):
    """What time is it on the master? Asked a few times while rows load."""

    __pydantic_config__: ClassVar[ConfigDict] = _EXACT
    type: ClassVar[str] = "clock_question"
    sent_ns: Nanoseconds


@dataclass(frozen=True, slots=True)
class RowsReady(Message):
    """All blocks of the generation are in memory, or in the rotation of a full window."""

    __pydantic_config__: ClassVar[ConfigDict] = _EXACT
    type: ClassVar[str] = "rows_ready"
    run_id: Name
    generation: Count
    blocks: Count
    rows: Count
    held_bytes: Count
    seconds: Figure
    is_windowed: Flag


@dataclass(frozen=True, slots=True)
class RowsLoading(Message):
    """About once a second while a worker loads: for the console."""

    __pydantic_config__: ClassVar[ConfigDict] = _EXACT
    type: ClassVar[str] = "rows_loading"
    run_id: Name
    generation: Count
    loaded_blocks: Count
    loaded_rows: Count
    held_bytes: Count


@dataclass(frozen=True, slots=True)
class RowsFailed(Message):
    """The worker cannot load its rows, and why. It holds nothing of what the generation added."""

    __pydantic_config__: ClassVar[ConfigDict] = _EXACT
    type: ClassVar[str] = "rows_failed"
    run_id: Name
    generation: Generation
    reason: Text


@dataclass(frozen=True, slots=True)
class BlockReport:
    """`progress.BlockProgress` on the wire."""

    __pydantic_config__: ClassVar[ConfigDict] = _EXACT
    block_id: Count
    lease: Positive
    reserved: Count
    completed: Ranges
    is_released: Flag


@dataclass(frozen=True, slots=True)
class OnceReport(Message):
    """Order once, twice a second: cumulative for each lease that is not yet known to have ended."""

    __pydantic_config__: ClassVar[ConfigDict] = _EXACT
    type: ClassVar[str] = "once_report"
    run_id: Name
    sequence: Count
    blocks: Annotated[tuple[BlockReport, ...], BeforeValidator(_from_list), Field(max_length=MAX_LIST)]

    @classmethod
    def of(cls, run_id: str, sequence: int, progress: Iterable[BlockProgress]) -> Self:
        """What `OnceShare.report` returned."""
        blocks = tuple(
            BlockReport(entry.block_id, entry.lease, entry.announced, entry.completed, entry.is_released)
            for entry in progress
        )
        return cls(run_id, sequence, blocks)

    def progress(self) -> list[BlockProgress]:
        """As `OnceProgress.report` takes it."""
        return [
            BlockProgress(block.block_id, block.lease, block.reserved, block.completed, block.is_released)
            for block in self.blocks
        ]


@dataclass(frozen=True, slots=True)
class Report(Message):
    """What came of the requests since the last report; sent again until it is acknowledged.

    `snapshot` is read by measure/snapshot.py, `locust` holds Locust's own statistics, for its pages and listeners.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _EXACT
    type: ClassVar[str] = "report"
    run_id: Name
    sequence: Count
    is_final: Flag
    snapshot: Wire
    locust: Wire = field(default_factory=dict)
    once: OnceReport | None = None  # order once, in the final report: which rows were sent in the end


@dataclass(frozen=True, slots=True)
class Leaving(Message):
    """The worker is about to stop its users for good; its last report follows, then `Goodbye`."""

    __pydantic_config__: ClassVar[ConfigDict] = _EXACT
    type: ClassVar[str] = "swarm_leaving"
    reason: Text


@dataclass(frozen=True, slots=True)
class Goodbye(Message):
    """The worker's last message."""

    __pydantic_config__: ClassVar[ConfigDict] = _EXACT
    type: ClassVar[str] = "swarm_goodbye"


# master -> worker


@dataclass(frozen=True, slots=True)
class Welcome(Message):
    """The worker takes part. `run_id` is the run under way, empty if there is none."""

    __pydantic_config__: ClassVar[ConfigDict] = _EXACT
    type: ClassVar[str] = "swarm_welcome"
    index: Count
    run_id: Label
    swarm: Label


@dataclass(frozen=True, slots=True)
class Refused(Message):
    """The worker takes no part; it logs the reason and ends with the exit code of a bad configuration."""

    __pydantic_config__: ClassVar[ConfigDict] = _EXACT
    type: ClassVar[str] = "swarm_refused"
    protocol_version: Version
    reason: Text


@dataclass(frozen=True, slots=True)
class Rejoin(Message):
    """The worker was marked lost, or belongs to a former master. It stops its users and says hello again."""

    __pydantic_config__: ClassVar[ConfigDict] = _EXACT
    type: ClassVar[str] = "swarm_rejoin"
    reason: Text


@dataclass(frozen=True, slots=True)
class HeartbeatAck(Message):
    """Extends the worker's lease: it may send until a fixed time after it sent the heartbeat of this number."""

    __pydantic_config__: ClassVar[ConfigDict] = _EXACT
    type: ClassVar[str] = "swarm_heartbeat_ack"
    beat: Count


@dataclass(frozen=True, slots=True)
class ClockAnswer(Message):
    """The master's monotonic clock. Processes with the same `boot` read the same clock."""

    __pydantic_config__: ClassVar[ConfigDict] = _EXACT
    type: ClassVar[str] = "clock_answer"
    sent_ns: Nanoseconds
    master_ns: Nanoseconds
    boot: Label


@dataclass(frozen=True, slots=True)
class Lease:
    """`progress.BlockLease` on the wire."""

    __pydantic_config__: ClassVar[ConfigDict] = _EXACT
    block_id: Count
    lease: Positive
    rows: Ranges


@dataclass(frozen=True, slots=True)
class RunOffer:
    """All that a worker needs to make its requests."""

    __pydantic_config__: ClassVar[ConfigDict] = _EXACT
    manifest: Wire  # checked by Manifest.from_wire
    settings: Wire  # checked by config.settings


@dataclass(frozen=True, slots=True)
class HoldRows(Message):
    """Hold exactly these blocks from now on. A later generation replaces an earlier one whole."""

    __pydantic_config__: ClassVar[ConfigDict] = _EXACT
    type: ClassVar[str] = "hold_rows"
    run_id: Name
    generation: Count
    blocks: Ranges
    leases: Annotated[tuple[Lease, ...], BeforeValidator(_from_list), Field(max_length=MAX_LIST)] = ()
    offer: RunOffer | None = None  # None: that of the first message of this run to this session still holds

    def block_leases(self) -> list[BlockLease]:
        """The leases as the row store takes them."""
        return [BlockLease(lease.block_id, lease.lease, lease.rows) for lease in self.leases]


def leases_of(leases: Iterable[BlockLease]) -> tuple[Lease, ...]:
    """Leases as they travel."""
    return tuple(Lease(lease.block_id, lease.lease, lease.rows) for lease in leases)


@dataclass(frozen=True, slots=True)
class Partition:
    """Of every `count` arrivals those with these indexes, from an instant on; no indexes: no arrivals at all."""

    __pydantic_config__: ClassVar[ConfigDict] = _EXACT
    indexes: Indexes = ()
    count: Count = 0
    from_ns: Count = 0  # since the run began


@dataclass(frozen=True, slots=True)
class SetUsers(Message):
    """Run exactly these users from now on. A later generation replaces an earlier one whole.

    `began_ns` and `now_ns` are instants of the master's monotonic clock: when the run began, when this was sent.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _EXACT
    type: ClassVar[str] = "set_users"
    run_id: Name
    generation: Count
    users: Users
    began_ns: Nanoseconds
    now_ns: Nanoseconds
    boot: Label
    partition: Partition | None = None  # None: a closed load
    epochs_ns: Instants = ()  # resets of the statistics: when each began, since the run began


@dataclass(frozen=True, slots=True)
class StopRun(Message):
    """The load is over: stop the users, send the final report. Repeated until that has come."""

    __pydantic_config__: ClassVar[ConfigDict] = _EXACT
    type: ClassVar[str] = "stop_run"
    run_id: Name


@dataclass(frozen=True, slots=True)
class ReportAck(Message):
    """The report is in the totals, or is known not to belong there; it need not be sent again."""

    __pydantic_config__: ClassVar[ConfigDict] = _EXACT
    type: ClassVar[str] = "report_ack"
    run_id: Name
    sequence: Count


@dataclass(frozen=True, slots=True)
class OnceAck(Message):
    """The report is recorded, so the rows that it reserved may be sent."""

    __pydantic_config__: ClassVar[ConfigDict] = _EXACT
    type: ClassVar[str] = "once_ack"
    run_id: Name
    sequence: Count


@dataclass(frozen=True, slots=True)
class ReleaseRun(Message):
    """The run is over, or will not begin: its rows may be released. Loading stops."""

    __pydantic_config__: ClassVar[ConfigDict] = _EXACT
    type: ClassVar[str] = "release_run"
    run_id: Name


@dataclass(frozen=True, slots=True)
class EndWorker(Message):
    """The master of a finite run ends, and its workers with it."""

    __pydantic_config__: ClassVar[ConfigDict] = _EXACT
    type: ClassVar[str] = "end_worker"
    reason: Text


FROM_WORKER: tuple[type[Message], ...] = (
    Hello, Heartbeat, ClockQuestion, RowsReady, RowsLoading, RowsFailed, OnceReport, Report, Leaving, Goodbye,
)  # fmt: skip
FROM_MASTER: tuple[type[Message], ...] = (
    Welcome, Refused, Rejoin, HeartbeatAck, ClockAnswer, HoldRows, SetUsers, StopRun, ReportAck, OnceAck, ReleaseRun,
    EndWorker,
)  # fmt: skip
MESSAGES: dict[str, type[Message]] = {kind.type: kind for kind in (*FROM_WORKER, *FROM_MASTER)}
_ADAPTERS: dict[str, TypeAdapter[Any]] = {name: TypeAdapter(kind) for name, kind in MESSAGES.items()}


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message with the session of the worker that sent it or is to read it."""

    session: int
    message: Message

    def to_wire(self) -> Wire:
        """Plain values for msgpack."""
        return {"session": self.session, "message": self.message.to_wire()}

    @classmethod
    def from_wire(cls, kind: type[Message], wire: object) -> Envelope:
        """Raises ProtocolError for anything that is not a message of this kind in an envelope."""
        if not isinstance(wire, dict) or set(wire) != {"session", "message"}:
            raise ProtocolError(f"a {kind.type} message that is not in an envelope")
        session = wire["session"]
        if type(session) is not int or not 0 <= session < 1 << 63:
            raise ProtocolError(f"a {kind.type} message without the number of a session")
        return cls(session, kind.from_wire(wire["message"]))


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {spec.name: _plain(getattr(value, spec.name)) for spec in fields(value)}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def _place(location: tuple[int | str, ...]) -> str:
    """Where in the message; a name that cannot be ours is escaped, as it goes to the log."""
    parts = (
        str(part) if str(part).isalnum() or str(part).isidentifier() else ascii(part)[:60] for part in location[:4]
    )
    return ".".join(parts) or "message"
