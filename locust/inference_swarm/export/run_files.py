"""Writes everything that a run leaves in its folder, from its record. An edge: files, and Locust's own tables."""

from __future__ import annotations

import logging
from pathlib import Path

from locust.env import Environment

from inference_swarm.config.documents import Document
from inference_swarm.export.heat_map import heat_map
from inference_swarm.export.intervals import hlog_intervals, interval_rows, interval_table, longest_s
from inference_swarm.export.locust_files import write_locust_files
from inference_swarm.export.report_data import ReportData
from inference_swarm.export.run_folder import write_json, write_whole
from inference_swarm.export.run_table import append_to_run_table, run_table_row
from inference_swarm.export.server import server_csv
from inference_swarm.export.stage_table import stage_csv
from inference_swarm.export.summary import RunRecord, build_summary
from inference_swarm.measure.hlog import hlog_lines
from inference_swarm.program import PROGRAM

logger = logging.getLogger(__name__)


def write_run_files(run: RunRecord, folder: Path, environment: Environment) -> Document:
    """Writes all files, the summary first, and returns the summary."""
    summary = write_number_files(run, folder)
    append_to_run_table(Path(run.settings.results_dir), run_table_row(summary))
    write_locust_files(environment, folder)
    return summary


def write_number_files(run: RunRecord, folder: Path) -> Document:
    """Write summary, histogram logs, intervals and report: everything that does not need Locust."""
    series = run.totals.series
    rows, total = interval_rows(series, run.wanted_rate), run.totals.total()
    summary = build_summary(run, rows)
    for name, is_service in (("latency.hlog", False), ("service.hlog", True)):
        lines = hlog_lines(run.started_unix_s, hlog_intervals(series, is_service=is_service))
        write_whole(folder / name, "".join(lines))
    write_whole(folder / "intervals.csv", interval_table(rows))
    if run.server is not None:
        write_whole(folder / "server.csv", server_csv(run.server))
    if summary["stages"]:
        write_whole(folder / "stages.csv", stage_csv(summary["stages"]))
    write_json(folder / "summary.json", summary)  # the last of them: a run that has it needs no recovery
    heat = heat_map(hlog_intervals(series, is_service=False), longest_s(rows), summary["duration_s"])
    _write_report(ReportData(summary, rows, total.latency, total.service, heat), folder)
    return summary


def _write_report(data: ReportData, folder: Path) -> None:
    """Write the page. The numbers are saved by now: a failure costs only the page, which can be made again."""
    try:
        from inference_swarm.export.report import render_report

        write_whole(folder / "report.html", render_report(data))
    except Exception:
        logger.exception("report.html could not be made; make it again with `%s report %s`", PROGRAM, folder)
