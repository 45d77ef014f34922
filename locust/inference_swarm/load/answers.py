"""Settings and data of a run in, what its workers look at in answers out; and the source of rows that is watched."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from inference_swarm.apis.predictions import reader_of
from inference_swarm.apis.table import predictions_of
from inference_swarm.config.answer_options import CHECK_CONSISTENT
from inference_swarm.config.settings import Settings
from inference_swarm.data.manifest import Manifest
from inference_swarm.data.row_store import RowStore
from inference_swarm.data.trace_store import TraceStore
from inference_swarm.load.answer_watch import INCONSISTENT, WRONG, AnswerWatch, WatchRules
from inference_swarm.load.assignment import Assignment
from inference_swarm.load.expectations import Expectation, Recorded, Remembered
from inference_swarm.transport.check import check_of


def make_answer_watch(settings: Settings, manifest: Manifest) -> AnswerWatch | None:
    """Return what looks at answers; None where nobody does, or at no more than their form."""
    has_expected, has_labels = bool(manifest.answers), manifest.label_field is not None
    is_consistent, is_recording = settings.check_answer == CHECK_CONSISTENT, bool(settings.record_answers)
    is_sampled_check = settings.checks_answers and settings.answer_sample < 1
    if not (has_expected or has_labels or is_consistent or is_recording or is_sampled_check):
        return None
    expectation: Expectation | None = None
    if has_expected:
        expectation = Recorded(settings.answer_tolerance)
    elif is_consistent:
        expectation = Remembered(settings.answer_tolerance)
    where = predictions_of(settings)
    rules = WatchRules(
        has_truth=has_expected or has_labels,
        has_labels=has_labels,
        is_strict=has_expected or is_recording or settings.checks_answers,
        share=1.0 if is_recording else settings.answer_sample,
        seed=settings.seed,
        wrong_words=WRONG if has_expected else INCONSISTENT,
        is_recording=is_recording,
    )
    check = check_of(where) if settings.checks_answers else None
    return AnswerWatch(rules, reader_of(where), expectation, check=check)


def look_up_truths(watches: Iterable[AnswerWatch], store: RowStore | TraceStore) -> None:
    """Have what rows are compared with looked up among these."""
    for watch in watches:
        watch.truths_of = store.truths


def watch_answers(
    assignment: Assignment, answers: AnswerWatch, store: RowStore | TraceStore, *, is_batched: bool
) -> None:
    """Have every request noted with its rows before it is sent."""
    find_rows = store.find_rows

    def find(request: bytes) -> Sequence[int]:
        return answers.find_rows(request) or find_rows(request)

    def forget(request: bytes) -> bytes:
        answers.forget(request)
        return request

    assignment.example_rows.find_rows = find
    assignment.forget = forget
    if assignment.take_rows is not None:
        assignment.take_rows = answers.take_rows_of(store.take_rows)
    if not is_batched:  # a request of one row is whole
        is_drawn = answers.is_sampling and store.compose_with(answers.sample_draws)
        if not is_drawn and not assignment.is_counted:
            assignment.take = answers.take_of(store.take_rows)
        return
    take = store.take

    def take_whole() -> bytes | None:
        request = take()
        if request is not None:
            answers.note((find_rows(request), request))
        return request

    assignment.take = take_whole
