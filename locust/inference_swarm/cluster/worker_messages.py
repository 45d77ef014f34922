"""Messages from workers to their master; docs/protocol.md says when which is sent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Self

from pydantic import BeforeValidator, ConfigDict, Field

from inference_swarm.cluster.wire import (
    EXACT,
    MAX_LIST,
    Amount,
    Count,
    Flag,
    Generation,
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
from inference_swarm.data.progress import BlockProgress
from inference_swarm.load.allowance import RequestUse


@dataclass(frozen=True, slots=True)
class Hello(Message):
    """Sent until the master replies. A session is one stay of a worker in a swarm; each process counts from 1."""

    __pydantic_config__: ClassVar[ConfigDict] = EXACT
    type: ClassVar[str] = "swarm_hello"
    protocol_version: Version  # any: the master answers another version with `Refused`
    release: Name
    session: Count
    swarm: Label  # of a worker that was forked by a master: it takes part in that master's swarm only
    host_name: Name
    pid: Count
    cpu_count: Count
    files_limit: Count = 0  # files that the process may have open; 0: not known


@dataclass(frozen=True, slots=True)
class Heartbeat(Message):
    """Sent once a second, and after each change of users.

    The generations are those of the last `HoldRows` and `SetUsers` of the run that were applied; `ready_generation` is
    the last one of which all rows are ready.
    """

    __pydantic_config__: ClassVar[ConfigDict] = EXACT
    type: ClassVar[str] = "swarm_heartbeat"
    beat: Count
    state: Label
    cpu_percent: Amount
    memory_bytes: Count
    users: Users
    run_id: Label = ""
    rows_generation: Generation = -1
    ready_generation: Generation = -1
    users_generation: Generation = -1


@dataclass(frozen=True, slots=True)
class ClockQuestion(Message):
    """Asks for the master's time, a few times while rows load."""

    __pydantic_config__: ClassVar[ConfigDict] = EXACT
    type: ClassVar[str] = "clock_question"
    sent_ns: Nanoseconds


@dataclass(frozen=True, slots=True)
class RowsReady(Message):
    """All blocks of the generation are in memory, or in the rotation of a full window."""

    __pydantic_config__: ClassVar[ConfigDict] = EXACT
    type: ClassVar[str] = "rows_ready"
    run_id: Name
    generation: Count
    blocks: Count
    rows: Count
    held_bytes: Count
    seconds: Amount
    is_windowed: Flag


@dataclass(frozen=True, slots=True)
class RowsLoading(Message):
    """Sent about once a second while a worker loads, for the console."""

    __pydantic_config__: ClassVar[ConfigDict] = EXACT
    type: ClassVar[str] = "rows_loading"
    run_id: Name
    generation: Count
    loaded_blocks: Count
    loaded_rows: Count
    held_bytes: Count


@dataclass(frozen=True, slots=True)
class RowsFailed(Message):
    """The worker cannot load its rows, and why. It holds nothing of what the generation added."""

    __pydantic_config__: ClassVar[ConfigDict] = EXACT
    type: ClassVar[str] = "rows_failed"
    run_id: Name
    generation: Generation
    reason: Text


@dataclass(frozen=True, slots=True)
class TargetProbed(Message):
    """What came of asking the server before the run. `code` 0: it may begin; else the exit code of its refusal."""

    __pydantic_config__: ClassVar[ConfigDict] = EXACT
    type: ClassVar[str] = "target_probed"
    run_id: Name
    code: Count
    text: Text
    is_warning: Flag


@dataclass(frozen=True, slots=True)
class BlockReport:
    """`progress.BlockProgress` on the wire."""

    __pydantic_config__: ClassVar[ConfigDict] = EXACT
    block_id: Count
    lease: Positive
    reserved: Count
    completed: Ranges
    is_released: Flag


@dataclass(frozen=True, slots=True)
class OnceReport(Message):
    """Sent twice a second in order once: cumulative for each lease that is not yet known to have ended."""

    __pydantic_config__: ClassVar[ConfigDict] = EXACT
    type: ClassVar[str] = "once_report"
    run_id: Name
    sequence: Count
    blocks: Annotated[tuple[BlockReport, ...], BeforeValidator(from_list), Field(max_length=MAX_LIST)]

    @classmethod
    def of(cls, run_id: str, sequence: int, progress: Iterable[BlockProgress]) -> Self:
        """Make the message from what `OnceShare.report` returned."""
        blocks = tuple(
            BlockReport(entry.block_id, entry.lease, entry.reserved, entry.completed, entry.is_released)
            for entry in progress
        )
        return cls(run_id, sequence, blocks)

    def progress(self) -> list[BlockProgress]:
        """Return the progress as `OnceProgress.report` takes it."""
        return [
            BlockProgress(block.block_id, block.lease, block.reserved, block.completed, block.is_released)
            for block in self.blocks
        ]


@dataclass(frozen=True, slots=True)
class RequestsUsed(Message):
    """`--requests`: what was begun and has ended in all, the limit kept of the last grant, and the one wanted."""

    __pydantic_config__: ClassVar[ConfigDict] = EXACT
    type: ClassVar[str] = "requests_used"
    run_id: Name
    number: Generation
    limit: Count
    wanted: Count
    started: Count
    ended: Count

    @classmethod
    def of(cls, run_id: str, use: RequestUse) -> Self:
        """Make the message from what `RequestAllowance.report` returned."""
        return cls(run_id, use.number, use.limit, use.wanted, use.started, use.ended)

    def use(self) -> RequestUse:
        """Return it as `RequestBudget.report` takes it."""
        return RequestUse(self.number, self.limit, self.wanted, self.started, self.ended)


@dataclass(frozen=True, slots=True)
class Report(Message):
    """The outcomes of the requests since the last report; sent again until it is acknowledged.

    `snapshot` is read by measure/snapshot.py, `locust` holds Locust's own statistics, for its pages and listeners.
    """

    __pydantic_config__: ClassVar[ConfigDict] = EXACT
    type: ClassVar[str] = "report"
    run_id: Name
    sequence: Count
    is_final: Flag
    snapshot: Wire
    locust: Wire = field(default_factory=dict)
    once: OnceReport | None = None  # order once, in the final report: which rows were sent in the end
    requests: RequestsUsed | None = None  # --requests, in the final report: how many were sent in the end


@dataclass(frozen=True, slots=True)
class Leaving(Message):
    """The worker is about to stop its users for good; its last report follows, then `Goodbye`."""

    __pydantic_config__: ClassVar[ConfigDict] = EXACT
    type: ClassVar[str] = "swarm_leaving"
    reason: Text


@dataclass(frozen=True, slots=True)
class Goodbye(Message):
    """The worker's last message."""

    __pydantic_config__: ClassVar[ConfigDict] = EXACT
    type: ClassVar[str] = "swarm_goodbye"
