"""Looks at the answers to requests while a run is on: whose rows are known in, what is wrong with each answer out.

What it has seen is kept in `log` until the measuring code takes it. Pure, but for drawing a sample.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from inference_swarm.apis.predictions import AnswerError, Reader
from inference_swarm.data.orders import Compose, Taken
from inference_swarm.data.truth import RowTruth
from inference_swarm.load.answer_log import Judged, RightAnswers, WrongAnswer
from inference_swarm.load.answer_sample import SampledDraws, gaps_of
from inference_swarm.load.expectations import Expectation, show_answer
from inference_swarm.transport.check import ResponseCheck

WRONG: Final = "another answer than expected"
SWAPPED: Final = "the answer of another row (swapped)"
INCONSISTENT: Final = "another answer than before to the same row"
MAX_ASKED: Final = 16_384
_RECENT: Final = 2048
# Other requests beside those in flight, to see whether an answer is a common one.
_MORE: Final = 256
_MAX_KNOWN: Final = 1024
# Looking for the row that an answer belongs to takes up to a millisecond.
_MAX_SEARCHES_PER_S: Final = 50
_NS_PER_S: Final = 1_000_000_000
# An answer that so many of the other rows have that one of them is likely to be in flight says nothing.
_MAX_CHANCE: Final = 0.1

_Truths = Sequence[RowTruth | None]
# A request, its rows, their truths, how many requests were taken up to it.
_Asked = tuple[bytes, Sequence[int], _Truths, int]
_NO_TRUTHS: Final[_Truths] = ()
_NO_TRUTH: Final[tuple[None]] = (None,)


@dataclass(frozen=True, slots=True)
class WatchRules:
    """What is looked at. `has_truth`: rows have labels or recorded answers."""

    has_truth: bool = False
    has_labels: bool = False
    is_strict: bool = True
    """A response without a prediction for each row is a failure."""
    share: float = 1.0
    seed: int = 0
    wrong_words: str = WRONG
    is_recording: bool = False
    """Answers are recorded."""


class AnswerWatch:
    """Implements `transport.check.AnswerChecks`. `sample_draws`, `take_of` or `take_rows_of` show it the requests."""

    def __init__(
        self,
        rules: WatchRules,
        read: Reader,
        expectation: Expectation | None = None,
        *,
        truths_of: Callable[[int], tuple[RowTruth] | None] = lambda row: None,
        count_in_flight: Callable[[], int] = lambda: 1,
        check: ResponseCheck | None = None,
    ) -> None:
        """`check` is for requests whose rows are not known, where all answers are looked at."""
        self.asked: dict[int, _Asked] = {}
        self.log: list[Judged] = []
        self.right = RightAnswers()
        """What is not in `log`."""
        self.failed: tuple[bytes, Sequence[int]] = (b"", ())
        """The last request that got a wrong answer, and its rows."""
        self.truths_of = truths_of
        self.count_in_flight = count_in_flight
        self._rules = rules
        self._read = read
        self._expectation = expectation
        self._check = check if rules.share >= 1 else None
        # Rows, no requests: what is kept of them would drive everything else out of the processor's cache.
        self._recent: deque[int | Sequence[int]] = deque(maxlen=_RECENT)
        self._lately: Callable[[], Iterable[int | Sequence[int]]] = lambda: reversed(self._recent)
        self._count_taken: Callable[[], int] = lambda: 0
        self._second = self._searches = 0
        self._known: dict[bytes, list[Any]] = {}  # predictions in bodies: answers that are classes are few
        self.note = self._make_note()

    @property
    def is_sampling(self) -> bool:
        """True when not all answers are looked at."""
        return self._rules.share < 1

    @property
    def is_recording(self) -> bool:
        """True when answers are recorded."""
        return self._rules.is_recording

    # before a request: what is done here is done for each of them

    def sample_draws(self) -> Compose:
        """Return what makes requests of one row from rows that were drawn, and notes a sample of them."""
        sample = SampledDraws(self._rules.share, self._rules.seed, self._ask)
        self._count_taken, self._lately = sample.count_taken, sample.lately
        return sample.compose

    def take_rows_of(self, take_rows: Callable[[], Taken | None]) -> Callable[[], Taken | None]:
        """Return the same source, whose requests are noted."""
        note = self.note

        def take() -> Taken | None:
            taken = take_rows()
            if taken is not None:
                note(taken)
            return taken

        return take

    def take_of(self, take_rows: Callable[[], Taken | None]) -> Callable[[], bytes | None]:
        """Return a source of requests of one row, which are noted. The same as `note`, without a call for each."""
        gaps = gaps_of(self._rules.share, self._rules.seed)
        remember, ask = self._recent.append, self._ask
        skipped, number = next(gaps), 0

        def take() -> bytes | None:
            nonlocal skipped, number
            taken = take_rows()
            if taken is None:
                return None
            rows, request = taken
            number += 1
            remember(rows[0])
            skipped -= 1
            if not skipped:
                skipped = next(gaps)
                ask(rows, request, number)
            return request

        self._count_taken = lambda: number
        return take

    def _make_note(self) -> Callable[[Taken], None]:
        """Return what notes that a request was taken, and is about to be sent."""
        gaps = gaps_of(self._rules.share, self._rules.seed)
        remember, ask = self._recent.append, self._ask
        skipped, number = next(gaps), 0

        def note(taken: Taken) -> None:
            nonlocal skipped, number
            rows, request = taken
            number += 1
            remember(rows[0] if len(rows) == 1 else rows)
            skipped -= 1
            if not skipped:
                skipped = next(gaps)
                ask(rows, request, number)

        self._count_taken = lambda: number
        return note

    def _ask(self, rows: Sequence[int], request: bytes, number: int) -> None:
        asked = self.asked
        asked[id(request)] = (request, rows, self._truths(rows) if self._rules.has_truth else _NO_TRUTHS, number)
        if len(asked) > MAX_ASKED:  # of requests that were taken for their bodies, and never sent
            del asked[next(iter(asked))]

    def _truths(self, rows: Sequence[int]) -> _Truths:
        if len(rows) == 1:
            return self.truths_of(rows[0]) or _NO_TRUTH
        return [(self.truths_of(row) or _NO_TRUTH)[0] for row in rows]

    def find_rows(self, request: bytes) -> Sequence[int]:
        """Return the rows of the request that got a wrong answer last."""
        return self.failed[1] if request is self.failed[0] else ()

    # after its response

    def accepts(self, request: bytes, body: bytes, sent_ns: int, done_ns: int) -> bool:
        key = id(request)
        _, rows, truths, _ = self.asked[key]
        predictions = self._known.get(body)
        if predictions is None or len(predictions) != len(rows):
            try:
                predictions = self._read(body, len(rows))
            except AnswerError:
                return False
            if len(self._known) < _MAX_KNOWN and len(rows) == 1:
                self._known[body] = predictions
        expectation = self._expectation
        if expectation is not None and not expectation.are_met(rows, truths, predictions):
            return False
        del self.asked[key]
        if self._rules.is_recording:
            self.log.append(Judged(sent_ns, sent_ns, done_ns, rows, truths, predictions))
            return True
        right = self.right
        right.sent_ns.append(sent_ns)
        right.done_ns.append(done_ns)
        right.row_counts.append(len(rows))
        right.unknown_counts.append(0 if expectation is None else expectation.count_unknown(truths))
        if self._rules.has_labels:
            right.truths.append(truths)
            right.predictions.append(predictions)
        return True

    def check_of(self, request: bytes, intended_ns: int, sent_ns: int, done_ns: int) -> ResponseCheck | None:
        asked = self.asked.get(id(request))
        if asked is None or asked[0] is not request:
            return self._check
        return lambda body, _row_count: self._judge(asked, body, (intended_ns, sent_ns, done_ns))

    def sent_as(self, request: bytes, sent: bytes) -> None:
        asked = self.asked.pop(id(request), None)
        if asked is not None:
            self.asked[id(sent)] = (sent, *asked[1:])

    def forget(self, request: bytes) -> None:
        self.asked.pop(id(request), None)

    def _judge(self, asked: _Asked, body: bytes, instants: tuple[int, int, int]) -> str | None:
        request, rows, truths, _ = asked
        try:
            predictions = self._read(body, len(rows))
        except AnswerError as error:
            self.log.append(Judged(*instants, rows, truths, None, (), self._rules.is_strict, len(rows)))
            if not self._rules.is_strict:
                return None
            self.failed = (request, rows)
            return str(error)
        wrong = self._wrong_answers(asked, predictions, instants[2])
        unknown = 0 if self._expectation is None else self._expectation.count_unknown(truths)
        self.log.append(Judged(*instants, rows, truths, predictions, wrong, bool(wrong), unknown))
        if not wrong:
            return None
        self.failed = (request, [one.row for one in wrong])
        return SWAPPED if any(one.is_swapped for one in wrong) else self._rules.wrong_words

    def _wrong_answers(self, asked: _Asked, predictions: Sequence[Any], done_ns: int) -> tuple[WrongAnswer, ...]:
        expectation = self._expectation
        if expectation is None:
            return ()
        request, rows, truths, _ = asked
        found = []
        for place, prediction in enumerate(predictions):
            row, truth = rows[place], truths[place] if truths else None
            if expectation.is_met(row, truth, prediction):
                continue
            is_examined, other_row = self._search(expectation, asked, place, prediction, done_ns)
            found.append(
                WrongAnswer(
                    row,
                    expectation.shown(row, truth),
                    show_answer(prediction),
                    request.partition(b"\r\n\r\n")[2],
                    is_examined,
                    other_row,
                )
            )
        return tuple(found)

    def _search(
        self, expectation: Expectation, asked: _Asked, place: int, prediction: Any, done_ns: int
    ) -> tuple[bool, int | None]:
        """Return whether it was looked for, and the row in flight whose right answer this is, and of hardly any other.

        In a request of several rows its own neighbours count.
        """
        second = done_ns // _NS_PER_S
        if second != self._second:
            self._second, self._searches = second, 0
        self._searches += 1
        if self._searches > _MAX_SEARCHES_PER_S:
            return False, None
        _, rows, _, number = asked
        # Those that were taken since then, and as many before it as there are connections.
        window = self._count_taken() - number + max(1, self.count_in_flight())
        near: set[int] = set()
        others: set[int] = set()
        for entry in islice(self._lately(), window + _MORE):
            known = near if window > 0 else others
            window -= 1
            if isinstance(entry, int):
                known.add(entry)
            else:
                known.update(entry)
        near.discard(rows[place])
        others -= near | {rows[place]}
        matches = [other for other in near if self._is_answer_of(expectation, other, prediction)]
        if not matches:
            return True, None
        more = sum(self._is_answer_of(expectation, other, prediction) for other in others)
        share = (len(matches) - 1 + more) / max(1, len(near) + len(others) - 1)
        return True, None if share * len(near) > _MAX_CHANCE else matches[0]

    def _is_answer_of(self, expectation: Expectation, row: int, prediction: Any) -> bool:
        truths = self.truths_of(row) if self._rules.has_truth else None
        return expectation.is_answer_of(row, truths and truths[0], prediction)
