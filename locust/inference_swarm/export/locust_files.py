"""Locust's own CSV and HTML of a run, written by Locust's own code into the run's folder."""

from __future__ import annotations

import csv
import io
import time
from pathlib import Path

from locust.env import Environment
from locust.stats import PERCENTILES_TO_REPORT, StatsCSV, StatsCSVFileWriter

from inference_swarm.export.html_report import html_page
from inference_swarm.export.run_folder import write_whole


def write_locust_files(environment: Environment, folder: Path) -> None:
    """Write stats.csv, failures.csv, exceptions.csv and locust.html, as `--csv` and `--html` do."""
    tables = StatsCSV(environment, PERCENTILES_TO_REPORT)
    for name, write in (
        ("stats", tables.requests_csv),
        ("failures", tables.failures_csv),
        ("exceptions", tables.exceptions_csv),
    ):
        text = io.StringIO(newline="")
        write(csv.writer(text))
        write_whole(folder / f"locust_{name}.csv", text.getvalue())
    write_whole(folder / "locust.html", html_page(environment))


def finish_csv_at_end() -> None:
    """`--csv` in every mode: Locust itself leaves out what was counted since it last wrote, up to a second before."""
    close_files = StatsCSVFileWriter.close_files

    def finish_and_close(writer: StatsCSVFileWriter) -> None:
        _write_last_rows(writer)
        close_files(writer)

    StatsCSVFileWriter.close_files = finish_and_close  # type: ignore[assignment]


def _write_last_rows(writer: StatsCSVFileWriter) -> None:
    writer.requests_csv_filehandle.seek(0)
    writer.requests_csv_writer.writerow(writer.requests_csv_columns)
    writer._requests_data_rows(writer.requests_csv_writer)
    writer.requests_csv_filehandle.truncate()
    writer._stats_history_data_rows(writer.stats_history_csv_writer, time.time())
    writer.failures_csv_filehandle.seek(writer.failures_csv_data_start)
    writer._failures_data_rows(writer.failures_csv_writer)
    writer.failures_csv_filehandle.truncate()
    writer.exceptions_csv_filehandle.seek(writer.exceptions_csv_data_start)
    writer._exceptions_data_rows(writer.exceptions_csv_writer)
    writer.exceptions_csv_filehandle.truncate()
