"""The instants of rows: one instant in every form that files have it, and what is no instant."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from inference_swarm.data.instants import BadInstant, check_time_type, join_times, read_times, unit_of
from inference_swarm.errors import DataError

WHEN = datetime(2024, 5, 1, 10, 0, 0, 250_000, tzinfo=UTC)
NS = 1_714_557_600_250_000_000


def instants(values: list[Any], kind: pa.DataType | None = None) -> list[int]:
    column = pa.chunked_array([pa.array(values, kind)])
    check_time_type("ts", column.type)
    return join_times([read_times(column)], column.type).tolist()


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Berlin"])
def test_timestamps_of_any_unit_with_and_without_a_zone(unit: str, zone: str | None) -> None:
    given = WHEN if zone else WHEN.replace(tzinfo=None)
    assert instants([given], pa.timestamp(unit, tz=zone)) == [NS]


@pytest.mark.parametrize(
    "text",
    [
        "2024-05-01T10:00:00.250Z", "2024-05-01T12:00:00.25+02:00", "2024-05-01 10:00:00.250",
        "2024-05-01T10:00:00.250", "2024-05-01 10:00:00.250 UTC", "2024-05-01 12:00:00.250 +0200",
        "2024-05-01T05:00:00.250-05", " 2024-05-01T10:00:00.250z ",
    ],
)  # fmt: skip
def test_iso_texts_with_and_without_a_zone(text: str) -> None:
    assert instants([text]) == [NS]


def test_texts_with_and_without_a_zone_may_be_mixed() -> None:
    assert instants(["2024-05-01T10:00:00.25", "2024-05-01T12:00:00.25+02:00", "2024-05-01"]) == [
        NS, NS, NS - 10 * 3600 * 10**9 - 250_000_000,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (NS // 10**6, pa.int64()), (NS // 10**3, pa.int64()), (NS, pa.int64()), (NS / 1e9, pa.float64()),
        (Decimal("1714557600.250"), pa.decimal128(20, 3)), (str(NS // 10**6), pa.string()),
        ("1714557600.25", pa.string()),
    ],
)  # fmt: skip
def test_epoch_numbers_of_any_unit(value: Any, kind: pa.DataType) -> None:
    assert instants([value], kind)[0] == pytest.approx(NS, abs=300)  # a double has 2⁻²² s here


def test_the_largest_number_shows_the_unit_of_all() -> None:
    assert instants([0, 1_714_557_600]) == [0, 1_714_557_600 * 10**9]
    assert instants([0, 1_714_557_600_000]) == [0, 1_714_557_600 * 10**9]
    assert [unit_of(read_times(pa.chunked_array([[10**n]]))) for n in (9, 12, 15, 18)] == ["s", "ms", "µs", "ns"]


def test_dates_and_texts_in_a_dictionary() -> None:
    assert instants([date(1970, 1, 2)]) == [86_400 * 10**9]
    column = pa.chunked_array([pa.array(["2024-05-01T10:00:00.25Z"]).dictionary_encode()])
    assert read_times(column).tolist() == [NS]
    berlin = timezone(timedelta(hours=2))
    assert instants([WHEN.astimezone(berlin)], pa.timestamp("us", tz="Europe/Berlin")) == [NS]


@pytest.mark.parametrize(
    ("values", "place", "words"),
    [
        (["2024-05-01T10:00:00Z", None], 1, "it is empty"),
        (["2024-05-01T10:00:00Z", "noon"], 1, "it is 'noon'"),
        (["2024-05-01T10:00:00Z", "2024-13-01T00:00:00Z"], 1, "it is '2024-13-01T00:00:00Z'"),
        ([1.5, float("nan")], 1, "it is nan"),
        ([1.5, float("inf")], 1, "it is inf"),
        ([datetime(2024, 1, 1), datetime(3000, 1, 1)], 1, "does not fit into 64 bits of ns"),
        ([date(2024, 1, 1), date(9999, 1, 1)], 1, "does not fit into 64 bits of ns"),
        ([1.5, 1e300], 1, "it is 1e+300, which does not fit into 64 bits of ns"),
        ([Decimal(1), Decimal(10**30)], 1, "it is 1e+30, which does not fit into 64 bits of ns"),
        (["5", "1e999"], 1, "it is inf"),
        (["5", "99999999999999999999"], 1, "it is 1e+20, which does not fit into 64 bits of ns"),
        (pa.array([5, 2**63], pa.uint64()), 1, "it is 9223372036854775808, which does not fit into 64 bits of ns"),
    ],
)
def test_what_is_no_instant_is_named(values: Any, place: int, words: str) -> None:
    with pytest.raises(BadInstant) as bad:
        read_times(pa.chunked_array([pa.array(values)]))
    assert bad.value.place == place
    assert words in bad.value.found


@pytest.mark.parametrize(
    ("values", "words"),
    [([5, 10**10], "it is 10000000000,"), ([0, -5 * 10**13], "it is -50000000000000,"), ([0.5, 5e16], "it is 5e+16,")],
)
def test_a_number_whose_unit_takes_it_out_of_64_bits_is_named(values: list[Any], words: str) -> None:
    with pytest.raises(BadInstant) as bad:
        instants(values)
    assert (bad.value.place, bad.value.found.startswith(words)) == (1, True)
    # As ns any int64 is an instant.
    assert instants([-(2**63), 2**63 - 1]) == [-(2**63), 2**63 - 1]


def test_texts_of_another_layout_are_texts() -> None:
    assert read_times(pa.chunked_array([pa.array(["2024-05-01T10:00:00.25Z"], pa.string_view())])).tolist() == [NS]


@pytest.mark.parametrize("kind", [pa.bool_(), pa.binary(), pa.list_(pa.int64()), pa.time64("us"), pa.duration("ns")])
def test_a_column_of_another_type_is_refused(kind: pa.DataType) -> None:
    with pytest.raises(DataError, match=r"--time-column 'ts' has the type .*, which is no time"):
        check_time_type("ts", kind)
