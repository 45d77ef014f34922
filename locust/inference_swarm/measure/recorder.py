"""One worker's side of the numbers: batches of attempts in, numbered snapshots out. Knows no clock and no Locust.

An attempt is counted in the slice of time in which it ended and in the phase that holds its intended instant.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from inference_swarm.load.answer_log import Judged, RightAnswers
from inference_swarm.measure.answers import NONE_RIGHT, by_place
from inference_swarm.measure.counters import AddressCounters, FailureRecord, RequestCounters, add_counters, counters_of
from inference_swarm.measure.histogram import Histogram
from inference_swarm.measure.phases import NS_PER_S, Phase, Phases
from inference_swarm.measure.seconds import FAILED, SUCCEEDED, UNSERVED, SecondTally
from inference_swarm.measure.snapshot import OtherCounts, Slice, Snapshot, WorkerHealth, slice_of
from inference_swarm.measure.wire_types import MAX_EXAMPLE_ROWS, cut_text
from inference_swarm.transport.exhaustion import FILES_EXHAUSTED, PORTS_EXHAUSTED
from inference_swarm.transport.outcome import Outcome
from inference_swarm.transport.outcome_log import Batch, Counts, Nanoseconds

NO_OTHERS = OtherCounts()
# Longer than from report to report, so that one is a single slice unless the process was stopped for a while.
SLICE_S = 4.0
MAX_WINDOWS = 500


class _Place(NamedTuple):
    window: int
    phase: Phase


class _Successes(NamedTuple):
    done_ns: Nanoseconds
    latency_ns: Nanoseconds
    service_ns: Nanoseconds
    row_counts: Counts


class RunRecorder:
    """Everything this process records in one run. `began_ns` and all instants are on the same monotonic clock."""

    def __init__(
        self,
        run_id: str,
        worker: str,
        began_ns: int,
        *,
        start_ns: int | None = None,
        late_after_ns: int | None = None,
        load_end_ns: int | None = None,
        phases: Phases | None = None,
        slice_s: float = SLICE_S,
    ) -> None:
        """`start_ns`: when this worker joined, if later; `load_end_ns`: when the load ends, if that is known.

        `slice_s`: a report is cut into parts of this length.
        """
        self._slice_ns = round(slice_s * NS_PER_S)
        self.run_id = run_id
        self.worker = worker
        self.is_closed = False
        self.ports_exhausted = 0
        self.files_exhausted = 0
        self._late_after_ns = late_after_ns
        self._began_ns = began_ns
        self._load_end_ns = load_end_ns
        self._phases = phases or Phases()
        self._interval_start_ns = max(began_ns, start_ns or began_ns)
        self._sequence = 0
        self._places: dict[_Place, dict[str, RequestCounters]] = {}
        self._seconds = SecondTally()

    @property
    def epoch_start_ns(self) -> int:
        """When the newest epoch begins; attempts that were intended before are in no metric."""
        starts = self._phases.epoch_starts_ns
        return self._began_ns + starts[-1] if starts else self._began_ns

    def set_phases(self, phases: Phases) -> None:
        """Set the phases; what was recorded before keeps its phase."""
        self._phases = phases

    def end_load(self, now_ns: int) -> None:
        """End the load, if it has not ended before: requests that end later are in no rate."""
        self._load_end_ns = now_ns if self._load_end_ns is None else min(self._load_end_ns, now_ns)

    def add(self, name: str, batch: Batch) -> None:
        """Count a batch of one request name."""
        if batch.success_count:
            self._note_seconds(batch.done_ns, SUCCEEDED)
            counters = None
            for address, of_address in batch.successes_by_address():
                for place, part in self._split(of_address):
                    counters = self._counters(place, name)
                    self._add_successes(counters, part, address)
            assert counters is not None
            counters.response_bytes += batch.body_bytes
        if batch.failures:
            self._add_failures(name, batch.failures)
        if batch.abandoned:
            self._add_failures(name, batch.abandoned)

    def _add_successes(self, counters: RequestCounters, part: _Successes, address: str) -> None:
        counters.succeeded += len(part.done_ns)
        counters.rows += int(part.row_counts.sum())
        latency = Histogram()  # adding one up twice costs much less than recording each latency twice
        latency.record_ns(part.latency_ns)
        counters.latency.add(latency)
        if address:
            counters.count_at(address, AddressCounters(requests=len(part.done_ns), latency=latency))
        counters.service.record_ns(part.service_ns)
        last_ns = int(part.done_ns.max())
        self._note_span(counters, int((part.done_ns - part.latency_ns).min()), last_ns)
        if self._late_after_ns is not None:
            counters.late += int(np.count_nonzero(part.latency_ns - part.service_ns > self._late_after_ns))
        if self._load_end_ns is not None and last_ns > self._load_end_ns:
            is_after = part.done_ns > self._load_end_ns
            counters.succeeded_after += int(np.count_nonzero(is_after))
            counters.rows_after += int(part.row_counts[is_after].sum())

    def _add_failures(self, name: str, outcomes: Sequence[Outcome]) -> None:
        """Add failures in groups: a server that refuses everything fails tens of thousands a second."""
        groups: dict[tuple[_Place, str], list[Outcome]] = {}
        for outcome in outcomes:
            place = self._place(outcome.intended_ns, outcome.done_ns)
            groups.setdefault((place, str(outcome.error)), []).append(outcome)
        for (place, text), group in groups.items():
            self._add_group(self._counters(place, name), text, group)

    def _add_group(self, counters: RequestCounters, text: str, group: Sequence[Outcome]) -> None:
        """Add failures of one place with one error text."""
        error = group[0].error
        assert error is not None
        done_ns = np.array([outcome.done_ns for outcome in group], dtype=np.int64)
        intended_ns = np.array([outcome.intended_ns for outcome in group], dtype=np.int64)
        sent_ns = np.array([outcome.sent_ns for outcome in group], dtype=np.int64)
        if self._late_after_ns is not None:
            counters.late += int(np.count_nonzero((sent_ns > 0) & (sent_ns - intended_ns > self._late_after_ns)))
        is_abandoned = group[0].is_abandoned
        for address, count in Counter(outcome.address for outcome in group if outcome.address).items():
            counters.count_at(address, AddressCounters(requests=count, failures=0 if is_abandoned else count))
        if is_abandoned:
            counters.abandoned += len(group)
            self._note_seconds(done_ns, UNSERVED)
            return
        self._note_seconds(done_ns, FAILED)
        row_counts = np.array([outcome.row_count for outcome in group], dtype=np.int64)
        counters.rows += int(row_counts.sum())
        self.ports_exhausted += len(group) * (error.detail == PORTS_EXHAUSTED)
        self.files_exhausted += len(group) * (error.detail in FILES_EXHAUSTED)
        counters.failed_latency.record_ns(done_ns - intended_ns)
        counters.failed_service.record_ns((done_ns - sent_ns)[sent_ns > 0])
        first_s, last_s = (self._seconds_since_begin(int(at_ns)) for at_ns in (done_ns.min(), done_ns.max()))
        counters.note_span(self._seconds_since_begin(int(intended_ns.min())), last_s)
        if self._load_end_ns is not None:
            counters.failed_after += int(np.count_nonzero(done_ns > self._load_end_ns))
            counters.rows_after += int(row_counts[done_ns > self._load_end_ns].sum())
        example = max(group, key=lambda outcome: (bool(outcome.failure_text), bool(outcome.rows)))
        record = FailureRecord(error.kind.value, len(group), first_s, last_s, example.status)
        record.explanation = cut_text(example.failure_text)
        record.rows, record.row_count = list(example.rows[:MAX_EXAMPLE_ROWS]), example.row_count
        counters.count_failure(text, record)

    def add_answers(self, name: str, judged: Sequence[Judged], right: RightAnswers = NONE_RIGHT) -> None:
        """Count what was seen of answers, each where its request is counted."""
        for place, (part, of_right) in by_place(judged, right, self._place).items():
            answers = self._counters(place, name).count_answers()
            answers.add_seen(part, of_right, self._began_ns, self._late_after_ns)

    def add_dropped(self, name: str, intended_ns: Sequence[int], now_ns: int) -> None:
        """Count arrivals that were never sent and dropped just now, in the phases of their intended instants."""
        if not len(intended_ns):
            return
        codes = self._phases.codes_of(np.asarray(intended_ns, dtype=np.int64) - self._began_ns)
        for code, count in zip(*(found.tolist() for found in np.unique(codes, return_counts=True)), strict=True):
            place = _Place(self._window(now_ns), self._phases.decode(code))
            self._counters(place, name).dropped += count
        self._note_seconds(np.full(len(intended_ns), now_ns, dtype=np.int64), UNSERVED)

    def add_connects(self, name: str, count: int, at_ns: int) -> None:
        """Count connections that were opened."""
        if count:
            self._counters(self._place(at_ns, at_ns), name).connects += count

    def add_stale_connections(self, name: str, count: int, at_ns: int) -> None:
        """Count requests that went out again because the server had closed the idle connection."""
        if count:
            self._counters(self._place(at_ns, at_ns), name).stale_connections += count

    def take_snapshot(
        self,
        now_ns: int,
        users: int,
        health: WorkerHealth | None = None,
        *,
        user_seconds: float = 0.0,
        in_flight: int = 0,
        possible_duplicates: int = 0,
        others: OtherCounts = NO_OTHERS,
        is_final: bool = False,
    ) -> Snapshot:
        """Return everything since the last one. After the final one nothing more may be taken."""
        if self.is_closed:
            raise RuntimeError("the final snapshot of this run has been taken")
        self.is_closed = is_final
        # What ends after the load is counted, but makes no rate. An open load is announced before it begins.
        load_end_ns = now_ns if self._load_end_ns is None else self._load_end_ns
        end_ns = max(min(now_ns, load_end_ns), self._interval_start_ns)
        snapshot = Snapshot(
            run_id=self.run_id,
            worker=self.worker,
            sequence=self._sequence,
            start_s=self._seconds_since_begin(self._interval_start_ns),
            end_s=self._seconds_since_begin(end_ns),
            slices=self._slices(end_ns),
            seconds=self._seconds.take(),
            health=health or WorkerHealth(),
            users=users,
            in_flight=in_flight,
            user_seconds=user_seconds,
            possible_duplicates=possible_duplicates,
            others=others,
            is_final=is_final,
        )
        self._sequence += 1
        self._interval_start_ns = end_ns
        self._places = {}
        self.ports_exhausted = self.files_exhausted = 0
        return snapshot

    def _split(self, batch: Batch) -> Iterator[tuple[_Place, _Successes]]:
        """Split a batch by place; nearly always it has one, which is found without looking at each request."""
        whole = _Successes(batch.done_ns, batch.latency_ns, batch.service_ns, batch.rows_of_each())
        first_ns, last_ns = int(batch.done_ns.min()), int(batch.done_ns.max())
        window = self._window(first_ns)
        is_one_window = window == self._window(last_ns)
        if is_one_window and self._phases.is_whole:
            yield _Place(window, Phase()), whole
            return
        intended_ns = batch.done_ns - batch.latency_ns - self._began_ns
        phase = self._phases.at(int(intended_ns.min()))
        if is_one_window and phase == self._phases.at(int(intended_ns.max())):
            yield _Place(window, phase), whole
            return
        windows = np.maximum(batch.done_ns - self._interval_start_ns, 0) // self._slice_ns
        codes = windows * self._phases.count + self._phases.codes_of(intended_ns)
        for code in np.unique(codes).tolist():
            window, phase_code = divmod(code, self._phases.count)
            chosen = codes == code
            place = _Place(window, self._phases.decode(phase_code))
            yield place, _Successes(*(values[chosen] for values in whole))

    def _window(self, done_ns: int) -> int:
        return max(0, done_ns - self._interval_start_ns) // self._slice_ns

    def _place(self, intended_ns: int, done_ns: int) -> _Place:
        return _Place(self._window(done_ns), self._phases.at(intended_ns - self._began_ns))

    def _counters(self, place: _Place, name: str) -> RequestCounters:
        return counters_of(self._places.setdefault(place, {}), name)

    def _slices(self, end_ns: int) -> list[Slice]:
        """Cut the interval into windows, and these where a phase ends; counters of other phases have no length."""
        start_ns = self._interval_start_ns
        windows = max(1, -(-(end_ns - start_ns) // self._slice_ns))
        joined = -(-windows // MAX_WINDOWS)
        last = (windows - 1) // joined
        by_window: dict[int, dict[Phase, dict[str, RequestCounters]]] = {number: {} for number in range(last + 1)}
        for place, names in self._places.items():
            number = min(place.window // joined, last)
            add_counters(by_window[number].setdefault(place.phase, {}), names)
        slices = []
        for number, counters in by_window.items():
            low_ns = start_ns + number * joined * self._slice_ns
            high_ns = min(end_ns, low_ns + joined * self._slice_ns)
            for segment in self._phases.segments(low_ns - self._began_ns, high_ns - self._began_ns):
                names = counters.pop(segment.phase, {})
                if names or segment.end_ns > segment.start_ns:
                    slices.append(slice_of(segment.start_ns, segment.end_ns, segment.phase, names))
            slices += [
                slice_of(low_ns - self._began_ns, low_ns - self._began_ns, phase, names)
                for phase, names in counters.items()
            ]
        return slices

    # seconds

    def _seconds_since_begin(self, instant_ns: int) -> float:
        return max(0, instant_ns - self._began_ns) / NS_PER_S

    def _note_span(self, counters: RequestCounters, first_ns: int, last_ns: int) -> None:
        counters.note_span(self._seconds_since_begin(first_ns), self._seconds_since_begin(last_ns))

    def _note_seconds(self, done_ns: Nanoseconds, column: int) -> None:
        self._seconds.note(done_ns - self._began_ns, column)
