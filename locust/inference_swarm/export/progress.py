"""Shows the progress of a headless run: one line that is overwritten on a terminal, else a plain line now and then.

Replaces Locust's periodic tables, which --print-stats and --only-summary bring back. An edge: streams.
"""

from __future__ import annotations

import argparse
import logging
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import gevent

from inference_swarm.config.documents import ReadDocument
from inference_swarm.export.moment import moment_of
from inference_swarm.export.terminal import closing_table, progress_line

if TYPE_CHECKING:
    from inference_swarm.run.run import Run

PLAIN_PERIOD_S = 10.0
LIVE_PERIOD_S = 1.0
CLEAR_LINE = "\r\x1b[K"


class CountedUsers(Protocol):
    """The users at this moment: a runner."""

    @property
    def user_count(self) -> int:
        """Those that run."""

    @property
    def draining_user_count(self) -> int:
        """Those that are stopping while others run in their place."""


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

    def show(self, run: Run, users: CountedUsers) -> None:
        """Show the progress; a greenlet runs it while the run goes on."""
        if not self._is_shown:
            return
        period_s = LIVE_PERIOD_S if self._is_live else PLAIN_PERIOD_S
        while True:
            gevent.sleep(period_s)
            moment = moment_of(run, users.user_count, time.monotonic(), users.draining_user_count)
            if self._is_live:
                line = progress_line(moment, shutil.get_terminal_size().columns - 1)
                self._is_line_open = True
                sys.stderr.write(CLEAR_LINE + line)
            else:
                sys.stderr.write(progress_line(moment) + "\n")
            sys.stderr.flush()

    def close(self, summary: ReadDocument, folder: Path | None) -> None:
        """Print the closing table; without a folder where nothing could be written."""
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
