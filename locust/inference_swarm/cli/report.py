"""`report RUN`: report.html of a run, made again from the files in its folder.

For a run whose master was killed, all its results, from the last state that it wrote.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from inference_swarm.cli.command_line import command_parser, run_command
from inference_swarm.cli.runs import default_results
from inference_swarm.export.results_folder import find_run
from inference_swarm.program import PROGRAM


def _recover(folder: Path) -> None:
    import locust  # noqa: F401 - first: it makes the standard library cooperative
    from inference_swarm.export.recovery import recover_run

    print(f"The run in {folder} was interrupted; its results are made from its last state.", file=sys.stderr)
    recover_run(folder)


def make_parser(name: str = "report") -> argparse.ArgumentParser:
    """Return the parser."""
    parser = command_parser(
        name,
        "Makes report.html of a run again from the files in its folder. For a run whose master was killed: all its "
        "results, from the last state that it wrote.",
        f"{PROGRAM} report 20261125-101500_mine          # a name below RESULTS/runs",
        f"{PROGRAM} report experiment-results/runs/20261125-101500_mine",
    )
    parser.add_argument("run", metavar="RUN", help="folder of a run, or its name")
    parser.add_argument("--results", type=Path, default=default_results(), help="folder for results")
    return parser


def main(args: list[str] | None = None) -> int:
    """Entry point."""
    options = make_parser().parse_args(args)
    return run_command(lambda: make_report(find_run(options.run, options.results)))


def make_report(folder: Path) -> int:
    """Writes the page and prints its path."""
    # Not above: a help page needs none of them, and they take most of a second.
    from inference_swarm.export.heat_map import heat_map
    from inference_swarm.export.intervals import longest_s
    from inference_swarm.export.report import render_report
    from inference_swarm.export.report_data import ReportData
    from inference_swarm.export.run_folder import write_whole
    from inference_swarm.export.saved_run import as_it_was_written, merge_intervals, read_run

    if (folder / "state.msgpack").exists() and not (folder / "summary.json").exists():
        _recover(folder)
    run = read_run(folder)
    with as_it_was_written(folder):
        heat = heat_map(run.latency, longest_s(run.rows), run.summary["duration_s"])
        data = ReportData(run.summary, run.rows, merge_intervals(run.latency), merge_intervals(run.service), heat)
        page = render_report(data)
    write_whole(run.folder / "report.html", page)
    print(run.folder / "report.html")
    return 0


if __name__ == "__main__":
    sys.exit(main())
