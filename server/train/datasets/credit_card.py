"""Schema of "credit_card_transactions" (priyamchoksi, Kaggle): 1.3 million rows, 24 columns, 0.58 % fraud.

Fewer merchants, cities and jobs than published (about 690, 890 and 490), so that few rows are enough to learn from.
"""

# ruff: noqa: SIM905 - word lists read better as one string

from __future__ import annotations

import numpy as np
import pandas as pd

from server.train.datasets.draws import draw_labels, pick

TARGET = "is_fraud"
DROP = ("Unnamed: 0", "cc_num", "first", "last", "street", "trans_num", "unix_time")
"""Row number, card and person (identities), transaction number, and the transaction's time a second time."""
DEFAULT_ROWS = 16_000

_CUSTOMERS = 400
_CATEGORIES = {
    "gas_transport": 0.101,
    "grocery_pos": 0.095,
    "home": 0.095,
    "shopping_pos": 0.09,
    "kids_pets": 0.087,
    "shopping_net": 0.075,
    "entertainment": 0.073,
    "food_dining": 0.071,
    "personal_care": 0.07,
    "health_fitness": 0.066,
    "misc_pos": 0.061,
    "misc_net": 0.049,
    "grocery_net": 0.035,
    "travel": 0.031,
}
_TYPICAL_AMOUNT = {"travel": 110.0, "grocery_pos": 115.0, "shopping_net": 80.0, "shopping_pos": 75.0, "misc_net": 75.0}
_RISK = {"shopping_net": 1.6, "misc_net": 1.3, "grocery_pos": 1.0, "shopping_pos": 0.6, "gas_transport": 0.3}
_NAMES = (
    "Kirlin,Sporer,Swaniawski,Haley,Johnston,Kilback,Boyer,Cormier,Schumm,Dickinson,Kuhn,Lang,Bauch,Rau,Heller,"
    "Koepp,Hudson,Gleason,Olson,Zboncak,Streich,Hills,Mraz,Lynch,Bins,Kerluke,Abbott,Roberts,Larkin,Parker"
).split(",")
_FIRST = "Jennifer,Stephanie,Edward,Jeremy,Tyler,Kelsey,Robert,Ashley,Christopher,Maria,José,Zoë".split(",")
_STREETS = "Perry Cove,Gray Inlet,White Dale,Moore Glens,Bradley Rest,Castle Park,Burns Trail,Dodson Bypass".split(",")
_JOBS = (
    "Film/video editor,Exhibition designer,Naval architect,Surveyor,Materials engineer,Systems developer,"
    "Nurse,Chartered accountant,Dance movement psychotherapist,Special educational needs teacher,Librarian,"
    "Financial adviser,Geologist,Paramedic,IT trainer,Podiatrist,Editor,Solicitor"
).split(",")
_STATES = "TX,NY,PA,CA,OH,MI,IL,FL,AL,MO,MN,AR,NC,VA,WI,SC,KY,IN,IA,OK,GA,WA,NJ,KS,OR,AK".split(",")
_CITIES = [f"{head} {tail}" for head in ("North", "East", "Saint", "Fort", "Mount") for tail in _NAMES[:24]]


def generate(rows: int, rng: np.random.Generator) -> pd.DataFrame:
    """Frauds are large amounts late in the evening and at night, in some categories more than in others."""
    customers = _customers(rng)
    customer = customers.iloc[rng.integers(0, _CUSTOMERS, rows)].reset_index(drop=True)
    category = pick(rng, _CATEGORIES, rows)
    hour_weights = np.array([1.6] * 4 + [1.2] * 8 + [1.9] * 12)
    hour = rng.choice(24, rows, p=hour_weights / hour_weights.sum())
    second = rng.integers(0, 3_600, rows)
    day = rng.integers(0, 537, rows)
    moment = np.sort(day) * 86_400 + hour * 3_600 + second
    moments = pd.Series(pd.to_datetime("2019-01-01") + pd.to_timedelta(moment, unit="s")).astype("datetime64[us]")
    typical = np.array([_TYPICAL_AMOUNT.get(name, 45.0) for name in category])
    amount = (typical * rng.lognormal(-0.5, 1.0, rows)).clip(1, 28_948)
    is_night = (hour >= 22) | (hour < 4)
    risk = np.array([_RISK.get(name, 0.0) for name in category])
    score = 1.8 * is_night + 1.1 * risk + 1.6 * np.log(amount / typical).clip(-1, 2.5) + 0.8 * (amount > 250)
    merchants = np.array([f"fraud_{first}, {second_name} and Sons" for first, second_name in _partners(rng)])
    merchant_latitude = customer["lat"] + rng.uniform(-1, 1, rows)
    merchant_longitude = customer["long"] + rng.uniform(-1, 1, rows)
    zipcode = pd.Series(rng.integers(1_001, 99_929, rows), dtype="Int64").mask(rng.random(rows) < 0.15)
    return pd.DataFrame(
        {
            "Unnamed: 0": np.arange(rows),
            "trans_date_trans_time": moments,
            "cc_num": customer["cc_num"],
            "merchant": merchants[rng.integers(0, len(merchants), rows)],
            "category": pd.Categorical(category),
            "amt": amount.round(2),
            "first": customer["first"],
            "last": customer["last"],
            "gender": customer["gender"],
            "street": customer["street"],
            "city": customer["city"],
            "state": customer["state"],
            "zip": customer["zip"],
            "lat": customer["lat"],
            "long": customer["long"],
            "city_pop": customer["city_pop"],
            "job": customer["job"],
            "dob": customer["dob"],
            "trans_num": [number.hex() for number in _chunks(rng.bytes(16 * rows), 16)],
            "unix_time": moment + 1_325_376_000,
            "merch_lat": merchant_latitude.round(6),
            "merch_long": merchant_longitude.round(6),
            "is_fraud": draw_labels(rng, score, 0.0058),
            "merch_zipcode": zipcode,
        }
    )


def _customers(rng: np.random.Generator) -> pd.DataFrame:
    count = _CUSTOMERS
    born = pd.to_datetime("1928-01-01") + pd.to_timedelta(rng.integers(0, 27_000, count), unit="D")
    return pd.DataFrame(
        {
            "cc_num": rng.integers(4 * 10**12, 5 * 10**18, count),
            "first": rng.choice(_FIRST, count),
            "last": rng.choice(_NAMES, count),
            "gender": rng.choice(["F", "M"], count, p=[0.55, 0.45]),
            "street": [f"{rng.integers(10, 99_999)} {rng.choice(_STREETS)}" for _ in range(count)],
            "city": rng.choice(_CITIES, count),
            "state": rng.choice(_STATES, count),
            "zip": rng.integers(1_257, 99_783, count),
            "lat": rng.normal(38.5, 5, count).clip(20.03, 66.7).round(4),
            "long": rng.normal(-90.2, 13, count).clip(-165.7, -67.95).round(4),
            "city_pop": rng.lognormal(8, 2, count).clip(23, 2_906_700).astype(np.int64),
            "job": rng.choice(_JOBS, count),
            "dob": born.date,
        }
    )


def _partners(rng: np.random.Generator) -> list[tuple[str, str]]:
    return [(str(rng.choice(_NAMES)), str(rng.choice(_NAMES))) for _ in range(120)]


def _chunks(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]
