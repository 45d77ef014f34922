"""`test`: datasets × models × runs against one server, each a run of the swarm, then one table."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from inference_swarm.cli.command_line import command_parser, parse_before_dashes, require_writable, run_command
from inference_swarm.cli.processes import CommandError, Processes
from inference_swarm.cli.runs import (
    RESULT_HEADERS,
    RunResult,
    default_results,
    format_table,
    format_us,
    locust_command,
    read_result,
    result_cells,
    wait_for,
)
from inference_swarm.config.value_types import parse_duration_s
from inference_swarm.errors import DataError
from inference_swarm.program import OWN_SPLITS, PROGRAM, TRAINED_SPLITS

DATASETS = ("credit_card_transactions", "diabetic", "healthcare-dataset-stroke", "UNSW_NB15_merged")
MODELS = ("catboost", "lgbm", "xgboost")


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be run."""

    datasets: tuple[str, ...]
    models: tuple[str, ...]
    runs: int

    @property
    def total(self) -> int:
        """Runs of the swarm."""
        return len(self.datasets) * len(self.models) * self.runs

    def announcement(self, duration: str) -> str:
        """How many runs, of what, and how long they take at least."""
        parts = [_count(len(self.datasets), "dataset"), _count(len(self.models), "model"), _count(self.runs, "run")]
        return f"{_count(self.total, 'run')}: {' × '.join(parts)}, {duration} each{_at_least(self.total, duration)}"


def _at_least(runs: int, duration: str) -> str:
    """Left out for a duration that the first run will refuse."""
    try:
        seconds = round(runs * parse_duration_s(duration))
    except ValueError:
        return ""
    minutes, rest_s = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "min"), (rest_s, "s"))
    return f"; at least {' '.join(f'{number} {unit}' for number, unit in parts if number)} in all" if seconds else ""


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def make_parser(name: str = "test") -> argparse.ArgumentParser:
    """Return the parser."""
    parser = command_parser(
        name,
        "Load-tests HOST with every chosen dataset and model. On a terminal it asks which; without one, or "
        "with the options below, it asks nothing and first says how many runs there are and how long they take. "
        "WORKERS sets the number of workers (default: one per core, fewer under a CPU quota). "
        "Arguments after -- are passed to Locust.",
        f"{PROGRAM} test http://127.0.0.1:8000 50 25 30s",
        f"{PROGRAM} test http://127.0.0.1:8000 50 25 30s --datasets diabetic --models lgbm,xgboost --runs 3",
        f"{PROGRAM} test http://127.0.0.1:8000 50 25 30s WARNING -- --slo 'p99<50ms'",
    )
    parser.add_argument("host", metavar="HOST", help="such as http://127.0.0.1:8000")
    parser.add_argument("users", metavar="USERS")
    parser.add_argument("spawn_rate", metavar="SPAWN_RATE", help="users started per second")
    parser.add_argument("duration", metavar="DURATION", help="of each run, such as 30s or 2m")
    parser.add_argument("log_level", metavar="LOGLEVEL", nargs="?", default=None, help="default: INFO")
    parser.add_argument("--datasets", "--dataset", dest="dataset", metavar="A,B", help="names with commas, or all")
    parser.add_argument("--models", "--model", dest="model", metavar="A,B", help="names with commas, or all")
    parser.add_argument("--runs", metavar="N", help="runs of each pair")
    parser.add_argument("--results", type=Path, default=default_results(), help="folder for results")
    return parser


def parse_arguments(args: list[str] | None = None) -> tuple[argparse.Namespace, list[str]]:
    """Our arguments, and those after `--`, which are passed to Locust as they are."""
    return parse_before_dashes(make_parser(), sys.argv[1:] if args is None else args)


def known_datasets(results: Path) -> tuple[str, ...]:
    """Datasets that have an X_test.parquet: the four of the project first, then the user's own."""
    found = {
        path.parent.name
        for folder in (OWN_SPLITS, results / "splits", TRAINED_SPLITS)
        for path in folder.glob("*/X_test.parquet")
    }
    return tuple(name for name in DATASETS if name in found) + tuple(sorted(found - set(DATASETS)))


def make_plan(options: argparse.Namespace, ask: Callable[[str], str] | None) -> Plan:
    """The plan from options, else from questions when `ask` is given, else all × all × 1. Raises CommandError."""
    datasets = known_datasets(options.results)
    if not datasets:
        raise CommandError(
            f"No dataset was found: no <dataset>/X_test.parquet in {OWN_SPLITS} "
            f"nor in {options.results / 'splits'}.\n"
            f"  Fix: make the data with `{PROGRAM} train`, or put your own splits there."
        )
    defaults = (("dataset", "all"), ("model", "all"), ("runs", "1"))
    choices = {"dataset": ", ".join(datasets), "model": ", ".join(MODELS), "runs": "a whole number"}
    answers: dict[str, str] = {}
    for key, default in defaults:
        given = getattr(options, key)
        if given is None and ask is not None:
            given = ask(f"{key} ({choices[key]}) [{default}]: ").strip()
        answers[key] = given or default
    return Plan(
        _choose(answers["dataset"], datasets, "dataset", datasets),
        _choose(answers["model"], MODELS, "model", None),
        _positive(answers["runs"]),
    )


def _choose(answer: str, all_of_them: tuple[str, ...], what: str, allowed: tuple[str, ...] | None) -> tuple[str, ...]:
    if answer == "all":
        return all_of_them
    chosen = tuple(part.strip() for part in answer.split(",") if part.strip())
    unknown = [name for name in chosen if allowed is not None and name not in allowed]
    if unknown or not chosen:
        raise CommandError(
            f"Unknown {what}: {', '.join(unknown) or 'none given'}.\n"
            f"  Expected: all, or some of {', '.join(all_of_them)}."
        )
    return chosen


def _positive(answer: str) -> int:
    if not answer.isdecimal() or int(answer) < 1:
        raise CommandError(f"The number of runs is {answer!r}.\n  Expected: a whole number of at least 1.")
    return int(answer)


def run_matrix(plan: Plan, options: argparse.Namespace, for_locust: list[str]) -> list[RunResult]:
    """Runs all of the plan, one after the other; a failed run does not end the others, a wrong setting does."""
    todo = [(d, m, n) for d in plan.datasets for m in plan.models for n in range(1, plan.runs + 1)]
    results: list[RunResult] = []
    with Processes() as processes:
        for position, (dataset, model, number) in enumerate(todo, start=1):
            print(f"\n=== {position}/{len(todo)}  {dataset} × {model}, run {number} of {plan.runs}", flush=True)
            run_name = f"{time.strftime('%Y%m%d-%H%M%S')}_{dataset}_{model}"
            arguments = [
                "--headless", "--host", options.host, "--users", options.users, "--spawn-rate", options.spawn_rate,
                "--run-time", options.duration, "--dataset-name", dataset, "--model", model,
                "--results", str(options.results), "--run-name", run_name,
            ]  # fmt: skip
            if options.log_level:
                arguments += ["--loglevel", options.log_level]
            swarm = processes.start("the swarm", locust_command(*arguments, *for_locust))
            result = read_result(options.results, run_name, wait_for(swarm))
            if result.summary is None:
                raise CommandError(
                    f"The run ended with code {result.exit_code} and without a result; its message is above.",
                    result.exit_code or 4,
                )
            results.append(result)
            print("\n" + format_table([RESULT_HEADERS, result_cells(result.summary)]), flush=True)
    return results


def print_matrix(results: list[RunResult]) -> None:
    """Datasets × models with rate and p99, and what differs between models on the same data."""
    summaries = [result.summary for result in results if result.summary]
    models = list(dict.fromkeys(summary["model"] for summary in summaries))
    datasets = list(dict.fromkeys(summary["dataset"] for summary in summaries))
    if len(models) < 2:
        return
    cells = {
        (
            summary["dataset"],
            summary["model"],
        ): f"{summary['rate_rps']:.0f}/s, {format_us(summary['latency_us']['p99'])}"
        for summary in summaries
    }
    table = [
        ("rate, p99", *models),
        *((data, *(cells.get((data, model), "-") for model in models)) for data in datasets),
    ]
    print(f"\n{format_table(table)}")
    differences = compare_models([result.folder for result in results if result.summary])
    if differences:
        print("\n" + "\n".join(f"{dataset}, {models_words}: {words}" for dataset, models_words, words in differences))


def compare_models(folders: list[Path]) -> list[tuple[str, str, str]]:
    """Runs whose files cannot be read are left out; the table above has their numbers."""
    # Now that all runs are over: they import Locust, whose event loop would hold up the signals that end a run.
    from inference_swarm.export.comparison import matrix_rows
    from inference_swarm.export.saved_run import read_run

    runs = []
    for folder in folders:
        try:
            runs.append(read_run(folder))
        except DataError as error:
            print(error, file=sys.stderr)
    return matrix_rows(runs)


def main(args: list[str] | None = None) -> int:
    """Entry point; the exit code is the worst of all runs."""
    options, for_locust = parse_arguments(args)
    return run_command(lambda: run_test(options, for_locust))


def run_test(options: argparse.Namespace, for_locust: list[str]) -> int:
    """Plans, says what is planned, runs it and shows the tables."""
    require_writable(options.results)
    is_terminal = sys.stdin.isatty() and sys.stdout.isatty() and "CI" not in os.environ
    plan = make_plan(options, input if is_terminal else None)
    print(plan.announcement(options.duration))
    if not is_terminal and plan.total > 1:
        print("Fewer: --datasets, --models, --runs.")
    results = run_matrix(plan, options, for_locust)
    print_matrix(results)
    rows = [RESULT_HEADERS, *(result_cells(result.summary) for result in results if result.summary)]
    print(f"\n=== {_count(len(results), 'run')}\n\n{format_table(rows)}")
    print(f"\nAll rows: {options.results / 'run_table.csv'}   Runs: {options.results / 'runs'}/")
    return max(result.exit_code for result in results)


if __name__ == "__main__":
    sys.exit(main())
