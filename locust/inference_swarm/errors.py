"""Errors by who must act, and the process exit codes.

Every message has three parts: what was found and where it came from, what was expected, what to do next.
Any stage may import this module; it imports nothing of ours.
"""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """What the process tells a supervisor or CI. `docs/architecture.md` has the table for users."""

    PASSED = 0
    REQUESTS_FAILED = 1
    BAD_CONFIGURATION = 2
    OBJECTIVE_MISSED = 3
    INCOMPLETE = 4
    TARGET_UNREACHABLE = 5


class SwarmError(Exception):
    """Base of all errors that we raise on purpose: three sentences and an exit code."""

    exit_code: ClassVar[ExitCode] = ExitCode.BAD_CONFIGURATION

    def __init__(self, found: str, *, expected: str = "", action: str = "") -> None:
        self.found = found
        self.expected = expected
        self.action = action
        parts = [found]
        if expected:
            parts.append(f"Expected: {expected}")
        if action:
            parts.append(f"Fix: {action}")
        super().__init__("\n  ".join(parts))


class ConfigError(SwarmError):
    """The person who wrote the settings must act. `problems` holds all of them, not only the first."""

    def __init__(self, problems: list[SwarmError]) -> None:
        self.problems = problems
        count = len(problems)
        head = "1 problem with the settings:" if count == 1 else f"{count} problems with the settings:"
        super().__init__("\n- ".join([head, *(str(problem) for problem in problems)]))


class SettingProblem(SwarmError):
    """One setting that cannot be used; collected into a `ConfigError`."""


class DataError(SwarmError):
    """The person who provides the dataset must act: missing, unreadable, empty or changed files."""


class ProtocolError(SwarmError):
    """A message between master and worker that does not follow docs/protocol.md."""

    exit_code = ExitCode.INCOMPLETE


class TargetError(SwarmError):
    """The server under test cannot be reached or may not be aimed at."""

    exit_code = ExitCode.TARGET_UNREACHABLE
