"""`keys DIR`: key pairs for the control channel between master and workers."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from inference_swarm.cli.command_line import command_parser, run_command
from inference_swarm.cluster.keys import make_keys
from inference_swarm.program import PROGRAM


def make_parser(name: str = "keys") -> argparse.ArgumentParser:
    """Return the parser."""
    parser = command_parser(
        name,
        "Makes key pairs for the channel between master and workers: with them only your own workers can join, and "
        "their traffic is encrypted.",
        f"{PROGRAM} keys swarm-keys",
        f"{PROGRAM} locust --master --swarm-keys swarm-keys",
    )
    parser.add_argument("folder", type=Path, help="new or empty folder for the keys")
    return parser


def main(args: list[str] | None = None) -> int:
    """Entry point."""
    folder: Path = make_parser().parse_args(args).folder
    return run_command(lambda: print_keys(folder))


def print_keys(folder: Path) -> int:
    """Makes the keys and says what to do with them."""
    for path in make_keys(folder):
        print(path)
    print(f"\nGive the folder to the master and to all workers: --swarm-keys {folder} or SWARM_KEYS={folder}")
    print("The master needs master.key_secret and worker.key, a worker needs worker.key_secret and master.key.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
