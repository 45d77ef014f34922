"""The warm-up of a run (`--warm-up`): text in, how long it lasts out. What is sent in it counts in no metric."""

from __future__ import annotations

import re
from dataclasses import dataclass

from inference_swarm.errors import SettingProblem

EXPECTED = "a time like 10s, 1m30s or 10 (seconds), or a number of requests like 5000 requests; empty: no warm-up"
_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?", re.ASCII)
_NUMBER = re.compile(r"\d+(?:\.\d+)?", re.ASCII)
_REQUESTS = re.compile(r"(\d+)\s*requests?", re.ASCII)


@dataclass(frozen=True, slots=True)
class WarmUp:
    """A warm-up, which ends after a time or a number of ended requests; with neither there is none."""

    duration_s: float = 0.0
    requests: int = 0


def parse_warm_up(text: str, *, source: str = "--warm-up") -> WarmUp:
    """Parse the setting as EXPECTED describes. Raises SettingProblem."""
    text = text.strip()
    if not text:
        return WarmUp()
    if found := _REQUESTS.fullmatch(text):
        return WarmUp(requests=int(found[1]))
    try:
        return WarmUp(parse_duration_s(text))
    except ValueError:
        raise SettingProblem(f"{source} is {text!r}", expected=EXPECTED) from None


def parse_duration_s(text: str) -> float:
    """Return the seconds of `10s`, `1m30s` or `10`; raises ValueError for anything else."""
    found = _DURATION.fullmatch(f"{text}s" if _NUMBER.fullmatch(text) else text)
    if not text or found is None:
        raise ValueError(f"not a duration: {text!r}")
    hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return hours * 3600 + minutes * 60 + seconds
