"""The settings of whether answers are right: a part of the table in `options`."""

from __future__ import annotations

from inference_swarm.config import value_types
from inference_swarm.config.option import Option

CHECK_OFF, CHECK_VALID, CHECK_CONSISTENT = CHECKS = value_types.ANSWER_CHECKS

ANSWER_OPTIONS: tuple[Option, ...] = (
    Option(
        "check_answer", "--check-answer", "SWARM_CHECK_ANSWER", "check_answer", value_types.ANSWER_CHECK, CHECK_OFF,
        "valid, or without a value: count a response as failed unless it holds one prediction for each row, as --api "
        "has them, of which none is null, NaN or an error; consistent: also unless a row gets the same prediction "
        "each time it is sent", choices=CHECKS,
    ),
    Option(
        "record_answers", "--record-answers", "SWARM_RECORD_ANSWERS", "record_answers", value_types.TEXT, "",
        "file (parquet) for the prediction of every row: each is sent once, by a few users, and the run ends",
        in_start_form=False,
    ),
    Option(
        "expect_answers", "--expect-answers", "SWARM_EXPECT_ANSWERS", "expect_answers", value_types.TEXT, "",
        "file that --record-answers made: another prediction than the recorded one is a failure of the kind answer",
        holds_locations=True, in_start_form=False,
    ),
    Option(
        "answer_tolerance", "--answer-tolerance", "SWARM_ANSWER_TOLERANCE", "answer_tolerance", value_types.TOLERANCE,
        1e-6,
        "difference up to which two fractional predictions are the same: absolute below 1, relative above",
        in_start_form=False,
    ),
    Option(
        "answer_sample", "--answer-sample", "SWARM_ANSWER_SAMPLE", "answer_sample", value_types.SAMPLE, 1.0,
        "share of the requests whose answers are looked at, such as 10%, drawn at random",
    ),
)  # fmt: skip
