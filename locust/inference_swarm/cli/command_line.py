"""What the commands share: parsers with examples, values of options, the folder for results, the end of a command."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from textwrap import fill

from inference_swarm.cli.processes import CommandError, say_last
from inference_swarm.errors import ExitCode, SwarmError
from inference_swarm.export.results_folder import check_writable
from inference_swarm.program import PROGRAM

STOPPED = 130
HELP_WIDTH = 100


def command_parser(name: str, description: str, *examples: str) -> argparse.ArgumentParser:
    """Return a parser whose help ends with the examples, a line each."""
    return argparse.ArgumentParser(
        prog=f"{PROGRAM} {name}",
        description=fill(description, HELP_WIDTH),
        epilog="\n  ".join(["examples:", *examples]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def parse_before_dashes(parser: argparse.ArgumentParser, args: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Our arguments, and those after `--`, which are passed to Locust as they are."""
    at = args.index("--") if "--" in args else len(args)
    options, unknown = parser.parse_known_args(args[:at])
    if unknown:
        words = " ".join(unknown)
        parser.error(
            f"unrecognized arguments: {words}\nOptions of `{PROGRAM} run` go behind --: {parser.prog} … -- {words}"
        )
    return options, args[at + 1 :]


def positive(text: str) -> int:
    """argparse type: a whole number of at least 1."""
    return _whole_number(text, 1)


def zero_or_more(text: str) -> int:
    """argparse type: a whole number of at least 0."""
    return _whole_number(text, 0)


def _whole_number(text: str, least: int) -> int:
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {least}")
    return int(text)


def require_writable(results: Path) -> None:
    """Raises CommandError when no results can be written there."""
    try:
        check_writable(results)
    except SwarmError as problem:
        raise CommandError(str(problem)) from None


def run_command(command: Callable[[], int]) -> int:
    """Its exit code; a problem is a message and not a traceback, and an interrupt is 130."""
    try:
        return command()
    except CommandError as error:
        say_last(str(error))
        return error.exit_code
    except SwarmError as error:
        say_last(str(error))
        return int(error.exit_code)
    except OSError as error:
        if error.filename is None:
            raise
        say_last(f"{error.filename}: {error.strerror}")
        return int(ExitCode.BAD_CONFIGURATION)
    except (KeyboardInterrupt, EOFError):
        say_last("\nStopped.")
        return STOPPED
