"""All messages between master and workers, as values; docs/protocol.md says when which is sent.

`to_wire` gives what msgpack carries; `from_wire` takes whatever arrived and returns a valid message or raises
ProtocolError. Unknown fields are refused: a release with other fields has another PROTOCOL_VERSION. Every message names
the session of its worker beside these fields (see `Envelope`), so that one of an earlier stay is recognised.
"""

from __future__ import annotations

from dataclasses import dataclass

from inference_swarm.cluster.master_messages import (
    MAX_EARLIER,
    MAX_STEPS,
    ClockAnswer,
    EndWorker,
    GrantRequests,
    HeartbeatAck,
    HoldRows,
    Lease,
    OnceAck,
    Partition,
    ProbeTarget,
    Refused,
    Rejoin,
    ReleaseRun,
    ReportAck,
    RunOffer,
    SetUsers,
    Step,
    StopRun,
    Welcome,
    leases_of,
)
from inference_swarm.cluster.wire import PROTOCOL_VERSION, Message, Wire, cut, numbers_in, ranges_of
from inference_swarm.cluster.worker_messages import (
    BlockReport,
    ClockQuestion,
    Goodbye,
    Heartbeat,
    Hello,
    Leaving,
    OnceReport,
    Report,
    RequestsUsed,
    RowsFailed,
    RowsLoading,
    RowsReady,
    TargetProbed,
)
from inference_swarm.errors import ProtocolError

FROM_WORKER: tuple[type[Message], ...] = (
    Hello, Heartbeat, ClockQuestion, RowsReady, RowsLoading, RowsFailed, TargetProbed, OnceReport, RequestsUsed,
    Report, Leaving, Goodbye,
)  # fmt: skip
FROM_MASTER: tuple[type[Message], ...] = (
    Welcome, Refused, Rejoin, HeartbeatAck, ClockAnswer, HoldRows, ProbeTarget, SetUsers, StopRun, ReportAck, OnceAck,
    GrantRequests, ReleaseRun, EndWorker,
)  # fmt: skip
MESSAGES: dict[str, type[Message]] = {kind.type: kind for kind in (*FROM_WORKER, *FROM_MASTER)}


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message with the session of the worker that sent it or is to read it."""

    session: int
    message: Message

    def to_wire(self) -> Wire:
        """Return plain values for msgpack."""
        return {"session": self.session, "message": self.message.to_wire()}

    @classmethod
    def from_wire(cls, kind: type[Message], wire: object) -> Envelope:
        """Read an envelope. Raises ProtocolError for anything that is not a message of these types."""
        if not isinstance(wire, dict) or set(wire) != {"session", "message"}:
            raise ProtocolError(f"a {kind.type} message that is not in an envelope")
        session = wire["session"]
        if type(session) is not int or not 0 <= session < 1 << 63:
            raise ProtocolError(f"a {kind.type} message without the number of a session")
        return cls(session, kind.from_wire(wire["message"]))


__all__ = [
    "FROM_MASTER",
    "FROM_WORKER",
    "MAX_EARLIER",
    "MAX_STEPS",
    "MESSAGES",
    "PROTOCOL_VERSION",
    "BlockReport",
    "ClockAnswer",
    "ClockQuestion",
    "EndWorker",
    "Envelope",
    "Goodbye",
    "GrantRequests",
    "Heartbeat",
    "HeartbeatAck",
    "Hello",
    "HoldRows",
    "Lease",
    "Leaving",
    "Message",
    "OnceAck",
    "OnceReport",
    "Partition",
    "ProbeTarget",
    "Refused",
    "Rejoin",
    "ReleaseRun",
    "Report",
    "ReportAck",
    "RequestsUsed",
    "RowsFailed",
    "RowsLoading",
    "RowsReady",
    "RunOffer",
    "SetUsers",
    "Step",
    "StopRun",
    "TargetProbed",
    "Welcome",
    "Wire",
    "cut",
    "leases_of",
    "numbers_in",
    "ranges_of",
]
