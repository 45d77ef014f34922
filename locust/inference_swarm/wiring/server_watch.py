"""Reads the server's own metrics each second of a run: over HTTP, and of a process on this machine. An edge."""

from __future__ import annotations

import logging
import time
import urllib.request
from collections.abc import Iterable, Sequence
from functools import partial

import gevent
import psutil

from inference_swarm.config.redaction import locations_without_secrets
from inference_swarm.config.settings import Settings
from inference_swarm.data.threads import run_in_pool
from inference_swarm.measure.server_metrics import (
    PROCESS_CPU,
    PROCESS_MEMORY,
    PROCESS_UNITS,
    Choice,
    Reading,
    ServerSeries,
    parse_choice,
    read_metrics,
    split_sources,
)

logger = logging.getLogger(__name__)
PERIOD_S = 1.0
TIMEOUT_S = 2.0
MAX_BYTES = 4_000_000


class ServerWatch:
    """The sources of one run. `watch` is run by a greenlet; a failure is a gap and a warning, never an end."""

    def __init__(self, settings: Settings, series: ServerSeries) -> None:
        self._urls = split_sources(settings.server_metrics)
        self._wanted: Sequence[Choice] = [parse_choice(text) for text in split_sources(settings.server_metric)]
        self._pid = settings.server_pid
        self._series = series
        self._has_warned = False

    @property
    def is_wanted(self) -> bool:
        return bool(self._urls or self._pid)

    def watch(self, began_s: float) -> None:
        """Read all sources once a second; `began_s` is on the monotonic clock."""
        while True:
            due_s = time.monotonic() + PERIOD_S
            readings: dict[str, Iterable[Reading]] = {}
            for url in self._urls:
                self._take(readings, url, partial(_read_url, url, self._wanted))
            if self._pid:
                self._take(readings, f"process {self._pid}", partial(_read_process, self._pid))
            self._series.add(max(0.0, time.monotonic() - began_s), readings)
            gevent.sleep(max(0.0, due_s - time.monotonic()))

    def _take(self, readings: dict[str, Iterable[Reading]], source: str, read: partial[list[Reading]]) -> None:
        try:
            # In a thread: a slow parse must not hold up the workers' messages.
            readings[source] = run_in_pool(gevent.get_hub().threadpool.apply, read)
        except Exception as error:  # whatever a server sends instead of metrics
            shown = locations_without_secrets(source)
            self._series.fail(f"{shown}: {error}")
            if not self._has_warned:
                self._has_warned = True
                logger.warning("The server's metrics cannot be read, which leaves gaps: %s: %s", shown, error)


def _read_url(url: str, wanted: Sequence[Choice]) -> list[Reading]:
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response:
        return read_metrics(response.read(MAX_BYTES).decode("utf-8", "replace"), wanted)


def _read_process(pid: int) -> list[Reading]:
    """The process and all that it has begun."""
    process = psutil.Process(pid)
    cpu_s = memory = 0.0
    for one in (process, *process.children(recursive=True)):
        try:
            times = one.cpu_times()
            memory += one.memory_info().rss
        except psutil.NoSuchProcess:
            continue
        cpu_s += times.user + times.system
    return [
        Reading(PROCESS_CPU, PROCESS_UNITS[PROCESS_CPU], cpu_s * 100, True),
        Reading(PROCESS_MEMORY, PROCESS_UNITS[PROCESS_MEMORY], memory / 2**20, False),
    ]
