"""The data messages between master and workers as values; docs/protocol.md says when which is sent.

`to_wire` gives what msgpack carries; `from_wire` takes whatever arrived and either answers a valid message or raises
ProtocolError. Unknown fields are refused: a version with other fields has another PROTOCOL_VERSION.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from inference_swarm.data.progress import BlockLease, BlockProgress
from inference_swarm.errors import ProtocolError

PROTOCOL_VERSION = 1

_LONGEST_LIST = 1_000_000
_LONGEST_TEXT = 8192
_LARGEST_NUMBER = 1 << 26  # of blocks, and of rows in a block: what a range may make us allocate


def _from_list(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _place(location: tuple[int | str, ...]) -> str:
    """Where in the message; a name that cannot be ours is escaped, as it goes to the log."""
    parts = (
        str(part) if str(part).isalnum() or str(part).isidentifier() else ascii(part)[:60] for part in location[:4]
    )
    return ".".join(parts) or "message"


def _ascending(ranges: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
    end = -1
    for first, after in ranges:
        if not max(end, 0) <= first < after:
            raise ValueError(f"range {first}:{after} after {end} is empty or out of order")
        end = after
    if end > _LARGEST_NUMBER:
        raise ValueError(f"{end} is more than any block or row number")
    return ranges


Count = Annotated[int, Field(ge=0, lt=1 << 63)]
Text = Annotated[str, Field(max_length=_LONGEST_TEXT)]
Name = Annotated[str, Field(min_length=1, max_length=256)]
Span = Annotated[tuple[Count, Count], BeforeValidator(_from_list)]
Ranges = Annotated[
    tuple[Span, ...], BeforeValidator(_from_list), AfterValidator(_ascending), Field(max_length=_LONGEST_LIST)
]


def ranges_of(numbers: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """Ascending numbers as (first, after the last) runs: how blocks travel."""
    ranges: list[tuple[int, int]] = []
    for number in numbers:
        if ranges and ranges[-1][1] == number:
            ranges[-1] = (ranges[-1][0], number + 1)
        else:
            ranges.append((number, number + 1))
    return tuple(ranges)


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", hide_input_in_errors=True)


class Message(_Wire):
    """Base of all messages; `type` is the name under which Locust carries it."""

    type: ClassVar[str]

    def to_wire(self) -> dict[str, Any]:
        """Plain values for msgpack."""
        return self.model_dump()

    @classmethod
    def from_wire(cls, wire: object) -> Self:
        """A message from outside. ProtocolError names the first fields that are wrong, never their values."""
        try:
            return cls.model_validate(wire)
        except ValidationError as error:
            problems = "; ".join(f"{_place(problem['loc'])}: {problem['msg']}" for problem in error.errors()[:3])
            raise ProtocolError(
                f"A {cls.type} message cannot be used ({problems[:500]}).",
                expected=f"what docs/protocol.md describes, in version {PROTOCOL_VERSION}.",
                action="run the same release of the swarm on the master and on all workers.",
            ) from error


class SwarmHello(Message):
    """Worker → master, until it is answered. A session is one stay of a worker in a swarm."""

    type = "swarm_hello"
    protocol_version: int  # any: the master answers another version with swarm_refused
    release: Name
    session: Name
    host_name: Name
    pid: Count
    cpu_count: Count


class SwarmRefused(Message):
    """Master → worker: it takes no part; the worker logs the reason and leaves with an exit code."""

    type = "swarm_refused"
    protocol_version: int
    reason: Text


class Lease(_Wire):
    """`progress.BlockLease` on the wire."""

    block_id: Count
    lease: Annotated[int, Field(ge=1)]
    rows: Ranges


class ShardAssign(Message):
    """Master → worker: hold exactly these blocks from now on. A later generation replaces an earlier one whole."""

    type = "shard_assign"
    run_id: Name
    generation: Count
    blocks: Ranges
    leases: Annotated[tuple[Lease, ...], BeforeValidator(_from_list), Field(max_length=_LONGEST_LIST)] = ()
    settings: ShardSettings | None = None  # None: those of the run's first assignment to this worker still hold

    def block_ids(self) -> list[int]:
        """The blocks one by one."""
        return [block for first, after in self.blocks for block in range(first, after)]

    def block_leases(self) -> list[BlockLease]:
        """The leases as the row store takes them."""
        return [BlockLease(lease.block_id, lease.lease, lease.rows) for lease in self.leases]

    @staticmethod
    def leases_of(leases: Iterable[BlockLease]) -> tuple[Lease, ...]:
        """The leases that `OnceProgress.leases` names."""
        return tuple(Lease(block_id=lease.block_id, lease=lease.lease, rows=lease.rows) for lease in leases)


class ShardSettings(_Wire):
    """All that a worker needs to make its requests."""

    manifest: dict[str, Any]  # checked by Manifest.from_wire
    settings: dict[str, Any]  # checked by config.settings.settings_from_wire


class ShardReady(Message):
    """Worker → master: all blocks of the generation are in memory, or in the rotation of a full window."""

    type = "shard_ready"
    run_id: Name
    generation: Count
    blocks: Count
    rows: Count
    held_bytes: Count
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    is_windowed: bool


class ShardFailed(Message):
    """Worker → master: it cannot load its shard, and why. It holds nothing of what the generation added."""

    type = "shard_failed"
    run_id: Name
    generation: Count
    reason: Text


class ShardProgress(Message):
    """Worker → master, about once a second while it loads: for the console."""

    type = "shard_progress"
    run_id: Name
    generation: Count
    loaded_blocks: Count
    loaded_rows: Count
    held_bytes: Count


class BlockReport(_Wire):
    """`progress.BlockProgress` on the wire."""

    block_id: Count
    lease: Annotated[int, Field(ge=1)]
    announced: Count
    completed: Ranges
    is_released: bool


class OnceReport(Message):
    """Worker → master, order once, twice a second: cumulative for each lease that is not yet known to have ended."""

    type = "once_report"
    run_id: Name
    sequence: Count
    blocks: Annotated[tuple[BlockReport, ...], BeforeValidator(_from_list), Field(max_length=_LONGEST_LIST)]

    @classmethod
    def of(cls, run_id: str, sequence: int, progress: Iterable[BlockProgress]) -> Self:
        """What `OnceShare.report` answered."""
        blocks = tuple(
            BlockReport(
                block_id=entry.block_id,
                lease=entry.lease,
                announced=entry.announced,
                completed=entry.completed,
                is_released=entry.is_released,
            )
            for entry in progress
        )
        return cls(run_id=run_id, sequence=sequence, blocks=blocks)

    def progress(self) -> list[BlockProgress]:
        """As `OnceProgress.report` takes it."""
        return [
            BlockProgress(block.block_id, block.lease, block.announced, block.completed, block.is_released)
            for block in self.blocks
        ]


class OnceAck(Message):
    """Master → worker: the report is in the master's books, so the rows that it announced may be sent."""

    type = "once_ack"
    run_id: Name
    sequence: Count


class RunEnd(Message):
    """Master → workers: the run is over; the shard may be forgotten."""

    type = "run_end"
    run_id: Name


ShardAssign.model_rebuild()
MESSAGES: dict[str, type[Message]] = {
    kind.type: kind
    for kind in (
        SwarmHello,
        SwarmRefused,
        ShardAssign,
        ShardReady,
        ShardFailed,
        ShardProgress,
        OnceReport,
        OnceAck,
        RunEnd,
    )
}
