"""The parts in which a worker process and a single one differ."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from inference_swarm.cluster.protocol import Envelope
from inference_swarm.errors import ExitCode


@dataclass(frozen=True, slots=True)
class WorkerSeams:
    """The parts in which a worker process and a single one differ.

    `send` sends to the master, `open_channel` opens the connection again, `end` ends the process. `notifies_listeners`:
    Locust's listeners are notified of the start and stop of a test from here, and its statistics travel in the reports.
    `source_address`: the addresses of this machine that the process was started with; they hold, not the master's.
    """

    send: Callable[[Envelope], None]
    open_channel: Callable[[], None]
    end: Callable[[ExitCode], None]
    notifies_listeners: bool
    source_address: str = ""
