"""`compare RUN RUN`: two runs side by side, what differs significantly; on the terminal and a page."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from inference_swarm.cli.command_line import command_parser, run_command
from inference_swarm.cli.runs import default_results
from inference_swarm.export.results_folder import find_run
from inference_swarm.program import PROGRAM


def make_parser(name: str = "compare") -> argparse.ArgumentParser:
    """Return the parser."""
    parser = command_parser(
        name,
        "Compares two runs: rate and percentiles with confidence intervals, and what differs significantly; on the "
        "terminal and on a page. docs/measuring.md says what the intervals know.",
        f"{PROGRAM} compare 20261125-101500_mine 20261125-111500_mine   # names below RESULTS/runs, or folders",
        f"{PROGRAM} compare before/ after/ --html difference.html",
    )
    parser.add_argument("one", metavar="RUN", help="folder of a run, or its name")
    parser.add_argument("other", metavar="RUN", help="the run to compare with it")
    parser.add_argument("--results", type=Path, default=default_results(), help="folder for results")
    parser.add_argument("--html", type=Path, help="the page; default: compared_with_<first run>.html in the second run")
    return parser


def main(args: list[str] | None = None) -> int:
    """Entry point."""
    options = make_parser().parse_args(args)
    return run_command(lambda: compare(options))


def compare(options: argparse.Namespace) -> int:
    """Prints what differs and writes the page."""
    # Not above: a help page needs none of them, and they take most of a second.
    from inference_swarm.export.comparison import compare_saved, comparison_text
    from inference_swarm.export.comparison_page import comparison_page
    from inference_swarm.export.run_folder import write_whole
    from inference_swarm.export.saved_run import read_run

    one, other = (read_run(find_run(name, options.results)) for name in (options.one, options.other))
    compared = compare_saved(one, other)
    page = options.html or other.folder / f"compared_with_{one.folder.name}.html"
    write_whole(page, comparison_page(compared))
    print(f"{comparison_text(compared)}\n\npage  {page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
