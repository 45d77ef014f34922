"""Messages arrive as they were sent; whatever else arrives is refused with a reason and without harm."""

from __future__ import annotations

from dataclasses import replace

import hypothesis.strategies as st
import msgpack  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings

from inference_swarm.cluster.protocol import (
    FROM_MASTER,
    FROM_WORKER,
    MESSAGES,
    PROTOCOL_VERSION,
    BlockReport,
    ClockAnswer,
    ClockQuestion,
    EndWorker,
    Envelope,
    Goodbye,
    GrantRequests,
    Heartbeat,
    HeartbeatAck,
    Hello,
    HoldRows,
    Lease,
    Leaving,
    Message,
    OnceAck,
    OnceReport,
    Partition,
    ProbeTarget,
    Refused,
    Rejoin,
    ReleaseRun,
    Report,
    ReportAck,
    RequestsUsed,
    RowsFailed,
    RowsLoading,
    RowsReady,
    RunOffer,
    SetUsers,
    StopRun,
    TargetProbed,
    Welcome,
    cut,
    leases_of,
    numbers_in,
    ranges_of,
)
from inference_swarm.cluster.wire import MAX_TEXT
from inference_swarm.data.progress import BlockLease, BlockProgress
from inference_swarm.errors import ProtocolError

OFFER = RunOffer(
    manifest={"version": 1, "schema": b"\x00\xff", "files": [["a", 1, "d", [5]]]},
    settings={"row_order": "once", "seed": 7, "host": "http://h"},
)
HOLD = HoldRows(
    run_id="r1",
    generation=3,
    blocks=((0, 4), (9, 10)),
    leases=leases_of([BlockLease(9, 2, ((0, 5), (7, 9)))]),
    offer=OFFER,
)
ONCE = OnceReport.of("r1", 6, [BlockProgress(9, 2, 5, ((0, 3),), is_released=True)])
USERS = SetUsers("r1", 4, {"A": 3}, -5, 9, "boot", Partition((0, 2), 5, 400_000_000), (1_000, 2_000))
EVERY: list[Message] = [
    Hello(PROTOCOL_VERSION, "0.1.0", 1, "", "h", 4, 2),
    Heartbeat(7, "running", 12.5, 1 << 30, {"A": 3}, "r1", 3, 2, 4),
    ClockQuestion(-5),
    RowsReady("r1", 3, 5, 9, 99, 0.5, is_windowed=False),
    RowsLoading("r1", 3, 1, 5, 50),
    RowsFailed("r1", -1, "no such file"),
    TargetProbed("r1", 2, "404 Not Found", is_warning=False),
    ONCE,
    Report(
        "r1",
        2,
        is_final=True,
        snapshot={"run_id": "r1"},
        locust={"stats": [1, b"x"]},
        once=ONCE,
        requests=RequestsUsed("r1", 0, 5, 5, 5, 5),
    ),
    Leaving("SIGTERM"),
    Goodbye(),
    Welcome(0, "", "s"),
    Refused(1, "other release"),
    Rejoin("not known"),
    HeartbeatAck(7, 2.0),
    ClockAnswer(-5, 12, "boot"),
    HOLD,
    HoldRows("r1", 4, ()),
    ProbeTarget("r1"),
    USERS,
    SetUsers("r1", 5, {}, 0, 0, ""),
    StopRun("r1"),
    ReportAck("r1", 2),
    OnceAck("r1", 6),
    RequestsUsed("r1", -1, 0, 400, 0, 0),
    GrantRequests("r1", 0, 250),
    ReleaseRun("r1"),
    EndWorker("the run is over"),
]


def over_the_wire(value: object) -> object:
    return msgpack.unpackb(msgpack.packb(value), strict_map_key=False)


@pytest.mark.parametrize("message", EVERY, ids=lambda message: message.type)
def test_a_message_arrives_in_its_envelope_as_it_was_sent(message: Message) -> None:
    envelope = Envelope(3, message)
    assert Envelope.from_wire(type(message), over_the_wire(envelope.to_wire())) == envelope


def test_every_message_type_is_in_the_table_and_tested() -> None:
    assert {type(message) for message in EVERY} == set(MESSAGES.values())
    assert all(name == kind.type for name, kind in MESSAGES.items())
    assert len(MESSAGES) == len(FROM_WORKER) + len(FROM_MASTER)
    assert not set(FROM_WORKER) & set(FROM_MASTER)
    assert {kind.__name__ for kind in Message.__subclasses__()} == {kind.__name__ for kind in MESSAGES.values()}


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
        ("surprise", 1, "surprise: Extra inputs|surprise: Unexpected keyword"),
        ("evil\n\x1b[2J", 1, r"'evil\\n\\x1b\[2J': (Extra|Unexpected)"),
        ("offer", {"manifest": {}, "settings": []}, "offer.settings"),
    ],
)
def test_a_field_that_is_wrong_is_named_without_its_value(field: str, value: object, reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        HoldRows.from_wire({**HOLD.to_wire(), field: value})


@pytest.mark.parametrize(
    ("message", "field", "value"),
    [
        (EVERY[1], "cpu_percent", float("nan")),
        (EVERY[1], "cpu_percent", -0.5),
        (EVERY[1], "users", {"A": -1}),
        (EVERY[1], "users", {"": 1}),
        (EVERY[1], "rows_generation", -2),
        (EVERY[2], "sent_ns", 1 << 62),
        (USERS, "partition", {"indexes": list(range(1025)), "count": 2000, "from_ns": 0}),
        (USERS, "epochs_ns", [-1]),
        (EVERY[8], "reason", "x" * 8193),
    ],
)
def test_a_value_that_no_process_of_ours_would_send_is_refused(message: Message, field: str, value: object) -> None:
    with pytest.raises(ProtocolError, match=field):
        type(message).from_wire({**message.to_wire(), field: value})


def test_a_message_that_lacks_a_field_says_which_and_what_to_do() -> None:
    wire = HOLD.to_wire()
    del wire["run_id"]
    with pytest.raises(ProtocolError) as caught:
        HoldRows.from_wire(wire)
    assert str(caught.value) == (
        "A hold_rows message cannot be used (run_id: Field required).\n"
        "  Expected: what docs/protocol.md describes, in version 6.\n"
        "  Fix: run the same release of the swarm on the master and on all workers."
    )


@pytest.mark.parametrize(
    "wire",
    [
        None, [], 5, {}, {"session": 1}, {"message": {}}, {"session": 1, "message": {}, "more": 1},
        {"session": "1", "message": {}}, {"session": True, "message": {}}, {"session": -1, "message": {}},
        {"session": 1 << 63, "message": {}}, {"session": 1, "message": []}, {"session": 1, "message": {"beat": 1}},
    ],
)  # fmt: skip
def test_what_is_not_in_an_envelope_with_a_session_is_refused(wire: object) -> None:
    with pytest.raises(ProtocolError):
        Envelope.from_wire(Goodbye, wire)
    assert Envelope.from_wire(Goodbye, {"session": 0, "message": {}}) == Envelope(0, Goodbye())


def test_a_hello_of_another_version_can_be_read_so_that_it_can_be_refused() -> None:
    wire = {**EVERY[0].to_wire(), "protocol_version": 99}
    assert Hello.from_wire(wire).protocol_version == 99


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8) | st.integers(), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(EVERY), st.data())
def test_whatever_arrives_either_is_a_message_or_is_refused(message: Message, data: st.DataObject) -> None:
    wire: object = data.draw(ANYTHING)
    valid = message.to_wire()
    if valid and data.draw(st.booleans()):
        wire = {**valid, data.draw(st.sampled_from(sorted(valid))): wire}
    try:
        received = type(message).from_wire(wire)
    except ProtocolError:
        return
    assert type(message).from_wire(over_the_wire(received.to_wire())) == received


NUMBERS = st.integers(0, 1 << 40)
GENERATIONS = st.integers(-1, 1 << 40)
VERSIONS = st.integers(-(1 << 63), (1 << 63) - 1)
PARTITIONS = st.builds(Partition, st.lists(NUMBERS, max_size=9).map(tuple), NUMBERS, NUMBERS)
NAMES = st.text(min_size=1, max_size=20)
INSTANTS = st.integers(-(1 << 61), 1 << 61)


@settings(max_examples=60, deadline=None)
@given(
    session=NUMBERS,
    message=st.one_of(
        st.builds(Hello, VERSIONS, NAMES, NUMBERS, st.text(max_size=20), NAMES, NUMBERS, NUMBERS),
        st.builds(
            Heartbeat, NUMBERS, NAMES, st.floats(0, 1e6), NUMBERS, st.dictionaries(NAMES, NUMBERS, max_size=3),
            st.text(max_size=20), GENERATIONS, GENERATIONS, GENERATIONS,
        ),
        st.builds(
            SetUsers, NAMES, NUMBERS, st.dictionaries(NAMES, NUMBERS, max_size=3), INSTANTS, INSTANTS, NAMES,
            st.none() | PARTITIONS, st.lists(NUMBERS, max_size=4).map(tuple),
            st.lists(PARTITIONS, max_size=3).map(tuple),
        ),
        st.builds(
            HoldRows, NAMES, NUMBERS, st.sets(st.integers(0, 300)).map(lambda ids: ranges_of(sorted(ids))),
            st.lists(
                st.builds(
                    Lease, NUMBERS, st.integers(1, 9),
                    st.sets(st.integers(0, 300)).map(lambda ids: ranges_of(sorted(ids))),
                ),
                max_size=3,
            ).map(tuple),
        ),
    ),
)  # fmt: skip
def test_any_message_is_the_same_after_its_way(session: int, message: Message) -> None:
    envelope = Envelope(session, message)
    assert Envelope.from_wire(type(message), over_the_wire(envelope.to_wire())) == envelope


@given(st.sets(st.integers(0, 300)))
def test_ranges_name_exactly_the_blocks(blocks: set[int]) -> None:
    message = HoldRows(run_id="r", generation=1, blocks=ranges_of(sorted(blocks)))
    assert numbers_in(message.blocks) == sorted(blocks)


def test_a_shard_of_100_000_blocks_in_one_range_is_a_small_message() -> None:
    message = HoldRows(run_id="r", generation=1, blocks=ranges_of(range(100_000)))
    assert len(msgpack.packb(Envelope(1, message).to_wire())) < 100


def test_leases_and_reports_convert_to_the_values_of_the_pure_core() -> None:
    assert HOLD.block_leases() == [BlockLease(9, 2, ((0, 5), (7, 9)))]
    assert HOLD.leases == (Lease(block_id=9, lease=2, rows=((0, 5), (7, 9))),)
    progress = [BlockProgress(9, 2, 5, ((0, 3),), is_released=True)]
    assert OnceReport.of("r", 1, progress).progress() == progress
    assert OnceReport.of("r", 1, progress).blocks == (
        BlockReport(block_id=9, lease=2, reserved=5, completed=((0, 3),), is_released=True),
    )


def test_a_text_that_is_too_long_is_cut_to_what_a_message_carries() -> None:
    reason = "é" * 9000
    message = RowsFailed("r", 0, cut(reason))
    assert message.reason == "é" * (MAX_TEXT - 1) + "…"
    assert RowsFailed.from_wire(over_the_wire(message.to_wire())) == message
    assert cut("short") == "short"
    assert cut("x" * MAX_TEXT) == "x" * MAX_TEXT


def test_a_message_is_a_value() -> None:
    assert replace(USERS, generation=5) != USERS
    assert replace(USERS) == USERS
