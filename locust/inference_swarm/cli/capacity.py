"""`capacity`: one search for the highest load that a server holds, as a run of the swarm."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from inference_swarm.cli.command_line import command_parser, parse_before_dashes, require_writable, run_command
from inference_swarm.cli.processes import CommandError, Processes
from inference_swarm.cli.runs import default_results, locust_command, quiet, read_result, wait_for
from inference_swarm.program import PROGRAM

# Of our options, those that are passed on to Locust as they are.
_PASSED = {
    "rate": "RATE", "precision": "SHARE", "confirm": "TIME", "step_max": "TIME", "budget": "TIME",
    "max_in_flight": "N", "at_least": "RATE", "target_rate": "RATE",
    "server_pid": "PID", "data": "FILE", "dataset_name": "NAME", "model": "NAME",
}  # fmt: skip
_HELP = {
    "rate": "requests per second to begin with (10)",
    "precision": "how close to come (5%%)",
    "confirm": "how long the answer must hold (60s)",
    "step_max": "how long a step goes on whose outcome is in doubt (20s)",
    "budget": "how long the search may take in all (10m)",
    "max_in_flight": "most requests in flight at once",
    "at_least": "exit code 3 when it holds less than so many requests per second",
    "target_rate": "say how many servers like this one carry so many requests per second",
    "server_pid": "process of a server on this machine whose CPU and memory are shown",
    "data": "rows to send (docs/data.md)",
    "dataset_name": "dataset whose X_test.parquet is sent",
    "model": "query parameter `model`",
}


def make_parser(name: str = "capacity") -> argparse.ArgumentParser:
    """Return the parser."""
    parser = command_parser(
        name,
        "Finds the highest rate at which HOST meets every objective: raises the rate until one is missed, "
        "closes in on the bound, confirms it, and answers in one sentence. Exit code 0: found; 3: below --at-least; "
        "4: not settled. WORKERS sets the number of workers (default: one per core). Other options of a run "
        "(--path, --api, --drop-columns, --header …) go behind --. docs/capacity.md",
        f"{PROGRAM} capacity http://127.0.0.1:8000 --slo 'p99<50ms' --data rows.csv",
        f"{PROGRAM} capacity http://127.0.0.1:8000 --slo 'p99<50ms' --at-least 500    # exit code 3 below that",
        f"{PROGRAM} capacity http://127.0.0.1:8000 --slo 'p99<50ms' --by users",
        f"{PROGRAM} capacity http://127.0.0.1:8000 --slo 'p99<50ms' --data rows.csv -- --path /predict",
    )
    parser.add_argument("host", metavar="HOST", help="such as http://127.0.0.1:8000")
    parser.add_argument("-v", "--verbose", action="store_true", help="log what goes on, not only progress and result")
    parser.add_argument("--slo", action="append", required=True, metavar="OBJECTIVE", help="such as 'p99<50ms'; may be "
                        "given several times")  # fmt: skip
    parser.add_argument("--by", choices=("rate", "users"), default="rate", help="users: of a closed load")
    for name, metavar in _PASSED.items():
        flags = [f"--{name.replace('_', '-')}"] + (["--dataset"] if name == "dataset_name" else [])
        parser.add_argument(*flags, dest=name, metavar=metavar, help=_HELP[name])
    for flag, words in (("--server-metrics", "URL"), ("--server-metric", "NAME")):
        parser.add_argument(flag, action="append", default=[], metavar=words, help="see docs/capacity.md")
    parser.add_argument("--results", type=Path, default=default_results(), help="folder for results")
    return parser


def parse_arguments(args: list[str] | None = None) -> tuple[argparse.Namespace, list[str]]:
    """Our arguments, and those after `--`, which are passed to Locust as they are."""
    return parse_before_dashes(make_parser(), sys.argv[1:] if args is None else args)


def run_search(options: argparse.Namespace, for_locust: list[str]) -> int:
    """Runs the search and prints its answer."""
    require_writable(options.results)
    name = f"{time.strftime('%Y%m%d-%H%M%S')}_capacity"
    arguments = [
        "--headless", "--host", options.host, "--find-capacity", "--capacity-by", options.by,
        "--results", str(options.results), "--run-name", name,
    ]  # fmt: skip
    for objective in options.slo:
        arguments += ["--slo", objective]
    for url in options.server_metrics:
        arguments += ["--server-metrics", url]
    for metric in options.server_metric:
        arguments += ["--server-metric", metric]
    for setting in _PASSED:
        value = getattr(options, setting)
        if value is not None:
            arguments += [f"--{setting.replace('_', '-')}", value]
    with Processes() as processes:
        env = {} if options.verbose else quiet()
        swarm = processes.start("the swarm", locust_command(*arguments, *for_locust), env=env)
        result = read_result(options.results, name, wait_for(swarm))
    capacity = (result.summary or {}).get("capacity")
    if capacity is None:
        raise CommandError(
            f"The search ended with code {result.exit_code} and without a result; its message is above.",
            result.exit_code or 4,
        )
    if not sys.stdout.isatty():  # on a terminal the swarm has just said both
        print(capacity["sentence"])
        print(f"Report: {result.folder / 'report.html'}")
    return result.exit_code


def main(args: list[str] | None = None) -> int:
    """Entry point; the exit code is that of the search."""
    options, for_locust = parse_arguments(args)
    return run_command(lambda: run_search(options, for_locust))


if __name__ == "__main__":
    sys.exit(main())
