"""The channel of a single process: the coordinator and its one agent hand each other messages, nothing is lost."""

from __future__ import annotations

from collections.abc import Callable

from inference_swarm.cluster.protocol import Envelope


class MemoryChannel:
    """Both ends. `to_master` and `to_worker` are set before the first message."""

    def __init__(self, worker: str) -> None:
        self._worker = worker
        self.to_master: Callable[[str, Envelope], None] | None = None
        self.to_worker: Callable[[Envelope], None] | None = None

    def send_to_worker(self, worker: str, envelope: Envelope) -> None:
        """Send from the coordinator; messages for other workers are dropped."""
        if worker == self._worker and self.to_worker is not None:
            self.to_worker(envelope)

    def send_to_master(self, envelope: Envelope) -> None:
        """Send from the agent."""
        if self.to_master is not None:
            self.to_master(self._worker, envelope)
