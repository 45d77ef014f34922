"""What does not go with a number of requests (`--requests`)."""

from __future__ import annotations

from inference_swarm.config.documents import ReadSettingValues
from inference_swarm.errors import SettingProblem


def request_problems(values: ReadSettingValues) -> list[SettingProblem]:
    """Return what contradicts a number of requests."""
    requests, others = values["requests"], []
    if requests is None:
        return []
    if values["row_order"] == "once":
        others.append(("--row-order is once", "each row is sent once, and that ends the run"))
    if values["find_capacity"]:
        others.append(("--find-capacity is given", "the search decides how many requests a step needs"))
    return [
        SettingProblem(
            f"--requests is {requests:,} and {what}: {why}",
            expected="one of them",
            action="leave one of them out",
        )
        for what, why in others
    ]
