"""What happens to the coordinator and what it wants done. Values; instants are seconds on the master's clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from inference_swarm.cluster.distribution import UserClass
from inference_swarm.cluster.protocol import Message, Report, RunOffer
from inference_swarm.errors import ExitCode
from inference_swarm.run.course import CountedReport, LoadPlan, StopCause, Totals


class Event:
    """Base of all events."""

    __slots__ = ()


# what people ask for


@dataclass(frozen=True, slots=True)
class Start(Event):
    """A run was requested. `totals` are new and empty."""

    run_id: str
    load: LoadPlan
    classes: tuple[UserClass, ...]
    totals: Totals


@dataclass(frozen=True, slots=True)
class Edit(Event):
    """Other users or another spawn rate were requested; `run_id` empty: for whichever run is under way."""

    users: int
    spawn_rate: float
    classes: tuple[UserClass, ...] | None = None
    run_id: str = ""


@dataclass(frozen=True, slots=True)
class SetLoad(Event):
    """The load of this run is to be another one: its rate (0: closed), its users; it settles for some seconds."""

    run_id: str
    rate_rps: float
    users: int
    settle_s: float


@dataclass(frozen=True, slots=True)
class ResetStatistics(Event):
    """The measurements so far are to be left out of everything."""


@dataclass(frozen=True, slots=True)
class StopAsked(Event):
    """The run under way is to end, whatever it is doing."""

    cause: StopCause = StopCause.ASKED
    text: str = ""


@dataclass(frozen=True, slots=True)
class Quit(Event):
    """The master's process is to end. `ends_workers`: theirs as well, since nobody will need them."""

    ends_workers: bool


# what comes back from actions


@dataclass(frozen=True, slots=True)
class DataRead(Event):
    """The manifest is read: rows of each block, and everything that workers need to make requests."""

    run_id: str
    block_rows: Sequence[int]
    offer: RunOffer


@dataclass(frozen=True, slots=True)
class DataRefused(Event):
    """The data cannot be used."""

    run_id: str
    reason: str
    code: ExitCode = ExitCode.BAD_CONFIGURATION


@dataclass(frozen=True, slots=True)
class ResultsOpened(Event):
    """The run's folder is made."""

    run_id: str


@dataclass(frozen=True, slots=True)
class ResultsRefused(Event):
    """The run's folder cannot be made."""

    run_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class TestStarted(Event):
    """All listeners to the start of a test have returned."""

    run_id: str


@dataclass(frozen=True, slots=True)
class ResultsWritten(Event):
    """All files of the run are written."""

    run_id: str


@dataclass(frozen=True, slots=True)
class ResultsFailed(Event):
    """Files of the run could not be written."""

    run_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Tick(Event):
    """Time has passed, as `wake_s` said or more. All that had come from workers by `read_until_s` has been handled."""

    read_until_s: float = float("inf")


# workers


@dataclass(frozen=True, slots=True)
class Received(Event):
    """A message of a worker; those with a report come as `Reported`."""

    worker: str
    session: int
    message: Message


@dataclass(frozen=True, slots=True)
class Reported(Event):
    """A worker's report, its snapshot read and checked."""

    worker: str
    session: int
    report: Report
    snapshot: CountedReport


# what is to be done


class Action:
    """Base of all actions."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Send(Action):
    """Send a message to a worker's present session. It may be lost; the coordinator repeats what matters."""

    worker: str
    session: int
    message: Message


@dataclass(frozen=True, slots=True)
class ReadData(Action):
    """Read the footers of the run's files → DataRead or DataRefused."""

    run_id: str


@dataclass(frozen=True, slots=True)
class OpenResults(Action):
    """Make the run's folder → ResultsOpened or ResultsRefused."""

    run_id: str


@dataclass(frozen=True, slots=True)
class NotifyTestStart(Action):
    """Notify the listeners to the start of a test → TestStarted."""

    run_id: str


@dataclass(frozen=True, slots=True)
class BeginLoad(Action):
    """The measured time begins at `began_s`, perhaps a moment ahead."""

    run_id: str
    began_s: float


@dataclass(frozen=True, slots=True)
class BeginEpoch(Action):
    """Count only requests intended after this instant, in seconds since the run began."""

    run_id: str
    at_s: float


@dataclass(frozen=True, slots=True)
class UsersComplete(Action):
    """All wanted users run."""

    run_id: str
    users: int


@dataclass(frozen=True, slots=True)
class CountReport(Action):
    """Count a report that was not counted before."""

    worker: str
    report: Report
    snapshot: CountedReport


@dataclass(frozen=True, slots=True)
class EndLoad(Action):
    """The measured time is over; users are being stopped."""

    run_id: str


@dataclass(frozen=True, slots=True)
class WriteResults(Action):
    """Write all files of the run → ResultsWritten or ResultsFailed."""

    run_id: str


@dataclass(frozen=True, slots=True)
class Closed(Action):
    """The run is over and its results are written, or will not be for this reason."""

    run_id: str
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Refuse(Action):
    """The start or edit does not happen, for this reason; `run_id` is empty when another run is under way."""

    run_id: str
    reason: str
    code: ExitCode = ExitCode.BAD_CONFIGURATION


@dataclass(frozen=True, slots=True)
class Cancelled(Action):
    """The run was stopped before it began; there are no results."""

    run_id: str


@dataclass(frozen=True, slots=True)
class WorkerJoined(Action):
    """A worker takes part now, for pages and listeners."""

    worker: str
    index: int


@dataclass(frozen=True, slots=True)
class WorkerGone(Action):
    """A worker is gone, for pages and listeners; `reason` is empty when it left gracefully."""

    worker: str
    reason: str


@dataclass(frozen=True, slots=True)
class EndProcess(Action):
    """The master's process may end; `code` None: as the results say."""

    code: ExitCode | None = None


@dataclass(frozen=True, slots=True)
class Note(Action):
    """A line for the log; `level` as in `logging`."""

    level: str
    text: str
