"""`demo`: from nothing to a load test of the reference server, then its result."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from urllib.parse import quote

from inference_swarm.cli.command_line import command_parser, positive, require_writable, run_command, zero_or_more
from inference_swarm.cli.processes import CommandError, Processes, require_free_port, wait_until_healthy
from inference_swarm.cli.reference_server import missing_words
from inference_swarm.cli.runs import (
    default_results,
    locust_command,
    quiet,
    read_result,
    wait_for,
)
from inference_swarm.export.formats import format_number_of
from inference_swarm.program import PROGRAM

# What `train` generates (a test compares): the demo without a UI trains no more than it tests.
GENERATED = ("credit_card_transactions", "diabetic", "healthcare-dataset-stroke", "UNSW_NB15_merged")
APIS = ("invocation", "mlflow", "kserve-v1", "open-inference")  # those that the reference server speaks


def make_parser(name: str = "demo") -> argparse.ArgumentParser:
    """Return the parser."""
    parser = command_parser(
        name,
        "Trains the models of one dataset (with --ui of all four) if they are missing, starts the reference server, a "
        "master and workers on loopback, load-tests it, prints the result, stops everything.",
        f"{PROGRAM} demo --seconds 10",
        f"{PROGRAM} demo --ui                            # leaves the web UI open, at http://127.0.0.1:8089",
        f"{PROGRAM} demo --api open-inference            # the same models, as Triton or MLServer would be asked",
        f"{PROGRAM} demo --dataset diabetic --model lgbm --method predict_proba --users 100 --workers 4",
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="log what goes on, not only progress and result")
    parser.add_argument("--ui", action="store_true", help="leave the web UI open instead of running a test at once")
    parser.add_argument("--seconds", type=positive, default=30, help="length of the test (%(default)s)")
    parser.add_argument("--users", type=positive, default=50, help="users of the swarm (%(default)s)")
    parser.add_argument("--workers", type=zero_or_more, default=2, help="0: all in one process (%(default)s)")
    parser.add_argument("--dataset", default="healthcare-dataset-stroke", help="%(default)s")
    parser.add_argument("--model", default="xgboost", help="%(default)s")
    parser.add_argument("--method", default="predict", choices=["predict", "predict_proba"])
    parser.add_argument("--api", default=APIS[0], choices=APIS, help="how requests look (%(default)s)")
    parser.add_argument("--server-port", type=int, default=8000, help="port of the inference server (%(default)s)")
    parser.add_argument("--master-port", type=int, default=5557, help="port at which the workers join (%(default)s)")
    parser.add_argument("--web-port", type=int, default=8089, help="port of the web UI (%(default)s)")
    parser.add_argument(
        "--results", type=Path, default=default_results(), help="folder for data and results (%(default)s)"
    )
    return parser


def parse_arguments(args: list[str] | None = None) -> argparse.Namespace:
    """Parse the options of the demo."""
    return make_parser().parse_args(args)


def run_demo(options: argparse.Namespace) -> int:
    """Runs the demo; returns the exit code."""
    if words := missing_words("demo"):
        raise CommandError(words)
    require_writable(options.results)
    require_free_port(options.server_port, "--server-port", "the inference server")
    require_free_port(options.master_port, "--master-port", "the workers")
    if options.ui:
        require_free_port(options.web_port, "--web-port", "the web UI")
    with Processes() as processes:
        say("1/3  data and models: training what is missing")
        train = [sys.executable, "-m", "server.train", "--if-missing", "--results", str(options.results)]
        code = wait_for(processes.start("the training", [*train, *chosen_dataset(options)]))
        if code:
            raise CommandError("The training failed; its message is above.", code)
        host = f"http://127.0.0.1:{options.server_port}"
        say(f"2/3  inference server at {host}")
        log_file = options.results / "logs" / "server.log"
        server = processes.start(
            "the inference server",
            [sys.executable, "-m", "server.serve", "--host", "127.0.0.1", "--port", str(options.server_port),
             "--models", str(options.results / "models")],
            log_file=log_file,
        )  # fmt: skip
        wait_until_healthy(f"{host}/health", server, log_file, timeout_s=120)
        if options.ui:
            return run_with_ui(processes, options, host)
        return run_headless(processes, options, host)


def chosen_dataset(options: argparse.Namespace) -> list[str]:
    """Options of the training: all datasets for the web UI, whose start form offers them; else what is tested."""
    return [] if options.ui or options.dataset not in GENERATED else ["--dataset", options.dataset]


def swarm_arguments(options: argparse.Namespace, host: str) -> list[str]:
    """Options that the headless test and the web UI share."""
    return [
        "--host", host, "--users", str(options.users), "--spawn-rate", "25", "--run-time", f"{options.seconds}s",
        "--processes", str(options.workers), "--results", str(options.results),
        "--dataset-name", options.dataset, "--pred-method", options.method, *model_arguments(options),
        "--master-bind-host", "127.0.0.1", "--master-bind-port", str(options.master_port),
        "--master-port", str(options.master_port), "--web-host", "127.0.0.1", "--web-port", str(options.web_port),
    ]  # fmt: skip


def model_arguments(options: argparse.Namespace) -> list[str]:
    """Options that choose API and model, as the reference server names its models to each (server/README.md)."""
    chosen = ["--api", options.api]
    if options.api == "invocation":
        return [*chosen, "--model", options.model]
    if options.api == "mlflow":  # which knows one model a server
        path = f"/invocations?dataset={quote(options.dataset)}&model={options.model}"
        return [*chosen, "--model", options.model, "--path", path]
    return [*chosen, "--model", f"{options.dataset}-{options.model}"]


def run_headless(processes: Processes, options: argparse.Namespace, host: str) -> int:
    """One test, then its result."""
    users = format_number_of(options.users, "user")
    say(f"3/3  a master and {format_number_of(options.workers, 'worker')}: {users} for {options.seconds} s")
    run_name = f"{time.strftime('%Y%m%d-%H%M%S')}_{options.dataset}_{options.model}"
    swarm = processes.start(
        "the swarm",
        locust_command("--headless", *swarm_arguments(options, host), "--run-name", run_name),
        env={} if options.verbose else quiet(),
    )
    result = read_result(options.results, run_name, wait_for(swarm))
    if result.summary is None:
        raise CommandError("The swarm ended without a result; its message is above.", result.exit_code or 4)
    return result.exit_code  # the swarm itself has printed its table


def run_with_ui(processes: Processes, options: argparse.Namespace, host: str) -> int:
    """The web UI until Ctrl-C."""
    workers = format_number_of(options.workers, "worker")
    say(f"3/3  web UI at http://127.0.0.1:{options.web_port} with {workers}; Ctrl-C stops everything")
    swarm = processes.start("the swarm", locust_command(*swarm_arguments(options, host)))
    return wait_for(swarm)


def say(text: str) -> None:
    """A step, at once, also when the output is a file."""
    print(f"\n=== {text}", flush=True)


def main(args: list[str] | None = None) -> int:
    """Entry point."""
    options = parse_arguments(args)
    return run_command(lambda: run_demo(options))


if __name__ == "__main__":
    sys.exit(main())
