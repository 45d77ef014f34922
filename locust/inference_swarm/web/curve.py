"""The curve of the stages that stand in the start form: their text in, points to draw out. Never reads a file."""

from __future__ import annotations

from inference_swarm.config.documents import Document
from inference_swarm.errors import SettingProblem
from inference_swarm.load.stage_text import EXPECTED, is_stages_text, parse_stages


def curve_document(text: str, *, is_open: bool) -> Document:
    """Return points (seconds, value), how long the stages last, and what the values are. Raises SettingProblem."""
    if not is_stages_text(text):
        raise SettingProblem(f"--stages is {text[:60]!r}, which holds no stage", expected=EXPECTED)
    stages = parse_stages(text)
    count, words = len(stages.stages), "requests/s" if is_open else "users"
    total = f", {stages.amount:,.0f} requests in all" if is_open else ""
    of_stages = f"{count} stage{'' if count == 1 else 's'}"
    return {
        "points": [[round(time_s, 3), round(value, 3)] for time_s, value in stages.outline()],
        "duration_s": stages.duration_s,
        "highest": stages.highest,
        "unit": words,
        "text": f"{of_stages}, up to {stages.highest:,.6g} {words}{total}",
    }
