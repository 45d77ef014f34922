"""Twenty public datasets as types and edge values: the columns, the types they are published in, and what they hold."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa

Columns = dict[str, pa.Array]


def ints(*values: int | None, kind: pa.DataType | None = None) -> pa.Array:
    return pa.array(values, kind or pa.int64())


def floats(*values: float | None, kind: pa.DataType | None = None) -> pa.Array:
    return pa.array(values, kind or pa.float64())


def texts(*values: str | None) -> pa.Array:
    return pa.array(values, pa.string())


def times(*values: str | None, unit: str = "us") -> pa.Array:
    parsed = [None if value is None else dt.datetime.fromisoformat(value) for value in values]
    return pa.array(parsed, pa.timestamp(unit))


def credit_card_fraud() -> Columns:
    parts = {f"V{n}": floats(-1.3598071336738 * n, 1e-16, -113.743306711146) for n in range(1, 29)}
    return {"Time": floats(0.0, 0.0, 172792.0), **parts, "Amount": floats(149.62, 0.0, 25691.16)}


def diabetes_130() -> Columns:
    return {
        "encounter_id": ints(2278392, 149190, 443867222),
        "patient_nbr": ints(8222157, 55629189, 189502619),
        "race": texts("Caucasian", "AfricanAmerican", "?"),
        "gender": texts("Female", "Male", "Unknown/Invalid"),
        "age": texts("[0-10)", "[10-20)", "[90-100)"),
        "weight": texts("?", ">200", "[75-100)"),
        "diag_1": texts("250.83", "V57", "E909"),
        "max_glu_serum": texts(None, ">300", "Norm"),
        "glyburide-metformin": texts("No", "Steady", "Up"),
        "time_in_hospital": ints(1, 3, 14),
    }


def unsw_nb15() -> Columns:
    return {
        "srcip": texts("59.166.0.0", "175.45.176.3", "::1"),
        "sport": ints(1390, 0, 65535, kind=pa.int32()),
        "dsport": texts("53", "0x000b", "-"),
        "proto": texts("udp", "ospf", "3pc"),
        "state": texts("CON", "no", "URH"),
        "dur": floats(0.001055, 0.0, 8786.637695),
        "sbytes": ints(132, 0, 14355774),
        "sttl": ints(31, 254, 255, kind=pa.uint8()),
        "service": texts("dns", "-", "ftp-data"),
        "Sload": floats(500473.9375, 0.0, 5988000256.0),
        "ct_ftp_cmd": ints(0, None, 8),
        "is_ftp_login": ints(0, 4, None),
        "Stime": ints(1421927414, 1424262068, 0),
    }


def nyc_taxi() -> Columns:
    return {
        "VendorID": ints(1, 2, 6, kind=pa.int32()),
        "tpep_pickup_datetime": times("2024-01-01T00:57:55", "2002-12-31T22:59:39", "2098-09-11T02:23:31"),
        "tpep_dropoff_datetime": times("2024-01-01T01:17:43", None, "2098-09-11T02:52:04"),
        "passenger_count": floats(1.0, None, 9.0),
        "trip_distance": floats(1.72, 0.0, 312722.3),
        "store_and_fwd_flag": pa.array(["N", None, "Y"], pa.large_string()),
        "PULocationID": ints(186, 1, 265, kind=pa.int32()),
        "fare_amount": floats(17.7, -899.0, 5000.0),
        "total_amount": floats(22.7, -900.0, 5000.0),
        "Airport_fee": floats(0.0, None, 1.75),
    }


def criteo() -> Columns:
    numbers = {f"I{n}": ints(None, -3 + n, 2**31 - 1, kind=pa.int32()) for n in range(1, 14)}
    return numbers | {f"C{n}": texts("68fd1e64", None, f"{n:08x}") for n in range(1, 27)}


def flights() -> Columns:
    return {
        "FlightDate": pa.array([dt.date(2018, 1, 23), dt.date(1987, 10, 1), None]),
        "Airline": texts("Endeavor Air Inc.", "", None),
        "Origin": texts("ABY", "ATL", "NA"),
        "Cancelled": pa.array([False, True, None]),
        "CRSDepTime": texts("1202", "0005", "2400"),
        "DepDelay": floats(-5.0, None, 1908.0),
        "Tail_Number": texts("N8928A", None, "N/A"),
        "Distance": floats(145.0, 4983.0, 31.0),
        "Flight_Number_Operating_Airline": ints(3298, 1, 9401),
    }


def higgs() -> Columns:
    return {f"f{n:02d}": floats(0.8692932, -2.4349, 1e-7 * n, kind=pa.float32()) for n in range(28)}


def stroke() -> Columns:
    return {
        "id": ints(9046, 51676, 72940),
        "gender": texts("Male", "Female", "Other"),
        "age": floats(67.0, 0.08, 82.0),
        "hypertension": ints(0, 1, 0),
        "ever_married": texts("Yes", "No", "Yes"),
        "bmi": floats(36.6, None, 97.6),
        "smoking_status": texts("formerly smoked", "Unknown", "never smoked"),
    }


def adult() -> Columns:
    return {
        "age": ints(39, 17, 90),
        "workclass": texts(" State-gov", " ?", None),
        "fnlwgt": ints(77516, 12285, 1484705),
        "education-num": ints(13, 1, 16),
        "native-country": texts(" United-States", " Outlying-US(Guam-USVI-etc)", " ?"),
        "capital-gain": ints(2174, 0, 99999),
    }


def titanic() -> Columns:
    return {
        "Pclass": ints(3, 1, 2),
        "Name": texts('Braund, "Mr." Owen', "O'Dwyer, Miss. Ellen", "Näsman\tJakob"),
        "Age": floats(22.0, 0.42, None),
        "Ticket": texts("A/5 21171", "0011", "LINE"),
        "Cabin": texts(None, "C85", "F G73"),
        "Embarked": pa.array(["S", None, "Q"]).dictionary_encode(),
    }


def bank_marketing() -> Columns:
    return {
        "job": texts("admin.", "blue-collar", "unknown"),
        "emp.var.rate": floats(1.1, -3.4, 1.4),
        "nr.employed": floats(5191.0, 4963.6, 5228.1),
        "pdays": ints(999, 0, 27),
        "month": texts("may", "dec", "mar"),
    }


def california_housing() -> Columns:
    return {
        "longitude": floats(-122.23, -124.35, -114.31),
        "total_bedrooms": floats(129.0, None, 6445.0),
        "ocean_proximity": texts("NEAR BAY", "<1H OCEAN", "ISLAND"),
    }


def forest_cover() -> Columns:
    soils = {f"Soil_Type{n}": ints(0, 1, 0, kind=pa.int8()) for n in range(1, 41)}
    return {"Elevation": ints(2596, 1859, 3858, kind=pa.int16()), "Slope": ints(3, 0, 66, kind=pa.uint8()), **soils}


def kdd_cup_99() -> Columns:
    return {
        "duration": ints(0, 58329, 1),
        "protocol_type": pa.array([b"tcp", b"udp", b"icmp"], pa.binary()),
        "src_bytes": ints(181, 693375640, 0),
        "same_srv_rate": floats(1.0, 0.0, 0.01),
    }


def ames_housing() -> Columns:
    return {
        "MSSubClass": ints(60, 20, 190),
        "LotFrontage": floats(65.0, None, 313.0),
        "Alley": texts(None, "Grvl", "NA"),
        "1stFlrSF": ints(856, 334, 4692),
        "3SsnPorch": ints(0, 0, 508),
        "SalePrice": pa.array([Decimal("208500.00"), Decimal("34900.50"), None]),
    }


def home_credit() -> Columns:
    return {
        "DAYS_EMPLOYED": ints(-637, 365243, 0),
        "OWN_CAR_AGE": floats(None, 9.0, 91.0),
        "NAME_TYPE_SUITE": texts("Unaccompanied", None, "Other_A"),
        "FLAG_DOCUMENT_3": pa.array([True, False, None]),
        "AMT_INCOME_TOTAL": floats(202500.0, 25650.0, 117000000.0),
    }


def ieee_fraud() -> Columns:
    return {
        "TransactionDT": ints(86400, 15811131, 0),
        "card4": texts("discover", None, "american express"),
        "id_31": texts("chrome 62.0", None, "other"),
        "P_emaildomain": texts("gmail.com", "anonymous.com", None),
        "M4": texts("M0", None, "M2"),
        "D1": floats(14.0, None, 640.0),
    }


def porto_seguro() -> Columns:
    return {
        "ps_ind_02_cat": ints(2, -1, 4, kind=pa.int8()),
        "ps_reg_03": floats(0.7180703307999999, -1.0, 4.0379450219),
        "ps_car_13": floats(0.8836789178, 0.2506190682, 3.7206260026),
        "ps_calc_20_bin": pa.array([0, 1, None], pa.uint8()),
    }


def wine_quality() -> Columns:
    return {
        "fixed acidity": floats(7.4, 4.6, 15.9),
        "free sulfur dioxide": floats(11.0, 1.0, 289.0),
        "pH": floats(3.51, 2.72, 4.01),
        "quality": ints(5, 3, 9),
        'überschrift "x"': texts("weiß", "rosé", "赤"),
    }


def lending_club() -> Columns:
    return {
        "int_rate": texts(" 13.56%", "5.31%", None),
        "term": texts(" 36 months", " 60 months", None),
        "issue_d": pa.array([dt.date(2018, 12, 1), dt.date(2007, 6, 1), None]),
        "zip_code": texts("109xx", "007xx", "01234"),
        "annual_inc": floats(55000.0, 0.0, 110000000.0),
        "earliest_cr_line": times("2001-04-01", "1933-03-01", None, unit="ns"),
        "tags": pa.array([["a", None], [], None]),
        "joint": pa.array([{"income": 1.5, "grade": "A"}, {"income": None, "grade": None}, None]),
    }


SCHEMAS: dict[str, Callable[[], Columns]] = {
    make.__name__: make
    for make in (
        credit_card_fraud,
        diabetes_130,
        unsw_nb15,
        nyc_taxi,
        criteo,
        flights,
        higgs,
        stroke,
        adult,
        titanic,
        bank_marketing,
        california_housing,
        forest_cover,
        kdd_cup_99,
        ames_housing,
        home_credit,
        ieee_fraud,
        porto_seguro,
        wine_quality,
        lending_club,
    )
}


def generated(make: Callable[[], Columns], rows: int = 200) -> Columns:
    """The columns with rows in which each column takes any of its values: all three as they stand, then by chance."""
    columns = make()
    draws = np.random.default_rng(len(columns))
    return {
        name: array.take(pa.array(np.concatenate([np.arange(len(array)), draws.integers(0, len(array), rows)])))
        for name, array in columns.items()
    }


def expected(value: Any, kind: pa.DataType) -> Any:
    """What a value is in a request, by its type: written down here once more, apart from the program."""
    if value is None:
        return None
    if pa.types.is_timestamp(kind):
        digits = {"s": 0, "ms": 3, "us": 6, "ns": 9}[kind.unit]
        text = dt.datetime.fromisoformat(str(value)).isoformat(timespec="microseconds")
        return text[:19] if digits == 0 else text.ljust(20 + digits, "0")[: 20 + digits]
    if pa.types.is_date(kind):
        return value.isoformat()
    if pa.types.is_binary(kind):
        return value.decode()
    if pa.types.is_float32(kind):
        return float(str(pa.scalar(value, kind).cast(pa.string())))
    return float(value) if isinstance(value, Decimal) else value


def rows_of(columns: Columns) -> list[dict[str, Any]]:
    """The rows as a server that parses JSON gets them."""
    return [
        {name: expected(value, array.type) for (name, array), value in zip(columns.items(), row.values(), strict=True)}
        for row in pa.table(columns).to_pylist()
    ]
