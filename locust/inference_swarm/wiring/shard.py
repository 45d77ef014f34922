"""The rows of this process in one run: reads and encodes what it is told to hold, off the event loop, and feeds users.

Used by the worker, whose master tells it what to hold, and by a single process, which holds everything.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import cast

import gevent
import pyarrow as pa
from gevent.event import Event
from locust.exception import StopUser

from inference_swarm.config.settings import Settings
from inference_swarm.data.blocks import iter_blocks
from inference_swarm.data.json_rows import encode_rows
from inference_swarm.data.manifest import Manifest
from inference_swarm.data.orders import Order
from inference_swarm.data.row_store import RowStore, StoreStatus
from inference_swarm.errors import DataError, SwarmError
from inference_swarm.load.user import Assignment
from inference_swarm.transport.check import check_predictions, parse_expected_status
from inference_swarm.transport.client import InferenceClient
from inference_swarm.transport.deadlines import Deadlines
from inference_swarm.transport.target import Target, parse_target, prepare_requests, request_head

logger = logging.getLogger(__name__)


def target_of(settings: Settings) -> Target:
    """Where requests go. Raises SettingProblem."""
    return parse_target(
        settings.host,
        method=settings.pred_method or None,
        dataset=settings.dataset_name or None,
        model=settings.model or None,
    )


def make_client(settings: Settings) -> InferenceClient:
    """The transport of this process."""
    return InferenceClient(
        target_of(settings),
        deadlines=Deadlines(
            connect_s=settings.connect_timeout_s,
            send_s=settings.request_timeout_s,
            request_s=settings.request_timeout_s,
        ),
        expected_status=parse_expected_status(settings.expect_status),
        answer_check=check_predictions if settings.check_answer else None,
        ca_file=Path(settings.ca_file) if settings.ca_file else None,
        is_insecure=settings.insecure,
    )


class Shard:
    """Loads blocks in the hub's thread pool; calls `on_ready` each time that all that was asked for is in memory."""

    def __init__(
        self,
        settings: Settings,
        manifest: Manifest,
        block_ids: Iterable[int],
        *,
        on_ready: Callable[[StoreStatus, float], None],
        on_failed: Callable[[SwarmError], None],
    ) -> None:
        self.client = make_client(settings)
        self._manifest = manifest
        self._on_ready = on_ready
        self._on_failed = on_failed
        self._wanted = Event()
        self._arrived = Event()
        head = request_head(self.client.target)

        def encode(table: pa.Table) -> list[bytes]:
            return prepare_requests(encode_rows(table, settings.body_format), head)

        self.store = RowStore(
            lambda blocks: iter_blocks(manifest, blocks),
            encode,
            self._blocks(block_ids),
            order=cast("Order", settings.row_order),
            seed=settings.seed,
            row_memory_bytes=settings.row_memory_bytes,
            on_want=self._wanted.set,
        )
        self._began_s = time.monotonic()
        self._is_announced = False
        self._loader = gevent.spawn(self._load)

    def hold(self, block_ids: Iterable[int]) -> None:
        """From now on these blocks and no others."""
        self._began_s = time.monotonic()
        self._is_announced = False
        self.store.hold(self._blocks(block_ids))
        self._wanted.set()

    def close(self) -> None:
        """Lets go of everything."""
        self._loader.kill(block=False)

    def assignment(self) -> Assignment:
        """What users of this process do."""
        return Assignment(client=self.client, take=self.store.take)

    def _blocks(self, block_ids: Iterable[int]) -> list:  # type: ignore[type-arg]
        return [self._manifest.blocks[block_id] for block_id in block_ids]

    def _wait_for_row(self) -> None:
        if self.store.is_exhausted:
            raise StopUser("all rows have been sent")
        self._arrived.clear()
        self._wanted.set()
        self._arrived.wait(timeout=1.0)

    def _load(self) -> None:
        pool = gevent.get_hub().threadpool
        while True:
            task = self.store.next_task()
            if task is None:
                self._announce()
                self._wanted.wait()
                self._wanted.clear()
                continue
            try:
                encoded = pool.apply(task)
            except SwarmError as error:
                self._fail(error)
                return
            except (pa.ArrowException, OSError, MemoryError) as error:
                self._fail(DataError(f"rows could not be loaded: {error}", expected="a readable parquet file"))
                return
            self.store.install(encoded)
            self._arrived.set()

    def _announce(self) -> None:
        if not self._is_announced:
            self._is_announced = True
            self._on_ready(self.store.status(), time.monotonic() - self._began_s)

    def _fail(self, error: SwarmError) -> None:
        logger.error("%s", error)
        self._on_failed(error)
