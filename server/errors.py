"""Errors by who must act: the person at the command line, or the sender of a request."""

from __future__ import annotations


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
    """The sender of a request must act; answered with `status` and the sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        self.status = status
        self.sentence = sentence
        super().__init__(sentence)
