from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from swarm_cli import matrix
from swarm_cli.matrix import Plan, make_plan, parse_arguments
from swarm_cli.processes import CommandError
from swarm_cli.runs import format_table, format_us


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(matrix, "OWN_SPLITS", tmp_path / "own")
    for folder in ("results/splits/diabetic", "results/splits/UNSW_NB15_merged", "own/mine"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "X_test.parquet").touch()
    return tmp_path / "results"


def options(results: Path, *arguments: str) -> argparse.Namespace:
    parsed, _ = parse_arguments(["http://h", "5", "1", "1s", "--results", str(results), *arguments])
    return parsed


def test_without_a_terminal_all_datasets_and_models_run_once(results: Path) -> None:
    plan = make_plan(options(results), None)
    assert plan == Plan(("diabetic", "UNSW_NB15_merged", "mine"), ("catboost", "lgbm", "xgboost"), 1)


def test_on_a_terminal_it_asks_and_an_empty_answer_is_the_default(results: Path) -> None:
    questions: list[str] = []
    answers = iter(["mine", "", "3"])

    def ask(question: str) -> str:
        questions.append(question)
        return next(answers)

    plan = make_plan(options(results), ask)
    assert plan == Plan(("mine",), ("catboost", "lgbm", "xgboost"), 3)
    assert [question.split(" ")[0] for question in questions] == ["dataset", "model", "runs"]


def test_what_an_option_says_is_not_asked(results: Path) -> None:
    plan = make_plan(
        options(results, "--dataset", "mine,diabetic", "--model", "lgbm", "--runs", "2"),
        lambda question: pytest.fail(question),
    )
    assert plan == Plan(("mine", "diabetic"), ("lgbm",), 2)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--dataset", "nope"], ["Unknown dataset: nope", "diabetic, UNSW_NB15_merged, mine"]),
        (["--runs", "0"], ["The number of runs is '0'", "at least 1"]),
        (["--runs", "many"], ["'many'"]),
    ],
)
def test_a_wrong_choice_is_named_with_what_there_is(results: Path, arguments: list[str], words: list[str]) -> None:
    with pytest.raises(CommandError) as caught:
        make_plan(options(results, *arguments), None)
    for word in words:
        assert word in str(caught.value)


def test_no_data_names_both_places_and_the_command_that_makes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matrix, "OWN_SPLITS", tmp_path / "own")
    with pytest.raises(CommandError) as caught:
        make_plan(options(tmp_path / "empty"), None)
    for word in (str(tmp_path / "own"), str(tmp_path / "empty" / "splits"), "scripts/start.sh train"):
        assert word in str(caught.value)


def test_what_stands_behind_two_dashes_goes_to_locust() -> None:
    parsed, for_locust = parse_arguments(["http://h", "5", "1", "1s", "DEBUG", "--", "--processes", "0"])
    assert parsed.log_level == "DEBUG"
    assert for_locust == ["--processes", "0"]


def test_latencies_are_shown_in_the_unit_that_reads_best() -> None:
    assert [format_us(value) for value in (None, 412.4, 3210.0, 1_234_000.0)] == ["-", "412 µs", "3.21 ms", "1.234 s"]


def test_a_table_has_its_columns_aligned() -> None:
    assert format_table([("name", "n"), ("a", "10"), ("long name", "7")]).splitlines() == [
        "name       n",
        "---------  --",
        "a          10",
        "long name   7",
    ]
