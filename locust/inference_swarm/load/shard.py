"""The rows of this process in one run: reads and encodes the assigned blocks, off the event loop, and feeds users.

An edge: threads and greenlets. What to hold is decided elsewhere.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import cast

import gevent
import pyarrow as pa
from gevent.event import Event

from inference_swarm.apis.body import RequestFormat
from inference_swarm.apis.table import metadata_paths, request_format
from inference_swarm.config.settings import Settings
from inference_swarm.config.variants import Variant, variants_of
from inference_swarm.data.batches import Batching
from inference_swarm.data.manifest import Block, Manifest
from inference_swarm.data.numpy_values import leave_pandas_out
from inference_swarm.data.orders import Order
from inference_swarm.data.packed import PackedBodies
from inference_swarm.data.progress import BlockLease, BlockProgress
from inference_swarm.data.row_store import RowStore, StoreStatus
from inference_swarm.data.threads import run_in_pool
from inference_swarm.data.trace import Trace, read_trace
from inference_swarm.data.trace_store import TraceStore
from inference_swarm.data.truth import BlockTruth, iter_with_truth
from inference_swarm.errors import DataError, SwarmError, TargetError
from inference_swarm.load.answers import look_up_truths, watch_answers
from inference_swarm.load.assignment import Assignment, no_row_is_counted
from inference_swarm.load.clients import make_clients
from inference_swarm.load.example_rows import ExampleRows
from inference_swarm.load.pairs import Pairs, Side
from inference_swarm.load.probe import ProbeReply, ask_server
from inference_swarm.load.readiness import wait_ready
from inference_swarm.load.server_metadata import ask_metadata
from inference_swarm.transport.target import parse_headers, request_heads

logger = logging.getLogger(__name__)
ONCE_REPORT_S = 0.5
LOADING_PERIOD_S = 1.0
MIN_ONCE_REPORT_S = 0.02


class Shard:
    """Loads blocks in the hub's thread pool; calls `on_ready` each time that all assigned blocks are in memory."""

    def __init__(
        self,
        settings: Settings,
        manifest: Manifest,
        block_ids: Sequence[int],
        leases: Iterable[BlockLease] = (),
        *,
        generation: int,
        on_ready: Callable[[int, StoreStatus, float], None],
        on_loading: Callable[[int, StoreStatus], None],
        on_failed: Callable[[SwarmError], None],
        on_once_report: Callable[[int, list[BlockProgress]], None],
    ) -> None:
        """The callbacks get the generation of the last `hold`. Raises SwarmError."""
        leave_pandas_out()
        self._variants = variants_of(settings) or (Variant("", settings),)
        self.clients, self.watches = make_clients(self._variants, manifest)  # one, or two in an A/B run
        self._settings = settings
        self._manifest = manifest
        self._block_ids = list(block_ids)
        self._generation = generation
        self._on_ready = on_ready
        self._on_loading = on_loading
        self._on_failed = on_failed
        self._on_once_report = on_once_report
        self._wanted = Event()
        self._arrived = Event()
        self._report_wanted = Event()
        self._format: RequestFormat | None = None  # made when the server has been asked, before the first block
        self._head_of: Callable[[int], bytes] | None = None
        self._not_ready: TargetError | None = None
        self.trace: Trace | None = None
        self.store = self._make_store(block_ids)
        look_up_truths(self.watches, self.store)
        self._began_s = time.monotonic()
        self._is_ready_sent = False
        if self.store.once is not None:
            self.hold(generation, block_ids, leases)
        self._greenlets = [gevent.spawn(self._load), gevent.spawn(self._report_loading)]
        if self.store.once is not None:
            self._greenlets.append(gevent.spawn(self._report_once))

    def _make_store(self, block_ids: Sequence[int]) -> RowStore | TraceStore:
        settings, manifest = self._settings, self._manifest

        def read(blocks: Iterable[Block]) -> Iterator[tuple[Block, pa.Table, BlockTruth | None]]:
            return iter_with_truth(manifest, blocks)

        if manifest.instant_field is not None and settings.arrival == "trace":
            return TraceStore(
                read,
                self._encode,
                manifest.blocks,
                self._blocks(block_ids),
                row_memory_bytes=settings.row_memory_bytes,
                head_of=self._make_head,
                on_want=self._wanted.set,
            )
        return RowStore(
            read,
            self._encode,
            self._blocks(block_ids),
            order=cast("Order", settings.row_order),
            seed=settings.seed,
            row_memory_bytes=settings.row_memory_bytes,
            head_of=self._make_head,
            on_want=self._wanted.set,
            batching=Batching(settings.batch_size, self._join) if settings.batch_size > 1 else None,
        )

    @property
    def is_loading(self) -> bool:
        """True while blocks are missing in memory."""
        return not self._is_ready_sent

    def hold(self, generation: int, block_ids: Iterable[int], leases: Iterable[BlockLease] = ()) -> None:
        """Hold these blocks and no others from now on."""
        self._generation = generation
        self._block_ids = list(block_ids)
        self._began_s = time.monotonic()
        self._is_ready_sent = False
        self.store.hold(self._blocks(self._block_ids), leases)
        self._wanted.set()
        self._arrived.set()
        self._report_wanted.set()

    def give_back(self) -> None:
        """Order once: send no more rows."""
        if self.store.once is not None:
            self.store.hold(())

    def last_once_report(self) -> tuple[int, list[BlockProgress]] | None:
        """Order once: return which rows were sent in the end, for the final report."""
        return None if self.store.once is None else self.store.once.report()

    def close(self) -> None:
        """End the loading and release everything."""
        gevent.killall(self._greenlets, block=False)

    def probe(self, on_probed: Callable[[ProbeReply], None]) -> None:
        """Ask the server before the run, in a greenlet that ends with the shard."""
        row = self._manifest.blocks[self._block_ids[0]].first_row if self._block_ids else 0

        def ask() -> None:
            assert self._format is not None
            if self._not_ready is not None:
                on_probed(ProbeReply.of(self._not_ready))
                return
            for variant, client in zip(self._variants, self.clients, strict=True):
                reply = ask_server(variant.settings, client, self._manifest, row, self._format)
                if variant.name:
                    reply = replace(reply, text=f"{variant.name}: {reply.text}")
                if reply.code is not None or reply.is_warning:
                    break
            on_probed(reply)

        self._greenlets.append(gevent.spawn(ask))

    def assignment(self) -> Assignment:
        """Return what users of this process do."""
        is_once, is_batched = self.store.once is not None, self._settings.batch_size > 1
        assignment = Assignment(
            client=self.clients[0],
            pairs=self._pairs() if len(self.clients) > 1 else None,
            take=self.store.take,
            wait_for_row=self._wait_for_row,
            row_count=self._settings.batch_size,
            take_rows=self.store.take_rows if is_once or is_batched or self.trace is not None else None,
            done=self._done if is_once else no_row_is_counted,
            is_counted=is_once,
            example_rows=ExampleRows(self.store.find_rows),
        )
        if len(self.watches) == 1:
            watch_answers(assignment, self.watches[0], self.store, is_batched=is_batched)
        return assignment

    def _pairs(self) -> Pairs:
        headers, row_format = parse_headers(self._settings.headers), self._format
        assert row_format is not None
        sides = [Side(client, request_heads(client.target, headers, row_format.headers)) for client in self.clients]
        take_rows = self.store.take_rows if self._settings.batch_size > 1 or self.watches else None
        seed = f"{self._settings.seed} {min(self._block_ids, default=0)}"
        return Pairs(sides, self.store.take, take_rows, seed, [watch.note for watch in self.watches])

    def once_acknowledged(self, sequence: int) -> None:
        """Order once: the master has a report, so what it reserved may be sent."""
        if self.store.once is not None:
            self.store.once.acknowledged(sequence)
            self._arrived.set()
            self._wanted.set()

    def report_once(self) -> None:
        """Order once: report what was sent, and reserve what comes next."""
        if self.store.once is not None and not self.store.once.is_done:
            self._on_once_report(*self.store.once.report())

    def _blocks(self, block_ids: Iterable[int]) -> list[Block]:
        return [self._manifest.blocks[block_id] for block_id in block_ids]

    def _done(self, rows: Sequence[int]) -> None:
        self.store.done(rows)
        self._report_if_wanted()

    def _report_if_wanted(self) -> None:
        once = self.store.once
        if once is not None and once.wants_report:
            self._report_wanted.set()

    def _wait_for_row(self) -> None:
        self._report_if_wanted()
        self._arrived.clear()
        self._wanted.set()
        self._arrived.wait(timeout=1.0)

    def _report_once(self) -> None:
        while True:
            self._report_wanted.wait(ONCE_REPORT_S)
            self._report_wanted.clear()
            self.report_once()
            gevent.sleep(MIN_ONCE_REPORT_S)

    def _load(self) -> None:
        try:
            self._load_while_wanted()
        except SwarmError as error:
            self._fail(error)
        except (pa.ArrowException, OSError, MemoryError) as error:
            text = f"rows could not be loaded: {str(error) or repr(error)}"
            self._fail(DataError(text, expected="a readable parquet file"))
        except Exception as error:  # a fault of ours; nobody would hear of these rows again
            logger.exception("Rows could not be loaded")
            self._fail(DataError(f"rows could not be loaded: {error!r}"))

    def _load_while_wanted(self) -> None:
        pool = gevent.get_hub().threadpool
        self._make_format()
        if isinstance(self.store, TraceStore):
            read = partial(read_trace, self._manifest, self._settings.speed, self._settings.row_memory_bytes)
            self.trace = run_in_pool(pool.apply, read)
            self.store.begin(self.trace, is_repeated=self._settings.loop)
        while True:
            task = self.store.next_task()
            if task is None:
                self._send_ready()
                self._wanted.wait()
                self._wanted.clear()
                continue
            self.store.install(run_in_pool(pool.apply, task))
            self._arrived.set()

    def _encode(self, table: pa.Table) -> PackedBodies:
        assert self._format is not None
        return PackedBodies.pack(self._format.encode(table))

    def _join(self, stored: Sequence[bytes]) -> bytes:
        assert self._format is not None
        return self._format.body_of(stored)

    def _make_head(self, body_bytes: int) -> bytes:
        assert self._head_of is not None
        return self._head_of(body_bytes)

    def _make_format(self) -> None:
        settings = self._settings
        if settings.wait_ready_s is not None and metadata_paths(settings):  # without metadata, later and by one worker
            try:
                wait_ready(settings, self.clients[0])
            except TargetError as error:
                self._not_ready = error
        metadata = ask_metadata(settings, self.clients[0])
        made = self._format = request_format(settings, self._manifest.schema, settings.batch_size, metadata)
        headers, is_open = parse_headers(settings.headers), made.begins_with_headers
        self._head_of = request_heads(self.clients[0].target, headers, made.headers, is_open=is_open)

    def _send_ready(self) -> None:
        if not self._is_ready_sent:
            self._is_ready_sent = True
            self._on_ready(self._generation, self.store.status(), time.monotonic() - self._began_s)

    def _report_loading(self) -> None:
        while True:
            gevent.sleep(LOADING_PERIOD_S)
            if not self._is_ready_sent:
                self._on_loading(self._generation, self.store.status())

    def _fail(self, error: SwarmError) -> None:
        self._on_failed(error)
