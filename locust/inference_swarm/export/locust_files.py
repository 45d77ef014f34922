"""Locust's own CSV and HTML of a run, written by Locust's own code into the run's folder."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from locust.env import Environment
from locust.html import get_html_report
from locust.stats import PERCENTILES_TO_REPORT, StatsCSV

from inference_swarm.export.run_folder import write_whole


def write_locust_files(environment: Environment, folder: Path) -> None:
    """stats.csv, failures.csv, exceptions.csv and locust.html, with the columns that `--csv` and `--html` have."""
    tables = StatsCSV(environment, PERCENTILES_TO_REPORT)
    for name, write in (
        ("stats", tables.requests_csv),
        ("failures", tables.failures_csv),
        ("exceptions", tables.exceptions_csv),
    ):
        text = io.StringIO(newline="")
        write(csv.writer(text))
        write_whole(folder / f"locust_{name}.csv", text.getvalue())
    page: str = get_html_report(environment, show_download_link=False)  # type: ignore[no-untyped-call]
    write_whole(folder / "locust.html", page)
