"""The warm-up of a run (`--warm-up`): text in, seconds out. What is sent in it counts in no metric."""

from __future__ import annotations

import re

from inference_swarm.errors import SettingProblem

EXPECTED = "a time like 10s, 1m30s or 10 (seconds); empty: no warm-up"
_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?", re.ASCII)
_NUMBER = re.compile(r"\d+(?:\.\d+)?", re.ASCII)


def parse_warm_up(text: str, *, source: str = "--warm-up") -> float:
    """Seconds of `10s`, `1m30s` or `10`; 0 for an empty text. Raises SettingProblem."""
    text = text.strip()
    found = _DURATION.fullmatch(f"{text}s" if _NUMBER.fullmatch(text) else text)
    if found is None:
        raise SettingProblem(f"{source} is {text!r}", expected=EXPECTED)
    hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return hours * 3600 + minutes * 60 + seconds
