from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from inference_swarm.cli import matrix
from inference_swarm.cli.matrix import Plan, make_plan, parse_arguments
from inference_swarm.cli.processes import CommandError
from inference_swarm.cli.runs import RunResult, format_table, format_us


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


@pytest.mark.parametrize(
    ("plan", "duration", "words"),
    [
        (
            Plan(("a", "b", "c", "d", "e"), ("x", "y", "z"), 1),
            "2m",
            "15 runs: 5 datasets × 3 models × 1 run, 2m each; at least 30 min in all",
        ),
        (Plan(("a",), ("x",), 1), "90", "1 run: 1 dataset × 1 model × 1 run, 90 each; at least 1 min 30 s in all"),
        (
            Plan(("a",), ("x", "y"), 9),
            "1h30m",
            "18 runs: 1 dataset × 2 models × 9 runs, 1h30m each; at least 27 h in all",
        ),
        (Plan(("a",), ("x",), 2), "soon", "2 runs: 1 dataset × 1 model × 2 runs, soon each"),
    ],
)
def test_it_says_how_many_runs_there_are_and_how_long_they_take(plan: Plan, duration: str, words: str) -> None:
    assert plan.announcement(duration) == words


def test_without_a_terminal_it_is_said_before_the_first_run(
    results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said_first: list[str] = []

    def run_matrix(*_: object) -> list[RunResult]:
        said_first.append(capsys.readouterr().out)
        return [RunResult(0, results, None)]

    monkeypatch.setattr(matrix, "run_matrix", run_matrix)
    arguments = ["http://h", "5", "1", "10s", "--results", str(results), "--models", "lgbm,xgboost"]
    assert matrix.main(arguments) == 0
    assert said_first == [
        "6 runs: 3 datasets × 2 models × 1 run, 10s each; at least 1 min in all\nFewer: --datasets, --models, --runs.\n"
    ]


def test_several_datasets_and_models_are_chosen_in_the_plural_too(results: Path) -> None:
    plan = make_plan(options(results, "--datasets", "mine", "--models", "lgbm,xgboost"), None)
    assert plan == Plan(("mine",), ("lgbm", "xgboost"), 1)


def test_arguments_after_two_dashes_are_passed_to_locust() -> None:
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
