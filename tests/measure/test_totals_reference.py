"""The master's sums beside a naive reference: random reports in any order, some twice, read and saved in between."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference_swarm.measure import waiting
from inference_swarm.measure.counters import AddressCounters, FailureRecord, RequestCounters
from inference_swarm.measure.histogram import HIGHEST_US, Histogram
from inference_swarm.measure.intervals import DEFAULT_WIDTH_S
from inference_swarm.measure.snapshot import Slice, Snapshot
from inference_swarm.measure.totals import Applied, SwarmTotals

ADDRESSES = ("10.0.0.1", "10.0.0.2")


@dataclass(frozen=True)
class Part:
    """What a worker counted under one name in one stretch of time, sample by sample."""

    name: str
    epoch: int
    stage: int
    slot: int
    latencies_us: tuple[int, ...]
    failures: int
    address: int

    def counters(self) -> RequestCounters:
        made = RequestCounters(succeeded=len(self.latencies_us))
        made.latency.record_ns([value * 1000 for value in self.latencies_us])
        made.service = made.latency.copy()
        if self.failures:
            made.count_failure("timeout", FailureRecord("timeout", self.failures))
        if self.latencies_us or self.failures:
            requests = len(self.latencies_us) + self.failures
            counted = AddressCounters(requests, self.failures, made.latency.copy())
            made.count_at(ADDRESSES[self.address], counted)
        return made

    def piece(self) -> Slice:
        start_s = self.slot * DEFAULT_WIDTH_S
        return Slice(start_s, start_s + DEFAULT_WIDTH_S, {self.name: self.counters()}, self.epoch, self.stage)


LATENCIES_US = st.lists(st.integers(0, 3000) | st.just(2 * HIGHEST_US), max_size=4).map(tuple)
PARTS = st.builds(
    Part, st.sampled_from("ab"), st.integers(0, 2), st.integers(0, 1), st.integers(0, 6), LATENCIES_US,
    st.integers(0, 2), st.integers(0, 1),
)  # fmt: skip
STEPS = st.sampled_from(["read", "save", "epoch", "nothing", "nothing"])


def naive(parts: list[Part]) -> dict[str, tuple[object, ...]]:
    """Sums by name: samples, failures, requests by address."""
    found = {}
    for name in {part.name for part in parts}:
        own = [part for part in parts if part.name == name]
        samples: Counter[int] = Counter(value for part in own for value in part.latencies_us)
        whole = Histogram()
        whole.record_ns([value * 1000 for value in samples.elements()])
        at = Counter({ADDRESSES[part.address]: 0 for part in own})
        for part in own:
            at[ADDRESSES[part.address]] += len(part.latencies_us) + part.failures
        found[name] = samples.total(), sum(part.failures for part in own), whole, +at
    return found


def summed(names: dict[str, RequestCounters]) -> dict[str, tuple[object, ...]]:
    for counters in names.values():
        assert counters.service == counters.latency
        at_addresses = Histogram()
        for one in counters.addresses.values():
            at_addresses.add(one.latency)
        assert at_addresses == counters.latency
    return {
        name: (
            one.succeeded, one.failures, one.latency,
            Counter({address: at.requests for address, at in one.addresses.items()}),
        )
        for name, one in names.items()
    }  # fmt: skip


@pytest.mark.parametrize("limit", [1, 7, 3000])
@settings(deadline=None, max_examples=40)
@given(st.data())
def test_sums_are_those_of_a_naive_reference(limit: int, data: st.DataObject) -> None:
    by_report = data.draw(st.lists(st.lists(PARTS, min_size=1, max_size=2), min_size=1, max_size=12))
    reports = {(f"w{number % 3}", number // 3): parts for number, parts in enumerate(by_report)}
    order = data.draw(st.permutations(list(reports)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(waiting, "MAX_WAITING", limit)
        totals, counted = SwarmTotals("run", is_staged=True), set()
        for key in [*order, *data.draw(st.lists(st.sampled_from(order), max_size=4))]:
            worker, sequence = key
            while totals.epoch < max(part.epoch for part in reports[key]):
                totals.start_epoch(0.0)
            pieces = [part.piece() for part in reports[key]]
            sent = Snapshot("run", worker, sequence, 0.0, 21.0, pieces, users=sequence)
            read = Snapshot.from_wire(msgpack.loads(msgpack.dumps(sent.to_wire())))
            assert totals.apply(read) is (Applied.DUPLICATE if key in counted else Applied.COUNTED)
            counted.add(key)
            match data.draw(STEPS):
                case "read":
                    assert summed(totals.names) is not None
                case "save":
                    totals = SwarmTotals.from_state(
                        msgpack.loads(msgpack.dumps(totals.to_state()), strict_map_key=False)
                    )
                case "epoch":
                    totals.start_epoch(0.0)
    parts = [part for some in reports.values() for part in some]
    current = [part for part in parts if part.epoch == totals.epoch]
    assert summed(totals.left_out) == naive([part for part in parts if part.epoch < totals.epoch])
    assert summed(totals.names) == naive(current)
    for stage in (0, 1):
        assert summed(totals.stages.get(stage, {})) == naive([part for part in current if part.stage == stage])
    intervals = {interval.first: summed(interval.names()) for interval in totals.series.intervals()}
    assert intervals == {slot: naive([part for part in current if part.slot == slot]) for slot in intervals}
    assert set(intervals) == {part.slot for part in current}
    assert sum(record.succeeded for record in totals.workers.values()) == sum(len(one.latencies_us) for one in current)
