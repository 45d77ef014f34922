"""Live progress of a headless run: one line that is written over on a terminal, a plain line now and then without one.

Stands in for Locust's periodic tables, which a person gets back with --print-stats or --only-summary. An edge: streams.
"""

from __future__ import annotations

import argparse
import logging
import math
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gevent

from inference_swarm.export.terminal import Moment, closing_table, progress_line
from inference_swarm.measure.counters import RequestCounters

if TYPE_CHECKING:
    from inference_swarm.run.run import Run

PLAIN_PERIOD_S = 5.0
LIVE_PERIOD_S = 1.0
CLEAR_LINE = "\r\x1b[K"


class Progress:
    """Silent in web UI runs, and where the user asked Locust for its own tables."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._is_shown = bool(options.headless) and not options.print_stats and not options.only_summary
        self._is_live = sys.stderr.isatty()
        self._is_line_open = False
        if self._is_shown:
            options.only_summary = True
            logging.getLogger("locust.stats_logger").disabled = True
            if self._is_live:
                self._keep_log_lines_whole()

    def show(self, run: Run, count_users: Callable[[], int]) -> None:
        """A greenlet's work while the run goes on."""
        if not self._is_shown:
            return
        period_s = LIVE_PERIOD_S if self._is_live else PLAIN_PERIOD_S
        while True:
            gevent.sleep(period_s)
            line = progress_line(_moment(run, count_users()))
            if self._is_live:
                self._is_line_open = True
                sys.stderr.write(CLEAR_LINE + line)
            else:
                sys.stderr.write(line + "\n")
            sys.stderr.flush()

    def close(self, summary: Mapping[str, Any], folder: Path | None) -> None:
        """The closing table; without a folder where nothing could be written."""
        if self._is_shown:
            self._end_line()
            # Where Locust's tables and logs go; the standard output is for its --json.
            sys.stderr.write(f"\n{closing_table(summary, folder)}\n\n")
            sys.stderr.flush()
        elif folder is not None:
            logging.getLogger(__name__).info("Results are in %s", folder)

    def _end_line(self) -> None:
        if self._is_line_open:
            self._is_line_open = False
            sys.stderr.write(CLEAR_LINE)

    def _keep_log_lines_whole(self) -> None:
        def clear_first(_record: logging.LogRecord) -> bool:
            self._end_line()
            return True

        for name in ("", "locust"):
            for handler in logging.getLogger(name).handlers:
                if isinstance(handler, logging.StreamHandler) and handler.stream is sys.stderr:
                    handler.addFilter(clear_first)


def _moment(run: Run, users: int) -> Moment:
    """Totals of the run; rate and times of the newest interval that has any requests."""
    totals = run.totals
    newest, rate_rps = RequestCounters(), 0.0
    for interval in reversed(totals.series.intervals()[-2:]):
        total = interval.total()
        # Not every worker may have reported for the very last one.
        if total.ended and len(interval.covered_s) >= sum(not worker.is_complete for worker in totals.workers.values()):
            newest, rate_rps = total, interval.rate_rps(total.ended_in_time)
            break
    p50_us, p99_us = newest.latency.percentiles_us([50, 99]) if newest.latency.count else (math.nan, math.nan)
    return Moment(
        elapsed_s=max(0.0, time.monotonic() - (run.course.began_s or 0.0)),
        length_s=run.plan.load.length_s,
        users=users,
        workers=len(totals.workers),
        rate_rps=rate_rps,
        p50_us=p50_us,
        p99_us=p99_us,
        requests=sum(counters.ended for counters in totals.names.values()),
        failures=sum(counters.failures for counters in totals.names.values()),
        dropped=sum(counters.dropped for counters in totals.names.values()),
    )
