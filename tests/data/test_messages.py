"""Messages arrive as they were sent; whatever else arrives is refused with a reason and without harm."""

from __future__ import annotations

import hypothesis.strategies as st
import msgpack  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings

from inference_swarm.cluster.data_messages import (
    MESSAGES,
    BlockReport,
    Lease,
    OnceAck,
    OnceReport,
    RunEnd,
    ShardAssign,
    ShardFailed,
    ShardProgress,
    ShardReady,
    ShardSettings,
    SwarmHello,
    SwarmRefused,
    ranges_of,
)
from inference_swarm.data.progress import BlockLease, BlockProgress
from inference_swarm.errors import ProtocolError

SETTINGS = ShardSettings(
    manifest={"version": 1, "schema": b"\x00\xff", "files": [["a", 1, "d", [5]]]},
    settings={"row_order": "once", "seed": 7, "host": "http://h"},
)
ASSIGN = ShardAssign(
    run_id="r1",
    generation=3,
    blocks=((0, 4), (9, 10)),
    leases=ShardAssign.leases_of([BlockLease(9, 2, ((0, 5), (7, 9)))]),
    settings=SETTINGS,
)
EVERY = [
    SwarmHello(protocol_version=1, release="0.1.0", session="s", host_name="h", pid=4, cpu_count=2),
    SwarmRefused(protocol_version=1, reason="other release"),
    ASSIGN,
    ShardAssign(run_id="r1", generation=4, blocks=()),
    ShardReady(run_id="r1", generation=3, blocks=5, rows=9, held_bytes=99, seconds=0.5, is_windowed=False),
    ShardFailed(run_id="r1", generation=3, reason="no such file"),
    ShardProgress(run_id="r1", generation=3, loaded_blocks=1, loaded_rows=5, held_bytes=50),
    OnceReport.of("r1", 6, [BlockProgress(9, 2, 5, ((0, 3),), is_released=True)]),
    OnceAck(run_id="r1", sequence=6),
    RunEnd(run_id="r1"),
]


def over_the_wire(value: object) -> object:
    return msgpack.unpackb(msgpack.packb(value), strict_map_key=False)


@pytest.mark.parametrize("message", EVERY, ids=lambda message: message.type)
def test_a_message_arrives_as_it_was_sent(message: object) -> None:
    kind = type(message)
    assert kind.from_wire(over_the_wire(message.to_wire())) == message  # type: ignore[attr-defined]


def test_every_message_type_is_in_the_table_and_tested() -> None:
    assert {type(message) for message in EVERY} == set(MESSAGES.values())
    assert all(name == kind.type for name, kind in MESSAGES.items())


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("generation", "3", "generation: Input should be a valid integer"),
        ("generation", True, "valid integer"),
        ("generation", -1, "greater than or equal to 0"),
        ("generation", 1 << 63, "less than"),
        ("run_id", "", "at least 1 character"),
        ("run_id", "x" * 257, "at most 256"),
        ("blocks", [[3, 3]], "empty or out of order"),
        ("blocks", [[0, 2], [1, 4]], "empty or out of order"),
        ("blocks", [[0, 1 << 40]], "more than any block"),
        ("blocks", [[0, 1, 2]], "blocks.0"),
        ("blocks", {"0": 1}, "blocks: Input should be a valid tuple"),
        ("blocks", [[0.0, 1]], "valid integer"),
        ("leases", [{"block_id": 1, "lease": 0, "rows": []}], "leases.0.lease"),
        ("surprise", 1, "surprise: Extra inputs"),
        ("evil\n\x1b[2J", 1, r"'evil\\n\\x1b\[2J': Extra"),
        ("settings", {"manifest": {}, "settings": []}, "settings.settings"),
    ],
)
def test_a_field_that_is_wrong_is_named_without_its_value(field: str, value: object, reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        ShardAssign.from_wire({**ASSIGN.to_wire(), field: value})


def test_a_message_that_lacks_a_field_says_which_and_what_to_do() -> None:
    wire = ASSIGN.to_wire()
    del wire["run_id"]
    with pytest.raises(ProtocolError) as caught:
        ShardAssign.from_wire(wire)
    assert str(caught.value) == (
        "A shard_assign message cannot be used (run_id: Field required).\n"
        "  Expected: what docs/protocol.md describes, in version 1.\n"
        "  Fix: run the same release of the swarm on the master and on all workers."
    )


def test_a_hello_of_another_version_can_be_read_so_that_it_can_be_refused() -> None:
    wire = {**EVERY[0].to_wire(), "protocol_version": 99}
    assert SwarmHello.from_wire(wire).protocol_version == 99


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8) | st.integers(), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(EVERY), st.data())
def test_whatever_arrives_either_is_a_message_or_is_refused(message: ShardAssign, data: st.DataObject) -> None:
    wire: object = data.draw(ANYTHING)
    if data.draw(st.booleans()):
        valid = message.to_wire()
        wire = {**valid, data.draw(st.sampled_from(sorted(valid))): wire}
    try:
        answer = type(message).from_wire(wire)
    except ProtocolError:
        return
    assert type(message).from_wire(over_the_wire(answer.to_wire())) == answer


@given(st.sets(st.integers(0, 300)))
def test_ranges_name_exactly_the_blocks(blocks: set[int]) -> None:
    message = ShardAssign(run_id="r", generation=1, blocks=ranges_of(sorted(blocks)))
    assert message.block_ids() == sorted(blocks)


def test_a_shard_of_100_000_blocks_in_one_range_is_a_small_message() -> None:
    message = ShardAssign(run_id="r", generation=1, blocks=ranges_of(range(100_000)))
    assert len(msgpack.packb(message.to_wire())) < 100


def test_leases_and_reports_convert_to_the_values_of_the_pure_core() -> None:
    assert ASSIGN.block_leases() == [BlockLease(9, 2, ((0, 5), (7, 9)))]
    assert ASSIGN.leases == (Lease(block_id=9, lease=2, rows=((0, 5), (7, 9))),)
    progress = [BlockProgress(9, 2, 5, ((0, 3),), is_released=True)]
    assert OnceReport.of("r", 1, progress).progress() == progress
    assert OnceReport.of("r", 1, progress).blocks == (
        BlockReport(block_id=9, lease=2, announced=5, completed=((0, 3),), is_released=True),
    )
