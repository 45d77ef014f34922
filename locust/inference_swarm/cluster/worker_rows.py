"""The rows of this process for its agent: a shard for each run, whose callbacks become events. An edge: threads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from inference_swarm.cluster.agent_events import (
    AgentEvent,
    OnceProgressed,
    RowsAreLoading,
    RowsAreReady,
    RowsCouldNotLoad,
    TargetIsProbed,
)
from inference_swarm.cluster.protocol import (
    HoldRows,
    OnceReport,
    RowsLoading,
    RowsReady,
    RunOffer,
    TargetProbed,
    cut,
    numbers_in,
)
from inference_swarm.config.settings import Settings
from inference_swarm.data.manifest_wire import manifest_from_wire
from inference_swarm.data.progress import BlockProgress
from inference_swarm.data.row_store import StoreStatus
from inference_swarm.errors import ProtocolError, SwarmError
from inference_swarm.load.probe import ProbeReply
from inference_swarm.load.shard import Shard
from inference_swarm.load.user_host import release_users
from inference_swarm.transport.allowed import check_hosts_allowed


class WorkerRows:
    """`shard` and `settings` are those of the run whose rows are held; `feed` takes events."""

    def __init__(self, worker: str, allowed: str, feed: Callable[[AgentEvent], None], source_address: str = "") -> None:
        """`allowed` (--allow-host) and `source_address` are those that this worker was started with."""
        self.shard: Shard | None = None
        self.settings: Settings | None = None
        self._worker = worker
        self._allowed = allowed
        self._feed = feed
        self._source_address = source_address
        self._run_id = ""

    @property
    def is_loading(self) -> bool:
        """True when rows are not in memory yet."""
        return self.shard is not None and self.shard.is_loading

    def give_back(self) -> None:
        """Order once: send no more rows."""
        if self.shard is not None:
            self.shard.give_back()

    def acknowledge_once(self, sequence: int) -> None:
        """Order once: the master has recorded a report."""
        if self.shard is not None:
            self.shard.once_acknowledged(sequence)

    def last_once_report(self, run_id: str) -> OnceReport | None:
        """Order once: return which rows were sent in the end."""
        last = None if self.shard is None or run_id != self._run_id else self.shard.last_once_report()
        return None if last is None else OnceReport.of(run_id, *last)

    def hold(self, order: HoldRows) -> None:
        """Hold exactly these rows from now on. Failures become RowsCouldNotLoad."""
        blocks, leases = numbers_in(order.blocks), order.block_leases()
        try:
            if self.shard is not None and self._run_id == order.run_id:
                self.shard.hold(order.generation, blocks, leases)
                return
            assert order.offer is not None  # the agent has seen to it
            self.drop()
            self._run_id = order.run_id
            settings = _settings_of(order.offer)
            if self._source_address:
                settings = replace(settings, source_address=self._source_address)
            self.settings = settings
            check_hosts_allowed(settings, self._allowed, f"worker {self._worker}")
            self.shard = Shard(
                settings,
                manifest_from_wire(order.offer.manifest),
                blocks,
                leases,
                generation=order.generation,
                on_ready=self._on_ready,
                on_loading=self._on_loading,
                on_failed=self._on_failed,
                on_once_report=self._on_once_report,
            )
        except SwarmError as error:
            self._on_failed(error)

    def probe(self, run_id: str) -> None:
        """Ask the server before the run, with the first of these rows."""

        def on_probed(reply: ProbeReply) -> None:
            code = 0 if reply.code is None else int(reply.code)
            self._feed(TargetIsProbed(TargetProbed(run_id, code, cut(reply.text), reply.is_warning)))

        if self.shard is not None and run_id == self._run_id:
            self.shard.probe(on_probed)

    def _on_ready(self, generation: int, status: StoreStatus, seconds: float) -> None:
        message = RowsReady(
            self._run_id, generation, status.blocks, status.rows, status.held_bytes, seconds, status.is_windowed
        )
        self._feed(RowsAreReady(message))

    def _on_loading(self, generation: int, status: StoreStatus) -> None:
        message = RowsLoading(self._run_id, generation, status.held_blocks, status.held_rows, status.held_bytes)
        self._feed(RowsAreLoading(message))

    def _on_failed(self, error: SwarmError) -> None:
        self._feed(RowsCouldNotLoad(self._run_id, cut(str(error))))

    def _on_once_report(self, sequence: int, progress: list[BlockProgress]) -> None:
        self._feed(OnceProgressed(self._run_id, sequence, progress))

    def drop(self) -> None:
        """Release everything."""
        if self.shard is not None:
            self.shard.close()
            self.shard = None
            release_users()
        self._run_id = ""


def _settings_of(offer: RunOffer) -> Settings:
    try:
        return Settings(**offer.settings)
    except TypeError as error:
        raise ProtocolError(
            f"the master's settings cannot be used: {error}",
            action="run the same release of the swarm on the master and on all workers",
        ) from error
