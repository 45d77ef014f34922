"""The command `inference-swarm`: one help page, and the module of each command, which is imported when it is called."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from dataclasses import dataclass

from inference_swarm import __version__
from inference_swarm.program import PROGRAM


@dataclass(frozen=True, slots=True)
class Command:
    """One command: its line in the help page, and the module whose `main` runs it."""

    name: str
    words: str
    arguments: str
    module: str
    needs: str = "swarm"
    """The set of locked dependencies: swarm, server, or run for both."""


_CLI = "inference_swarm.cli"
_SERVER = f"{_CLI}.reference_server"
COMMANDS = (
    Command("demo", "trains what is missing, serves it, load-tests it", "[--ui] [--seconds N]", f"{_CLI}.demo", "run"),
    Command("run", "one test of a server", "HOST [OPTIONS]", f"{_CLI}.run"),
    Command(
        "capacity",
        "the highest rate that HOST holds within its objectives",
        "HOST --slo 'p99<50ms'",
        f"{_CLI}.capacity",
    ),
    Command("test", "datasets × models × runs", "HOST USERS SPAWN_RATE DURATION", f"{_CLI}.matrix"),
    Command("compare", "two runs: what differs significantly", "RUN RUN", f"{_CLI}.compare"),
    Command("report", "report.html of a run, made again", "RUN", f"{_CLI}.report"),
    Command("train", "makes splits and trains models", "[--data FILE --target COLUMN]", _SERVER, "server"),
    Command("serve", "the reference inference server", "[--host H] [--port P]", _SERVER, "server"),
    Command("keys", "keys that let only your own workers join", "DIR", f"{_CLI}.keys"),
    Command("k8s-job", "one run on a Kubernetes cluster", "[HOST USERS SPAWN_RATE DURATION]", f"{_CLI}.k8s_job"),
    Command("k8s-secrets", "keys and login for the cluster", "", f"{_CLI}.k8s_secrets"),
    Command("locust", "Locust's own command with our locustfile", "[OPTIONS]", f"{_CLI}.run"),
    Command("completion", "completion of commands and options for a shell", "bash|zsh|fish", f"{_CLI}.completion"),
)
_BY_NAME = {command.name: command for command in COMMANDS}


def help_page() -> str:
    """Return all commands on one screen."""
    width = max(len(f"{command.name} {command.arguments}") for command in COMMANDS)
    lines = [f"  {f'{command.name} {command.arguments}':<{width}}  {command.words}" for command in COMMANDS]
    return "\n".join(
        [
            f"usage: {PROGRAM} COMMAND …",
            "",
            "Load tests for model servers, on Locust's engine.",
            "",
            *lines,
            "",
            f"{PROGRAM} COMMAND --help has options and examples. Paths count from the folder in which it is called.",
            "Exit codes: 0 passed, 1 requests failed, 2 bad configuration, 3 objective missed, 4 incomplete,",
            "5 target unreachable.",
        ]
    )


def main(args: list[str] | None = None) -> int:
    """Entry point of the console script."""
    arguments = sys.argv[1:] if args is None else args
    # A package of the caller's folder that is called like one of ours is not imported by what we start.
    os.environ.setdefault("PYTHONSAFEPATH", "1")
    os.environ.setdefault("SWARM_PROGRAM", PROGRAM)
    if "_ARGCOMPLETE" in os.environ:
        complete()
    name = arguments[0] if arguments else ""
    if name in ("-h", "--help", "help"):
        print(help_page())
        return 0
    if name == "--version":
        print(f"inference-swarm {__version__}")
        return 0
    if name == "--needs":  # for scripts/start.sh, which installs that first
        asked = _BY_NAME.get(arguments[1])
        print(asked.needs if asked else "")
        return 0
    command = _BY_NAME.get(name)
    if command is None:
        print(help_page(), file=sys.stderr)
        if name:
            print(f"\nUnknown command: {name}{_nearest(name)}", file=sys.stderr)
        return 2
    rest = arguments[1:]
    # Modules of several commands learn which one it is.
    shared = [name] if command.module in (f"{_CLI}.run", _SERVER) else []
    code: int = importlib.import_module(command.module).main([*shared, *rest])
    return code


def _nearest(name: str) -> str:
    import difflib

    found = difflib.get_close_matches(name, list(_BY_NAME), n=1)
    return f"; did you mean {found[0]}?" if found else ""


def complete() -> None:
    """Answer a shell that asks what may follow; argcomplete ends the process when it has."""
    import argcomplete

    words = os.environ.get("COMP_LINE", "").split()[1:]
    parser = argparse.ArgumentParser(prog=PROGRAM)
    commands = parser.add_subparsers()
    for command in COMMANDS:
        # Only the one that is typed is imported: the modules of all take a second.
        chosen = words[:1] == [command.name]
        parents = [_parser_of(command)] if chosen else []
        commands.add_parser(command.name, help=command.words, parents=parents, add_help=False)
    argcomplete.autocomplete(parser)


def _parser_of(command: Command) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = importlib.import_module(command.module).make_parser(command.name)
    return parser


if __name__ == "__main__":
    sys.exit(main())
