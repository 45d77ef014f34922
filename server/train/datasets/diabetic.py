"""Schema of "Diabetes 130-US hospitals" (UCI 296, diabetic_data.csv): 101,766 rows, 50 columns, three classes.

`readmitted` keeps its published classes: NO 54 %, >30 35 %, <30 11 %.
"""

# ruff: noqa: SIM905 - word lists read better as one string

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from server.train.datasets.draws import Columns, pick, with_gaps

_Counts = npt.NDArray[np.int64]

TARGET = "readmitted"
DROP = ("encounter_id", "patient_nbr", "weight", "examide", "citoglipton")
"""Two identities, a column with 97 % missing, and two that are always "No"."""
DEFAULT_ROWS = 8_000

_AGES = [f"[{start}-{start + 10})" for start in range(0, 100, 10)]
_AGE_SHARES = [0.0016, 0.0068, 0.0163, 0.0371, 0.0952, 0.1696, 0.2209, 0.2562, 0.169, 0.0274]
_SPECIALTIES = {
    "InternalMedicine": 0.28,
    "Emergency/Trauma": 0.15,
    "Family/GeneralPractice": 0.145,
    "Cardiology": 0.105,
    "Surgery-General": 0.06,
    "Nephrology": 0.03,
    "Orthopedics": 0.027,
    "Radiologist": 0.022,
    "Pulmonology": 0.017,
    "Psychiatry": 0.016,
    "Urology": 0.013,
    "Gastroenterology": 0.011,
}
_PAYERS = {"MC": 0.53, "HM": 0.1, "SP": 0.08, "BC": 0.08, "MD": 0.06, "CP": 0.04, "UN": 0.04, "CM": 0.03, "OG": 0.02}
_DIAGNOSES = (
    "428,414,786,410,486,427,491,715,682,434,780,996,276,38,250.8,599,584,V57,250.6,518,820,577,493,435,562,574,296,"
    "560,250.7,250.13,440,415,401,250,496,403,250.02,707,E888,V45,285,424,425,272,250.01,305,8,E878"
).split(",")
_MEDICINES = {  # share of encounters with the medicine; the published order
    "metformin": 0.2,
    "repaglinide": 0.015,
    "nateglinide": 0.007,
    "chlorpropamide": 0.001,
    "glimepiride": 0.05,
    "acetohexamide": 0.0,
    "glipizide": 0.125,
    "glyburide": 0.105,
    "tolbutamide": 0.0,
    "pioglitazone": 0.07,
    "rosiglitazone": 0.06,
    "acarbose": 0.003,
    "miglitol": 0.0,
    "troglitazone": 0.0,
    "tolazamide": 0.0,
    "examide": 0.0,
    "citoglipton": 0.0,
    "insulin": 0.53,
    "glyburide-metformin": 0.007,
    "glipizide-metformin": 0.0,
    "glimepiride-pioglitazone": 0.0,
    "metformin-rosiglitazone": 0.0,
    "metformin-pioglitazone": 0.0,
}


def generate(rows: int, rng: np.random.Generator) -> pd.DataFrame:
    """Readmission comes with earlier inpatient and emergency visits, discharge, age and number of diagnoses."""
    age = rng.choice(len(_AGES), rows, p=np.array(_AGE_SHARES) / sum(_AGE_SHARES))
    stays = _stays(rows, rng)
    medicines = {name: _medicine(rng, share, rows) for name, share in _MEDICINES.items()}
    changed = np.any([(values == "Up") | (values == "Down") for values in medicines.values()], axis=0)
    taken = np.any([values != "No" for values in medicines.values()], axis=0)
    primary = rng.choice(_DIAGNOSES, rows, p=_falling(len(_DIAGNOSES)))
    score = (
        _score_of_stays(stays)
        + 0.2 * (age - 6)
        + 1.0 * np.isin(primary, ["428", "491", "250.6", "V57"])
        + 0.5 * (medicines["insulin"] == "Down")
        + rng.logistic(0, 1, rows)
    )
    later, soon = np.quantile(score, [0.539, 0.888])
    return pd.DataFrame(
        {
            **_people(age, rng),
            **_encounters(stays, rng),
            **_findings(stays, primary, rng),
            **medicines,
            "change": np.where(changed, "Ch", "No"),
            "diabetesMed": np.where(taken, "Yes", "No"),
            "readmitted": np.where(score > soon, "<30", np.where(score > later, ">30", "NO")),
        }
    )


def _stays(rows: int, rng: np.random.Generator) -> dict[str, _Counts]:
    """What readmission depends on, by the name of its column."""
    inpatient = rng.negative_binomial(0.6, 0.48, rows).clip(0, 21)
    emergency = rng.negative_binomial(0.15, 0.43, rows).clip(0, 76)
    outpatient = rng.negative_binomial(0.2, 0.35, rows).clip(0, 42)
    days = rng.gamma(2.2, 2.0, rows).round().clip(1, 14).astype(np.int64)
    diagnoses = np.where(rng.random(rows) < 0.48, 9, rng.integers(1, 10, rows))
    discharge = np.array([1, 3, 6, 18, 2, 22, 11, 5])[
        rng.choice(8, rows, p=np.array([0.59, 0.137, 0.127, 0.036, 0.021, 0.02, 0.016, 0.053]))
    ]
    return {
        "number_inpatient": inpatient,
        "number_emergency": emergency,
        "number_outpatient": outpatient,
        "time_in_hospital": days,
        "number_diagnoses": diagnoses,
        "discharge_disposition_id": discharge,
    }


def _score_of_stays(stays: dict[str, _Counts]) -> npt.NDArray[np.float64]:
    discharge = stays["discharge_disposition_id"]
    score: npt.NDArray[np.float64] = (
        1.5 * np.minimum(stays["number_inpatient"], 4)
        + 1.0 * np.minimum(stays["number_emergency"], 3)
        + 0.6 * np.minimum(stays["number_outpatient"], 3)
        + 0.25 * (stays["number_diagnoses"] - 6)
        + 1.2 * np.isin(discharge, [22, 5, 3])
        - 6.0 * (discharge == 11)
    )
    return score


def _people(age: _Counts, rng: np.random.Generator) -> Columns:
    """From `encounter_id` to `weight`."""
    rows = len(age)
    races = {"Caucasian": 0.76, "AfricanAmerican": 0.19, "Hispanic": 0.02, "Other": 0.02, "Asian": 0.01}
    return {
        "encounter_id": np.sort(rng.integers(12_522, 443_867_222, rows)),
        "patient_nbr": rng.integers(135, 189_502_619, rows),
        "race": with_gaps(rng, pick(rng, races, rows), 0.022),
        "gender": pick(rng, {"Female": 0.5376, "Male": 0.4623, "Unknown/Invalid": 0.0001}, rows),
        "age": pd.Categorical(np.array(_AGES)[age], categories=_AGES, ordered=True),
        "weight": with_gaps(rng, pick(rng, {"[75-100)": 0.43, "[50-75)": 0.28, "[100-125)": 0.29}, rows), 0.969),
    }


def _encounters(stays: dict[str, _Counts], rng: np.random.Generator) -> Columns:
    """From `admission_type_id` to `number_inpatient`."""
    days = stays["time_in_hospital"]
    rows = len(days)
    return {
        "admission_type_id": rng.choice(8, rows, p=[0.53, 0.182, 0.185, 0.001, 0.047, 0.052, 0.001, 0.002]) + 1,
        "discharge_disposition_id": stays["discharge_disposition_id"],
        "admission_source_id": rng.choice(
            [7, 1, 17, 4, 6, 2, 5], rows, p=[0.565, 0.29, 0.067, 0.035, 0.022, 0.011, 0.01]
        ),
        "time_in_hospital": days,
        "payer_code": with_gaps(rng, pick(rng, _PAYERS, rows), 0.396),
        "medical_specialty": with_gaps(rng, pick(rng, _SPECIALTIES, rows), 0.491),
        "num_lab_procedures": rng.normal(43, 19.7, rows).round().clip(1, 132).astype(np.int64),
        "num_procedures": rng.poisson(1.34, rows).clip(0, 6),
        "num_medications": (rng.gamma(4, 3.2, rows) + 0.8 * days).round().clip(1, 81).astype(np.int64),
        "number_outpatient": stays["number_outpatient"],
        "number_emergency": stays["number_emergency"],
        "number_inpatient": stays["number_inpatient"],
    }


def _findings(stays: dict[str, _Counts], primary: npt.NDArray[np.str_], rng: np.random.Generator) -> Columns:
    """From `diag_1` to `A1Cresult`."""
    rows, shares = len(primary), _falling(len(_DIAGNOSES))
    return {
        "diag_1": primary,
        "diag_2": with_gaps(rng, rng.choice(_DIAGNOSES[::-1], rows, p=shares), 0.0035),
        "diag_3": with_gaps(rng, rng.choice(_DIAGNOSES, rows, p=shares), 0.014),
        "number_diagnoses": stays["number_diagnoses"],
        "max_glu_serum": pick(rng, {"None": 0.947, "Norm": 0.026, ">200": 0.0146, ">300": 0.0124}, rows),
        "A1Cresult": pick(rng, {"None": 0.833, ">8": 0.081, "Norm": 0.049, ">7": 0.037}, rows),
    }


def _medicine(rng: np.random.Generator, share: float, rows: int) -> npt.NDArray[np.object_]:
    return pick(rng, {"No": 1 - share, "Steady": 0.66 * share, "Up": 0.16 * share, "Down": 0.18 * share}, rows)


def _falling(count: int) -> npt.NDArray[np.float64]:
    weights = 1 / np.arange(2, count + 2)
    return np.asarray(weights / weights.sum(), dtype=np.float64)
