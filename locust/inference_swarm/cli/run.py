"""`run HOST …`: one test without a web UI; `locust …`: Locust's own command. Both with our locustfile.

This process becomes Locust, so that signals reach it and its exit code is the command's.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import NoReturn

from inference_swarm.cli.command_line import command_parser
from inference_swarm.cli.runs import locust_command, quiet
from inference_swarm.config.options import OPTIONS
from inference_swarm.program import PROGRAM

POSITIONS = ("--host", "--users", "--spawn-rate", "--run-time", "--loglevel")
_SHOWN = (
    "--users", "--run-time", "--data", "--api", "--arrival", "--rate", "--stages", "--slo", "--warm-up", "--header",
    "--results", "--run-name",
)  # fmt: skip


def make_parser(name: str = "run") -> argparse.ArgumentParser:
    """Return a parser for help and completion: every option is Locust's to parse."""
    parser = command_parser(
        name,
        "Runs one test without a web UI (with one: --ui): a master and a worker for each core. The options are "
        f"Locust's and ours: `{PROGRAM} locust --help` lists all, docs/settings.md explains ours. The most used:",
        f"{PROGRAM} run http://127.0.0.1:8000 --users 50 --run-time 1m --data rows.csv",
        f"{PROGRAM} run http://127.0.0.1:8000 50 25 30s            # HOST USERS SPAWN_RATE DURATION [LOGLEVEL]",
        f"{PROGRAM} run http://127.0.0.1:8000 --arrival poisson --rate 500 --slo 'p99<50ms' --run-time 2m",
        f"{PROGRAM} run http://127.0.0.1:8000 -f my_locustfile.py  # a locustfile of your own",
        f"{PROGRAM} run --ui                                       # the web UI, at http://127.0.0.1:8089",
    )
    parser.add_argument("host", metavar="HOST", nargs="?", help="such as http://127.0.0.1:8000")
    parser.add_argument("-v", "--verbose", action="store_true", help="log what goes on, not only progress and result")
    parser.add_argument("--ui", action="store_true", help="with the web UI, in which the test is started")
    for option in OPTIONS:
        shown = option.help.partition(";")[0].replace("%", "%%")
        parser.add_argument(
            option.flag,
            choices=option.choices,
            metavar=None if option.choices else option.value_type.name.upper().replace(" ", "_"),
            help=shown if option.flag in _SHOWN else argparse.SUPPRESS,
        )
    return parser


def main(args: list[str] | None = None) -> int:
    """Entry point; the first argument is `run` or `locust`. Becomes Locust, unless help was asked for."""
    name, *rest = sys.argv[1:] if args is None else args
    if name == "run" and rest[:1] not in (["-h"], ["--help"]):
        is_verbose = bool({"-v", "--verbose", "--ui"} & set(rest))
        arguments = locust_arguments([word for word in rest if word not in ("-v", "--verbose")])
        if not is_verbose and not any(word.startswith(("--loglevel", "-L")) for word in arguments):
            os.environ.update(quiet())
        become_locust(arguments)
    if name == "locust":
        become_locust(rest)
    make_parser().print_help()
    return 0


def become_locust(arguments: list[str]) -> NoReturn:
    """Replace this process by Locust, with our locustfile unless another one is named."""
    command = [sys.executable, "-m", "locust", *arguments] if has_locustfile(arguments) else locust_command(*arguments)
    os.execv(sys.executable, command)


def locust_arguments(given: list[str]) -> list[str]:
    """Return what Locust gets for the arguments of `run`: HOST and what follows it become options."""
    count = next((at for at, word in enumerate(given) if word.startswith("-")), len(given))
    positions, rest = given[:count], given[count:]
    if len(positions) > len(POSITIONS):
        print(
            f"{PROGRAM} run: {positions[len(POSITIONS)]!r} follows {' '.join(positions[: len(POSITIONS)])}\n"
            "  Expected: HOST [USERS [SPAWN_RATE [DURATION [LOGLEVEL]]]], then options.",
            file=sys.stderr,
        )
        sys.exit(2)
    options = [word for pair in zip(POSITIONS, positions, strict=False) for word in pair]
    if rest[:1] == ["--"]:
        del rest[0]
    mode = [] if "--ui" in rest else ["--headless"]
    return [*mode, *options, *(word for word in rest if word != "--ui")]


def has_locustfile(arguments: list[str]) -> bool:
    """Return whether a locustfile of the user's own is named."""
    return any(word == "-f" or word.startswith("--locustfile") for word in arguments)
