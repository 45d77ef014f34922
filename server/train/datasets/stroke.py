"""Schema of the stroke prediction data set (fedesoriano, Kaggle): 5,110 rows, 12 columns, 4.9 % positive."""

from __future__ import annotations

import numpy as np
import pandas as pd

from server.train.datasets.draws import draw_labels, pick

TARGET = "stroke"
DROP = ("id",)  # a row number
DEFAULT_ROWS = 5_110


def generate(rows: int, rng: np.random.Generator) -> pd.DataFrame:
    """Strokes come with age, then glucose, hypertension, heart disease and smoking."""
    age = np.where(rng.random(rows) < 0.17, rng.uniform(0.1, 18, rows), rng.normal(50, 19, rows).clip(18, 82))
    age = np.where(age < 2, age.round(2), age.round())
    is_adult = age >= 18
    hypertension = (rng.random(rows) < np.where(is_adult, 0.02 + 0.003 * (age - 18), 0.001)).astype(np.int64)
    heart_disease = (rng.random(rows) < np.where(is_adult, 0.0022 * (age - 18), 0.001)).astype(np.int64)
    work = np.where(
        is_adult,
        pick(rng, {"Private": 0.65, "Self-employed": 0.2, "Govt_job": 0.15}, rows),
        pick(rng, {"children": 0.9, "Never_worked": 0.02, "Private": 0.08}, rows),
    )
    married = np.where(is_adult & (rng.random(rows) < 0.35 + 0.006 * age), "Yes", "No")
    glucose = np.where(rng.random(rows) < 0.13 + 0.001 * age, rng.normal(200, 25, rows), rng.normal(90, 20, rows))
    glucose = glucose.clip(55, 272).round(2)
    bmi = (rng.gamma(14, 2.1, rows) + np.where(is_adult, 1.5, -8)).clip(10.3, 97.6).round(1)
    smoking = np.where(
        age > 10,
        pick(rng, {"never smoked": 0.42, "Unknown": 0.22, "formerly smoked": 0.2, "smokes": 0.16}, rows),
        "Unknown",
    )
    score = (
        0.085 * age
        + 0.007 * (glucose - 90)
        + 0.5 * hypertension
        + 0.6 * heart_disease
        + 0.4 * (smoking == "smokes")
        + 0.01 * (bmi - 28)
    )
    return pd.DataFrame(
        {
            "id": rng.permutation(72_940 * (rows // 50_000 + 1))[:rows],
            "gender": pick(rng, {"Female": 0.5858, "Male": 0.414, "Other": 0.0002}, rows),
            "age": age,
            "hypertension": hypertension,
            "heart_disease": heart_disease,
            "ever_married": married,
            "work_type": work,
            "Residence_type": pick(rng, {"Urban": 0.508, "Rural": 0.492}, rows),
            "avg_glucose_level": glucose,
            "bmi": np.where(rng.random(rows) < 0.039, np.nan, bmi),
            "smoking_status": smoking,
            "stroke": draw_labels(rng, score, 0.049),
        }
    )
