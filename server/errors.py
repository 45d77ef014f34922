"""Errors by who must act: the person at the command line, or the sender of a request."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable

PROGRAM = os.environ.get("SWARM_PROGRAM") or "scripts/start.sh"
"""What a message tells people to type; an installed command says its name."""


class SetupError(Exception):
    """The person who started the program must act: what was found, what was expected, what to do next."""

    def __init__(self, found: str, *, expected: str = "", action: str = "") -> None:
        parts = [found]
        if expected:
            parts.append(f"Expected: {expected}")
        if action:
            parts.append(f"Fix: {action}")
        super().__init__("\n  ".join(parts))


class RequestError(Exception):
    """The sender of a request must act; the response has `status` and the sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        self.status = status
        self.sentence = sentence
        super().__init__(sentence)


_SHOWN_CHARACTERS = 80


def shown(name: str) -> str:
    """A name of the sender's for a sentence: what goes back is never as long as what came in."""
    return name if len(name) <= _SHOWN_CHARACTERS else f"{name[:_SHOWN_CHARACTERS]}… ({len(name):,} characters)"


def nearest(name: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)`, or nothing. Long names are not compared: that takes the square of their length."""
    near = difflib.get_close_matches(name, sorted(known), n=1) if len(name) <= _SHOWN_CHARACTERS else []
    return f" (did you mean '{near[0]}'?)" if near else ""
