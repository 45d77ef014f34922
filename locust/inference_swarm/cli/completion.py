"""`completion SHELL`: what a shell reads to complete the commands and options of `inference-swarm`."""

from __future__ import annotations

import argparse

from inference_swarm.cli.command_line import command_parser

SHELLS = ("bash", "zsh", "fish")


def make_parser(name: str = "completion") -> argparse.ArgumentParser:
    """Return the parser."""
    parser = command_parser(
        name,
        "Prints what a shell reads to complete commands and options.",
        'eval "$(inference-swarm completion bash)"           # in ~/.bashrc; zsh alike',
        "inference-swarm completion fish | source            # in config.fish",
    )
    parser.add_argument("shell", choices=SHELLS)
    return parser


def main(args: list[str] | None = None) -> int:
    """Entry point."""
    from argcomplete.shell_integration import shellcode

    shell: str = make_parser().parse_args(args).shell
    print(shellcode(["inference-swarm"], shell=shell))
    return 0
