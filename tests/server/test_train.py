"""The training command: what it writes, what it keeps, what it refuses."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from server.models import find_models
from server.schema import Algorithm
from server.train.__main__ import main as train
from server.train.datasets import RECIPES
from server.train.metrics import score
from tests.server.conftest import every_kind

PUBLISHED: dict[str, tuple[int, dict[int | str, float]]] = {  # columns, share of the classes
    "credit_card_transactions": (24, {0: 0.9942, 1: 0.0058}),
    "diabetic": (50, {"NO": 0.539, ">30": 0.349, "<30": 0.112}),
    "healthcare-dataset-stroke": (12, {0: 0.951, 1: 0.049}),
    "UNSW_NB15_merged": (45, {0: 0.361, 1: 0.639}),
}


@pytest.mark.parametrize("name", list(RECIPES))
def test_generated_data_has_the_published_columns_and_class_balance(name: str) -> None:
    recipe = RECIPES[name]
    frame = recipe.generate(6_000, np.random.default_rng(1))
    columns, balance = PUBLISHED[name]
    assert frame.shape == (6_000, columns)
    assert {recipe.target, *recipe.drop} <= set(frame.columns)
    shares = frame[recipe.target].value_counts(normalize=True)
    assert set(shares.index) == set(balance)
    for label, share in balance.items():
        assert shares[label] == pytest.approx(share, abs=0.012)
    assert frame.equals(recipe.generate(6_000, np.random.default_rng(1)))
    assert not frame.equals(recipe.generate(6_000, np.random.default_rng(2)))


@pytest.mark.parametrize("rows", [50, 80_000])
def test_generators_take_other_sizes(rows: int) -> None:
    for recipe in RECIPES.values():
        assert len(recipe.generate(rows, np.random.default_rng(3))) == rows


def test_the_fewest_rows_still_train(tmp_path: Path) -> None:
    for seed in ("1", "2", "3"):
        assert train(["--results", str(tmp_path), "--rows", "50", "--seed", seed, "--model", "lgbm"]) == 0


def test_all_twelve_models_have_signal_and_their_splits_hold_every_row_once(tmp_path: Path) -> None:
    assert train(["--results", str(tmp_path), "--rows", "4,000"]) == 0
    assert set(find_models(tmp_path / "models")) == {(name, key) for name in RECIPES for key in Algorithm}
    with (tmp_path / "metrics" / "all_metrics.csv").open(newline="") as file:
        metrics = list(csv.DictReader(file))
    assert len(metrics) == 12
    assert {row["dataset"] for row in metrics if not 0.6 < float(row["roc_auc"]) < 0.999} == set()
    for name, recipe in RECIPES.items():
        parts = {part: _split(tmp_path, name, part) for part in ("X_train", "X_test", "y_train", "y_test")}
        assert len(parts["X_train"]) + len(parts["X_test"]) == 4_000
        assert len(parts["X_test"]) == len(parts["y_test"]) == pytest.approx(800, abs=2)
        assert list(parts["y_test"].columns) == [recipe.target]
        assert not {recipe.target, *recipe.drop} & set(parts["X_test"].columns)


def test_same_seed_same_models_another_seed_other_rows(tmp_path: Path) -> None:
    for folder, seed in (("a", "5"), ("b", "5"), ("c", "6")):
        options = ["--dataset", "healthcare-dataset-stroke", "--rows", "900", "--seed", seed]
        assert train([*options, "--results", str(tmp_path / folder)]) == 0
    for algorithm in ("LightGBM.txt", "XGBoost.ubj"):
        files = [tmp_path / run / "models" / f"healthcare-dataset-stroke_{algorithm}" for run in "abc"]
        assert files[0].read_bytes() == files[1].read_bytes()
        assert files[0].read_bytes() != files[2].read_bytes()
    x_tests = [_split(tmp_path / run, "healthcare-dataset-stroke", "X_test") for run in "abc"]
    assert x_tests[0].equals(x_tests[1])
    assert not x_tests[0].equals(x_tests[2])


def test_if_missing_trains_only_what_is_missing_on_the_splits_that_are_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--dataset", "healthcare-dataset-stroke", "--results", str(tmp_path)]
    assert train([*options, "--rows", "700", "--model", "lgbm,xgboost"]) == 0
    before = (tmp_path / "models" / "healthcare-dataset-stroke_LightGBM.txt").stat().st_mtime_ns
    capsys.readouterr()
    assert train([*options, "--if-missing"]) == 0
    assert "[ 1/1] healthcare-dataset-stroke catboost" in capsys.readouterr().out
    assert (tmp_path / "models" / "healthcare-dataset-stroke_LightGBM.txt").stat().st_mtime_ns == before
    schema = json.loads((tmp_path / "models" / "healthcare-dataset-stroke_CatBoost.schema.json").read_text())
    assert (schema["train_rows"], schema["source"]) == (560, "synthetic, 700 rows, seed 42")
    assert train([*options, "--if-missing"]) == 0
    assert f"Nothing to train: all 3 models are in {tmp_path / 'models'}." in capsys.readouterr().out
    with (tmp_path / "metrics" / "all_metrics.csv").open(newline="") as file:
        assert [row["model"] for row in csv.DictReader(file)] == ["catboost", "lgbm", "xgboost"]


def test_models_without_their_splits_are_trained_again_on_the_new_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Else the rows that they were trained on would be tested."""
    options = ["--dataset", "healthcare-dataset-stroke", "--results", str(tmp_path), "--model", "lgbm,xgboost"]
    assert train([*options, "--rows", "700"]) == 0
    shutil.rmtree(tmp_path / "splits")
    assert train([*options, "--rows", "800", "--if-missing"]) == 0
    schemas = [json.loads(path.read_text()) for path in (tmp_path / "models").glob("*.schema.json")]
    assert [schema["source"] for schema in schemas] == ["synthetic, 800 rows, seed 42"] * 2
    capsys.readouterr()
    assert train([*options, "--rows", "800", "--if-missing"]) == 0
    assert "Nothing to train: all 2 models" in capsys.readouterr().out


def test_a_model_of_other_splits_is_trained_again_and_one_of_these_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As after a training that was stopped when its splits were written."""
    options = ["--dataset", "healthcare-dataset-stroke", "--results", str(tmp_path)]
    assert train([*options, "--rows", "700", "--model", "lgbm,xgboost"]) == 0
    assert train([*options, "--rows", "800", "--model", "lgbm"]) == 0
    capsys.readouterr()
    assert train([*options, "--if-missing", "--model", "lgbm,xgboost"]) == 0
    out = capsys.readouterr().out
    assert "[ 1/1] healthcare-dataset-stroke xgboost" in out
    assert "lgbm:" not in out


def test_a_training_that_is_stopped_while_it_writes_leaves_no_half_of_a_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_half(_table: object, path: Path, **_: object) -> None:
        Path(path).write_bytes(b"PAR1")
        raise KeyboardInterrupt

    options = ["--dataset", "healthcare-dataset-stroke", "--results", str(tmp_path), "--rows", "700"]
    with monkeypatch.context() as patch:
        patch.setattr(pq, "write_table", write_half)
        with pytest.raises(KeyboardInterrupt):
            train(options)
    assert train([*options, "--model", "lgbm", "--if-missing"]) == 0
    assert len(_split(tmp_path, "healthcare-dataset-stroke", "X_test")) == 140


@pytest.mark.parametrize(("labels", "classes"), [("abc", [0, 1]), ("ab", ["a", "b"])])
def test_if_missing_with_a_positive_label_gives_the_same_result_twice(
    tmp_path: Path, labels: str, classes: list[object]
) -> None:
    rows = "".join(f"{i},{i * 7 % 5},{labels[i % len(labels)]}\n" for i in range(120))
    (tmp_path / "mine.csv").write_text("n,m,y\n" + rows)
    results = tmp_path / "r"
    options = [
        "--data",
        str(tmp_path / "mine.csv"),
        "--target",
        "y",
        "--positive-label",
        "b",
        "--results",
        str(results),
    ]
    assert train([*options, "--model", "lgbm", "--if-missing"]) == 0
    files = {path: path.read_bytes() for path in results.glob("*/**/*.*") if path.suffix != ".csv"}
    assert train([*options, "--model", "lgbm,xgboost", "--if-missing"]) == 0
    assert {path: path.read_bytes() for path in files} == files
    for name in ("LightGBM", "XGBoost"):
        assert json.loads((results / "models" / f"mine_{name}.schema.json").read_text())["classes"] == classes


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (["--target", "y"], "made with --positive-label b"),
        (["--target", "y", "--positive-label", "c"], "made with --positive-label c"),
        (["--target", "m"], "made with --target m"),
    ],
)
def test_if_missing_does_not_take_splits_that_were_made_for_something_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], other: list[str], words: str
) -> None:
    (tmp_path / "mine.csv").write_text("n,m,y\n" + "".join(f"{i},{i * 7 % 5},{'abc'[i % 3]}\n" for i in range(120)))
    options = ["--data", str(tmp_path / "mine.csv"), "--results", str(tmp_path), "--model", "lgbm"]
    assert train([*options, "--target", "y", "--positive-label", "b"]) == 0
    capsys.readouterr()
    assert train([*options, *other, "--if-missing"]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert "leave --if-missing out" in error


def test_a_csv_file_keeps_whole_numbers_with_gaps_booleans_dates_and_the_word_none(tmp_path: Path) -> None:
    text = "id,n,flag,when,glucose,size,y\n" + "".join(
        f"{i},{'N/A' if i % 5 == 0 else i},{'?' if i % 7 == 0 else i % 2 == 0},2024-01-{i % 28 + 1:02} 10:00:00,"
        f"{'None' if i % 3 else 'Norm'},{i / 4},{'a' if i % 4 else 'b'}\n"
        for i in range(200)
    )
    (tmp_path / "file.csv").write_text("\ufeff" + text.replace(",", ";"), encoding="utf-8")
    options = ["--data", str(tmp_path / "file.csv"), "--target", "y", "--drop-cols", " id", "--model", "lgbm"]
    assert train([*options, "--results", str(tmp_path / "r"), "--test-size", "0.3", "--positive-label", "a"]) == 0
    schema = pq.read_schema(tmp_path / "r" / "splits" / "file" / "X_test.parquet")
    assert [(field.name, str(field.type)) for field in schema] == [
        ("n", "int64"),
        ("flag", "bool"),
        ("when", "timestamp[us]"),
        ("glucose", "large_string"),
        ("size", "double"),
    ]
    sidecar = json.loads((tmp_path / "r" / "models" / "file_LightGBM.schema.json").read_text())
    assert [column["kind"] for column in sidecar["columns"]] == [
        "integer",
        "boolean",
        "timestamp",
        "category",
        "number",
    ]
    assert sidecar["columns"][3]["categories"] == ["None", "Norm"]
    assert sidecar["classes"] == ["b", "a"]
    everything = pd.concat(_split(tmp_path / "r", "file", part) for part in ("X_train", "X_test"))
    assert everything["n"].isna().sum() == 40
    assert len(_split(tmp_path / "r", "file", "X_test")) == 60


def test_positive_label_with_three_classes_is_predicted_against_the_others(tmp_path: Path) -> None:
    every_kind(300).to_parquet(tmp_path / "kinds.parquet")
    options = ["--data", str(tmp_path / "kinds.parquet"), "--target", "third", "--positive-label", "2"]
    assert train([*options, "--model", "lgbm", "--results", str(tmp_path), "--name", "two"]) == 0
    sidecar = json.loads((tmp_path / "models" / "two_LightGBM.schema.json").read_text())
    assert sidecar["classes"] == [0, 1]
    assert set(_split(tmp_path, "two", "y_train")["third"]) == {0, 1}


@pytest.mark.parametrize(
    ("options", "found", "action"),
    [
        (["--dataset", "diabetes"], "Unknown --dataset 'diabetes'.", "given with --data"),
        (["--model", "forest"], "Unknown --model 'forest'.", "correct --model"),
        (["--target", "y"], "--target is given without --data.", "name the file"),
        (["--data", "{csv}"], "is given without --target.", "add --target COLUMN."),
        (["--data", "none.csv", "--target", "y"], "No file none.csv.", "check the path"),
        (["--data", "{csv}", "--target", "z"], "No column 'z' (--target).", "correct --target."),
        (["--data", "{csv}", "--target", "y", "--drop-cols", "q"], "No column 'q' (--drop-cols).", "correct --drop"),
        (["--data", "{csv}", "--target", "y", "--drop-cols", "y"], "is also in --drop-cols", "take it out"),
        (["--data", "{csv}", "--target", "y", "--drop-cols", "x,n"], "No column is left", "drop fewer"),
        (["--data", "{csv}", "--target", "n"], "The target 'n' has 60 different values.", "choose another --target"),
        (["--data", "{csv}", "--target", "y", "--positive-label", "9"], "never has the value '9'", "correct --pos"),
        (["--data", "{csv}", "--target", "y", "--name", "a/b"], "'a/b' cannot be the name", "--name"),
        (["--data", "{csv}", "--target", "y", "--rows", "99"], "--rows and --data exclude each other.", "leave --rows"),
        (["--data", "{broken}", "--target", "y"], "cannot be read", "check the file"),
        (["--data", "{empty}", "--target", "y"], "cannot be read: the first line is empty", "check the file"),
        (["--data", "{header}", "--target", "y"], "has no rows.", "check the file"),
        (["--data", "{lists}", "--target", "y"], "Column 'x' has values that training cannot take", "--drop-cols x"),
        (["--data", "{lists}", "--target", "x"], "The target 'x' has values such as", "choose another --target"),
        (["--data", "{rare}", "--target", "y"], "The class 'b' of target 'y' has only 1 row.", "--positive-label"),
    ],
)
def test_what_training_refuses_says_what_was_found_and_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], found: str, action: str
) -> None:
    frame = pd.DataFrame({"x": ["a", "b"] * 30, "n": range(60), "y": ["a", "b", "a"] * 20})
    files = {name: tmp_path / f"{name}.parquet" for name in ("broken", "lists")}
    files |= {name: tmp_path / f"{name}.csv" for name in ("csv", "empty", "header", "rare")}
    frame.to_csv(files["csv"], index=False)
    frame.assign(y=["a"] * 59 + ["b"]).to_csv(files["rare"], index=False)
    frame.assign(x=pd.Series([[1, 2]] * 60)).to_parquet(files["lists"])
    files["broken"].write_bytes(b"PAR1 but no parquet")
    files["empty"].write_bytes(b"")
    files["header"].write_text("x,y\n")
    assert train([*(option.format_map(files) for option in options), "--results", str(tmp_path / "r")]) == 2
    error = capsys.readouterr().err
    assert found in error
    assert "Expected: " in error
    assert action in error.split("Fix: ")[1]


def test_an_identity_column_is_pointed_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pd.DataFrame({"id": range(100), "x": [1, 2] * 50, "y": [0, 1] * 50}).to_csv(tmp_path / "f.csv", index=False)
    options = ["--data", str(tmp_path / "f.csv"), "--target", "y", "--model", "lgbm", "--results", str(tmp_path)]
    assert train(options) == 0
    assert "column 'id' looks like a row number; leave it out with --drop-cols id" in capsys.readouterr().err


def test_scores_of_a_known_case() -> None:
    codes = np.array([0, 0, 1, 1])
    positive = np.array([0.1, 0.6, 0.6, 0.9])
    scores = score(codes, np.column_stack([1 - positive, positive]))
    assert scores.roc_auc == pytest.approx(3.5 / 4)  # one of four pairs is a tie
    assert scores.accuracy == pytest.approx(0.75)


def _split(results: Path, dataset: str, part: str) -> pd.DataFrame:
    return pd.read_parquet(results / "splits" / dataset / f"{part}.parquet")
