"""The allow-list of the web UI: names of sent fields in, a refusal for each forbidden one out. Pure.

Locust sets any of its options that a form names. Whatever names a file, opens a way around a check or belongs to the
process and not to the run is for the command line, and is not here.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable

from inference_swarm.config.documents import ReadDocument
from inference_swarm.config.options import OPTIONS
from inference_swarm.errors import SettingProblem, SwarmError
from inference_swarm.web.form import LOCUST_FIELDS, our_keys

# What Locust's own page sends beside the fields of `LOCUST_FIELDS`; the second with --class-picker only.
LOCUST_ONLY = frozenset({"profile"})
CLASS_PICKER = frozenset({"user_classes", "shape_class"})
# What its dialog of user classes sends to /user.
USER_CLASS_FIELDS = frozenset({"user_class_name", "host", "weight", "fixed_count", "tasks"})
_FIX = "set it on the master's command line, in its environment or in config.json"


def allowed_fields(others: Iterable[str] = (), *, has_class_picker: bool = False) -> frozenset[str]:
    """Names that POST /swarm may send; `others` are the options that a locustfile added to the page."""
    ours = {option.name for option in OPTIONS}
    of_locust = {*LOCUST_FIELDS, *LOCUST_FIELDS.values(), *LOCUST_ONLY, *(CLASS_PICKER if has_class_picker else ())}
    return frozenset({*our_keys(), *of_locust, *(set(others) - ours)})


def refused_fields(sent: Iterable[str], allowed: Collection[str]) -> list[SwarmError]:
    """A problem for each name that is not allowed. Values are not repeated: they may be secrets."""
    by_key = {key: option.flag for option in OPTIONS for key in (option.name, option.dest, option.flag.lstrip("-"))}
    problems: list[SwarmError] = []
    for name in sorted(set(sent) - set(allowed)):
        flag = by_key.get(name) or by_key.get(name.replace("_", "-"))
        if flag is not None:
            problems.append(SettingProblem(f"{flag} cannot be set in the web UI", action=_FIX))
            continue
        nearest = difflib.get_close_matches(name, sorted(allowed), n=1)
        hint = f"use {nearest[0]!r} if that was meant; or " if nearest else ""
        problems.append(
            SettingProblem(f"{name[:100]!r} is not a field of the start form", action=f"{hint}leave it out")
        )
    return problems


def user_class_problems(sent: ReadDocument) -> list[SwarmError]:
    """Return the forbidden changes of Locust's dialog of user classes, which sets any attribute, on all workers."""
    problems = refused_fields(sent, USER_CLASS_FIELDS)
    for name in ("weight", "fixed_count"):
        value = sent.get(name, 0)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            problems.append(SettingProblem(f"{name} is {str(value)[:100]!r}", expected="a whole number of at least 0"))
    tasks = sent.get("tasks", [])
    if not isinstance(tasks, list) or not all(isinstance(task, str) for task in tasks):
        problems.append(SettingProblem("tasks is not a list of names", expected="names of the class's tasks"))
    return problems
