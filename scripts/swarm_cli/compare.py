"""scripts/start.sh compare RUN RUN: two runs side by side, what differs significantly; on the terminal and a page."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from inference_swarm.export.comparison import compare_saved, comparison_text
from inference_swarm.export.comparison_page import comparison_page
from inference_swarm.export.run_folder import write_whole
from inference_swarm.export.saved_run import read_run
from swarm_cli.command_line import run_command
from swarm_cli.report import find_run
from swarm_cli.runs import default_results


def main(args: list[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="scripts/start.sh compare", description=__doc__)
    parser.add_argument("one", metavar="RUN", help="folder of a run, or its name")
    parser.add_argument("other", metavar="RUN", help="the run to compare with it")
    parser.add_argument("--results", type=Path, default=default_results(), help="folder for results")
    parser.add_argument("--html", type=Path, help="the page; default: compared_with_<first run>.html in the second run")
    options = parser.parse_args(args)
    return run_command(lambda: compare(options))


def compare(options: argparse.Namespace) -> int:
    """Prints what differs and writes the page."""
    one, other = (read_run(find_run(name, options.results)) for name in (options.one, options.other))
    compared = compare_saved(one, other)
    page = options.html or other.folder / f"compared_with_{one.folder.name}.html"
    write_whole(page, comparison_page(compared))
    print(f"{comparison_text(compared)}\n\npage  {page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
