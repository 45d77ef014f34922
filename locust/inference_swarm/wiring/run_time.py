"""The run time of a command line, which Locust must not count by itself."""

from __future__ import annotations

import argparse
import logging


def take_run_time(options: argparse.Namespace) -> int | None:
    """Take over Locust's run time, which would count from now on, including the time to load rows."""
    duration_s: int | None = None
    if options.headless or options.autostart:
        duration_s, options.run_time = options.run_time, None
    if duration_s or options.stages:
        logging.getLogger("locust.main").addFilter(lambda record: "No run time limit set" not in record.getMessage())
    return duration_s
