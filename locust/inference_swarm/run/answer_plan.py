"""Settings of answers that go together, and those that do not; how a run that records answers sends its rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from inference_swarm.config.documents import ReadSettingValues
from inference_swarm.config.settings import Settings
from inference_swarm.data.locate import Source
from inference_swarm.errors import SettingProblem
from inference_swarm.judge.objectives import Objective, parse_objectives, split_objectives

# So few that a server answers each by itself, or nearly.
CALM_USERS: Final = 4


def answer_problems(values: ReadSettingValues) -> list[SettingProblem]:
    """Return what stands against recording answers, or against comparing with recorded ones."""
    if values["expect_answers"] and values["ab"]:
        return [
            SettingProblem(
                "--expect-answers is given and so is --ab",
                expected="one of them: the answers that were recorded are those of one model",
                action="compare each variant by itself; labels and --check-answer consistent go with --ab",
            )
        ]
    if not values["record_answers"]:
        return []
    others = (
        ("expect_answers", "--expect-answers", bool(values["expect_answers"])),
        ("find_capacity", "--find-capacity", bool(values["find_capacity"])),
        ("stages", "--stages", bool(values["stages"])),
        ("warm_up", "--warm-up", bool(values["warm_up"])),
        ("arrival", "--arrival", values["arrival"] != "closed"),
        ("ab", "--ab", bool(values["ab"])),
    )
    return [
        SettingProblem(
            f"--record-answers is given and so is {flag}",
            expected="one of them: answers are recorded in calm, with every row sent once",
            action=f"record first, without {flag}; then run with --expect-answers",
        )
        for _, flag, is_given in others
        if is_given
    ]


def resolve_recording(settings: Settings) -> Settings:
    """Return settings under which every row is sent once, by itself and by a few users, however long that takes."""
    if not settings.record_answers:
        return settings
    users = min(settings.users, CALM_USERS)
    return replace(settings, row_order="once", batch_size=1, users=users, spawn_rate=float(users), duration_s=None)


def are_labels_needed(settings: Settings) -> bool:
    """Return whether an objective is on the quality of predictions."""
    return bool(_quality_objectives(settings))


def check_labels(settings: Settings, source: Source) -> None:
    """Raise SettingProblem for an objective that needs labels where there are none."""
    objectives = _quality_objectives(settings)
    if objectives and not source.has_labels:
        raise SettingProblem(
            f"--slo has {objectives[0].text!r} and the data have no labels",
            expected="labels to compare predictions with: a file, a column, or y_test.parquet beside X_test.parquet",
            action="give --labels or --label-column, or leave the objective out",
        )


def _quality_objectives(settings: Settings) -> list[Objective]:
    objectives, _ = parse_objectives(split_objectives(settings.slo))
    return [objective for objective in objectives if objective.quantity.is_of_quality]
