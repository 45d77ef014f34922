"""The text of `--stages`: the grammar below in, Stages out.

Stages are separated by commas or lines; `#` starts a comment:
  30s@500                   hold 500 for 30 s
  1m@500..2000              ramp in a straight line from 500 to 2000 within 1 min
  1m->2000                  ramp from where the stage before ended (0 at the start) to 2000
  10m@sine(200..800,2m)     go to and fro between 200 and 800, once in 2 min, for 10 min; begins at 500, upwards
  5m@steps(100..500,5)      5 steps of 1 min: 100, 200, 300, 400, 500
  3x(30s@500,10s@2000)      what is in the brackets, three times
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from inference_swarm.errors import SettingProblem
from inference_swarm.load.stages import Stage, Stages

EXPECTED = (
    "stages like 30s@500 (hold), 1m@500..2000 or 1m->2000 (ramp), 10m@sine(200..800,2m), 5m@steps(100..500,5) or "
    "3x(30s@500,10s@2000), separated by commas or lines"
)
# A slip of the keyboard must not keep a process busy for ever, and each stage has its own part of every report.
MAX_STAGES = 500
_NUMBER = r"\d+(?:\.\d+)?"
_RANGE = rf"(?P<first>{_NUMBER})\s*\.\.\s*(?P<last>{_NUMBER})"
_TIME = r"(?P<time>[\w.]+?)\s*"
_STAGE = re.compile(rf"{_TIME}(?:@\s*(?P<first>{_NUMBER})(?:\s*\.\.\s*(?P<last>{_NUMBER}))?|->\s*(?P<to>{_NUMBER}))")
_SINE = re.compile(rf"{_TIME}@\s*sine\(\s*{_RANGE}\s*,\s*(?P<period>[\w.]+)\s*\)")
_STEPS = re.compile(rf"{_TIME}@\s*steps\(\s*{_RANGE}\s*,\s*(?P<steps>\d{{1,9}})\s*\)")
_REPEAT = re.compile(r"(?P<times>\d{1,9})\s*x\s*\((?P<inner>.*)\)", re.DOTALL)
_DURATION = re.compile(
    rf"(?:(?P<h>{_NUMBER})h)?(?:(?P<m>{_NUMBER})m(?!s))?(?:(?P<s>{_NUMBER})s)?(?:(?P<ms>{_NUMBER})ms)?", re.ASCII
)


def is_stages_text(given: str) -> bool:
    """Return whether the text is stages and not the name of a file with them."""
    return "@" in given or "->" in given


def parse_stages(text: str, *, source: str = "--stages") -> Stages:
    """Read the grammar above; `source` says where the text is from. Raises SettingProblem for the first bad stage."""
    plain = "\n".join(line.split("#", 1)[0] for line in text.splitlines())
    stages: list[Stage] = []
    _add(stages, plain, source)
    if not stages:
        raise SettingProblem(f"{source}: there is no stage in {text[:60]!r}", expected=EXPECTED)
    if all(stage.first == stage.last == 0 for stage in stages):
        raise SettingProblem(
            f"{source}: every stage of {text[:60]!r} has the value 0", expected="a value above 0 in one stage at least"
        )
    return Stages(tuple(stages))


def _add(stages: list[Stage], text: str, source: str) -> None:
    for part in _parts(text):
        if (found := _REPEAT.fullmatch(part)) is not None:
            for _ in range(int(found["times"])):
                before = len(stages)
                _add(stages, found["inner"], source)
                if len(stages) == before:
                    raise SettingProblem(f"{source}: there is nothing to repeat in {part!r}", expected=EXPECTED)
        else:
            stages += _read(part, stages[-1].end_value if stages else 0.0, source)
        if len(stages) > MAX_STAGES:
            raise SettingProblem(
                f"{source}: there are more than {MAX_STAGES} stages", expected=f"{MAX_STAGES} stages at most"
            )


def _parts(text: str) -> Iterator[str]:
    """The stages of a text: commas and lines inside of brackets separate none."""
    depth, part = 0, ""
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if letter in ",\n" and depth <= 0:
            yield part.strip()
            part = ""
        else:
            part += letter
    yield part.strip()


def _read(part: str, before: float, source: str) -> list[Stage]:
    """Return the stages of one part; none of an empty one. `before`: where the stage before ended."""
    if not part:
        return []
    found = _STAGE.fullmatch(part) or _SINE.fullmatch(part) or _STEPS.fullmatch(part)
    if found is None:
        raise SettingProblem(f"{source}: stage {part!r} cannot be read", expected=EXPECTED)
    words = found.groupdict()
    duration_s = _duration_of(part, words["time"], "the duration", source)
    first = float(words["first"]) if words["first"] else before
    last = float(words.get("to") or words["last"] or first)
    if words.get("period"):
        return [Stage(duration_s, first, last, _duration_of(part, words["period"], "the period", source))]
    if words.get("steps"):
        count = int(words["steps"])
        if not 2 <= count <= MAX_STAGES:
            raise SettingProblem(
                f"{source}: stage {part!r} has {count:,} steps", expected=f"from 2 to {MAX_STAGES} steps"
            )
        values = [first + (last - first) * step / (count - 1) for step in range(count)]
        return [Stage(duration_s / count, value, value) for value in values]
    return [Stage(duration_s, first, last)]


def _duration_of(part: str, text: str, what: str, source: str) -> float:
    try:
        return parse_duration_s(text)
    except ValueError:
        raise SettingProblem(
            f"{source}: stage {part!r} has {what} {text!r}",
            expected="a time above 0 like 30s, 1m30s, 500ms, 2h or 45 (seconds)",
        ) from None


def parse_duration_s(text: str) -> float:
    """Return the seconds of 30s, 1m30s, 500ms, 2h or 45; raises ValueError for anything else and for 0."""
    found = _DURATION.fullmatch(f"{text}s" if re.fullmatch(_NUMBER, text) else text)
    if not found:
        raise ValueError(f"no duration: {text!r}")
    parts = {unit: float(number) for unit, number in found.groupdict().items() if number}
    seconds = parts.get("h", 0) * 3600 + parts.get("m", 0) * 60 + parts.get("s", 0) + parts.get("ms", 0) / 1000
    if not seconds > 0:
        raise ValueError(f"a duration above 0 is needed, not {text!r}")
    return seconds
