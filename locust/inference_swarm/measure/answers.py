"""Counters of answers that were looked at: whether they were the expected ones, and how good they are. Values only.

Adding is exact; of wrong answers the first few are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Final, TypeVar

from pydantic import ConfigDict, Field

from inference_swarm.load.answer_log import Judged, RightAnswers, WrongAnswer
from inference_swarm.measure.quality import QualityCounters
from inference_swarm.measure.wire_types import Count, OptionalText, Seconds, cut_text

MAX_EXAMPLES: Final = 10
NONE_RIGHT: Final = RightAnswers()
Place = TypeVar("Place")
_NS_PER_S: Final = 1_000_000_000


@dataclass(slots=True)
class WrongExample:
    """A wrong answer; `at_s` is when it was received, in seconds since the run began."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    at_s: Seconds
    row: Count
    expected: OptionalText
    got: OptionalText
    body: OptionalText
    """What was sent."""
    latency_us: Count = 0
    other_row: Count | None = None
    """The row whose right answer it is."""


@dataclass(slots=True)
class AnswerCounters:
    """Requests and rows whose answers were looked at."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    requests: Count = 0
    rows: Count = 0
    unreadable: Count = 0
    """Requests whose response held no prediction for each row."""
    unknown: Count = 0
    """Rows whose answers were not compared: none was recorded, or the response held none."""
    wrong: Count = 0
    """Rows with another answer than expected."""
    examined: Count = 0
    """Of these, those that were looked for among the right answers of other rows."""
    swapped: Count = 0
    """Of these, those that were found."""
    served: QualityCounters = field(default_factory=QualityCounters)
    """Of requests that succeeded in time."""
    late: QualityCounters = field(default_factory=QualityCounters)
    """Of requests that succeeded and were sent late."""
    failed: QualityCounters = field(default_factory=QualityCounters)
    """Of requests that failed because of their answer."""
    examples: Annotated[list[WrongExample], Field(max_length=MAX_EXAMPLES)] = field(default_factory=list)
    """The first wrong answers."""

    def add(self, other: AnswerCounters) -> None:
        """Merge the counters of other requests."""
        self.requests += other.requests
        self.rows += other.rows
        self.unreadable += other.unreadable
        self.unknown += other.unknown
        self.wrong += other.wrong
        self.examined += other.examined
        self.swapped += other.swapped
        self.served.add(other.served)
        self.late.add(other.late)
        self.failed.add(other.failed)
        if other.examples:
            both = sorted([*self.examples, *other.examples], key=lambda one: (one.at_s, one.row, one.got))
            self.examples = both[:MAX_EXAMPLES]

    def add_seen(self, judged: Iterable[Judged], right: RightAnswers, began_ns: int, late_after_ns: int | None) -> None:
        """Count what was seen of requests of one place."""
        self.add_judged(judged, began_ns, late_after_ns)
        self._add_right(right)

    def add_judged(self, judged: Iterable[Judged], began_ns: int, late_after_ns: int | None) -> None:
        """Count those that have a record each."""
        served: list[tuple[Any, Any]] = []
        late: list[tuple[Any, Any]] = []
        failed: list[tuple[Any, Any]] = []
        for one in judged:
            _, sent_ns, _, rows, truths, predictions, wrong_answers, is_failure, unknown = one
            self.requests += 1
            self.rows += len(rows)
            self.unknown += unknown
            if predictions is None:
                self.unreadable += 1
                continue
            for wrong in wrong_answers:
                self._add_wrong(wrong, one, began_ns)
            if truths:
                is_late = late_after_ns is not None and sent_ns - one.intended_ns > late_after_ns
                pairs = failed if is_failure else late if is_late else served
                for truth, prediction in zip(truths, predictions, strict=True):
                    if truth is not None and truth.label is not None:
                        pairs.append((truth.label, prediction))
        for quality, pairs in ((self.served, served), (self.late, late), (self.failed, failed)):
            quality.add_pairs(pairs)

    def _add_right(self, right: RightAnswers) -> None:
        self.requests += len(right)
        self.rows += sum(right.row_counts)
        self.unknown += sum(right.unknown_counts)
        if right.truths:
            self.served.add_pairs(
                (truth.label, prediction)
                for truths, predictions in zip(right.truths, right.predictions, strict=True)
                for truth, prediction in zip(truths, predictions, strict=True)
                if truth is not None
            )

    @property
    def quality(self) -> QualityCounters:
        """The quality of all answers together."""
        total = QualityCounters()
        for part in (self.served, self.late, self.failed):
            total.add(part)
        return total

    def _add_wrong(self, wrong: WrongAnswer, judged: Judged, began_ns: int) -> None:
        self.wrong += 1
        self.examined += wrong.is_examined
        self.swapped += wrong.is_swapped
        if len(self.examples) < MAX_EXAMPLES:
            self.examples.append(
                WrongExample(
                    max(0, judged.done_ns - began_ns) / _NS_PER_S,
                    wrong.row,
                    cut_text(wrong.expected),
                    cut_text(wrong.got),
                    cut_text(wrong.body.decode("utf-8", "replace")),
                    max(0, judged.done_ns - judged.intended_ns) // 1000,
                    wrong.other_row,
                )
            )


def by_place(
    judged: Sequence[Judged], right: RightAnswers, place_of: Callable[[int, int], Place]
) -> dict[Place, tuple[list[Judged], RightAnswers]]:
    """Return what was seen by the place at which a request is counted, by its intended instant and its end."""
    places: dict[Place, tuple[list[Judged], RightAnswers]] = {}
    for one in judged:
        places.setdefault(place_of(one.intended_ns, one.done_ns), ([], NONE_RIGHT))[0].append(one)
    for place, of_right in _right_by_place(right, place_of).items():
        places[place] = (places[place][0] if place in places else [], of_right)
    return places


def _right_by_place(right: RightAnswers, place_of: Callable[[int, int], Place]) -> dict[Place, RightAnswers]:
    """Nearly always there is one place, which is found without looking at each."""
    if not len(right):
        return {}
    first = place_of(min(right.sent_ns), min(right.done_ns))
    if first == place_of(max(right.sent_ns), max(right.done_ns)):
        return {first: right}
    places: dict[Place, list[int]] = {}
    for number, (sent_ns, done_ns) in enumerate(zip(right.sent_ns, right.done_ns, strict=True)):
        places.setdefault(place_of(sent_ns, done_ns), []).append(number)
    return {place: right.part(numbers) for place, numbers in places.items()}
