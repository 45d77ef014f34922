"""Two saved runs: what differs significantly, and what else was not the same."""

from __future__ import annotations

from pathlib import Path

from sample_runs import make_run, save_run

from inference_swarm.export.comparison import compare_saved, comparison_text, conclusion, matrix_rows
from inference_swarm.export.comparison_page import comparison_page
from inference_swarm.export.saved_run import SavedRun, read_run


def saved(tmp_path: Path, name: str, **run: object) -> SavedRun:
    return read_run(save_run(make_run(name=name, intervals=12, **run), tmp_path / name))  # type: ignore[arg-type]


def test_a_slower_run_is_told_by_its_times_and_not_by_its_rate(tmp_path: Path) -> None:
    one, other = saved(tmp_path, "one", median_ms=5.0), saved(tmp_path, "other", median_ms=8.0, seed=1)
    words = conclusion(compare_saved(one, other))
    assert words.startswith("B against A: mean ")
    assert "p95 " in words
    assert "higher" in words
    assert "rate" not in words
    assert "lower" not in words


def test_equal_runs_differ_in_nothing(tmp_path: Path) -> None:
    compared = compare_saved(saved(tmp_path, "one"), saved(tmp_path, "other", seed=1))
    assert conclusion(compared) == "No significant difference."
    assert compared.differences == ()


def test_short_runs_say_that_they_are_too_short(tmp_path: Path) -> None:
    short = read_run(save_run(make_run(name="short", intervals=3), tmp_path / "short"))
    assert "at least 8 intervals" in conclusion(compare_saved(short, short))


def test_what_was_not_the_same_is_noted(tmp_path: Path) -> None:
    other = saved(tmp_path, "other", model="lgbm", failed=1, workers=3)
    text = comparison_text(compare_saved(saved(tmp_path, "one", model="xgboost"), other))
    assert "model differs: 'xgboost' and 'lgbm'" in text
    assert "workers differ: 2 and 3" in text
    assert "B has 36 failed requests" in text


def test_the_page_says_the_same_and_needs_nothing_else(tmp_path: Path) -> None:
    compared = compare_saved(saved(tmp_path, "one"), saved(tmp_path, "other", median_ms=9.0))
    page = comparison_page(compared)
    assert conclusion(compared) in page
    assert page.count("<svg") == 1
    assert "<script" not in page


def test_the_matrix_compares_models_on_the_same_data(tmp_path: Path) -> None:
    runs = [
        saved(tmp_path, "1", dataset_name="d", model="catboost"),
        saved(tmp_path, "2", dataset_name="d", model="lgbm", median_ms=8.0),
        saved(tmp_path, "3", dataset_name="e", model="lgbm"),
    ]
    ((dataset, models, words),) = matrix_rows(runs)
    assert (dataset, models) == ("d", "lgbm against catboost")
    assert "p50 60 % higher" in words or "p50 6" in words


def test_a_run_has_the_same_values_here_as_in_its_report(tmp_path: Path) -> None:
    one, other = saved(tmp_path, "one"), saved(tmp_path, "other", seed=1)
    one.summary["rate_rps"] = 1932.0  # its intervals say 666.7/s
    compared = {metric.metric: metric for metric in compare_saved(one, other).metrics}
    assert compared["rate"].one.value == 1932.0
    assert compared["rate"].ratio.value == other.summary["rate_rps"] / 1932.0
    for name in ("mean", "p50", "p99"):
        assert compared[name].other.value == other.summary["latency_us"][name]
