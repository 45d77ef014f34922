"""The line while a run goes on, and the table at its end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from sample_runs import make_run

from inference_swarm.export.moment import Moment, Window
from inference_swarm.export.summary import build_summary
from inference_swarm.export.terminal import closing_table, load_words, progress_line
from inference_swarm.measure.snapshot import WorkerHealth
from inference_swarm.run.course import Change

MOMENT = Moment(12.4, 60.0, 50, 2, Window(6.0, 9.0, 1234.5, 1234.5, 4230.0, 51_700.0), 15_000, 3)


def test_the_line_has_users_rate_times_errors_and_time_left() -> None:
    assert progress_line(MOMENT) == (
        "50 users on 2 workers  6–9 s: 1,235/s  p50 4.23 ms  p99 51.7 ms  15,000 requests  3 failed  48 s left"
    )


def test_the_line_has_draining_users_apart_from_those_that_run() -> None:
    assert progress_line(replace(MOMENT, draining=25)).startswith("50 users on 2 workers, 25 draining  6–9 s: ")


def test_the_line_has_rows_where_requests_have_several() -> None:
    moment = replace(MOMENT, window=Window(6.0, 9.0, 1234.5, 39_504.0, 4230.0, 51_700.0))
    assert "  6–9 s: 1,235/s (39,504 rows/s)  p50" in progress_line(moment)


def test_without_an_end_the_line_says_how_long_it_has_been() -> None:
    endless = Moment(3725.0, None, 1, 1, Window(3720.0, 3723.0, 0.0, 0.0), 0, 0, abandoned=2, dropped=7)
    assert progress_line(endless) == (
        "1 user on 1 worker  3720–3723 s: 0/s  p50 –  p99 –  0 requests  0 failed  "
        "2 abandoned  7 dropped  1:02:05 so far"
    )


def test_in_a_warm_up_the_line_says_so() -> None:
    assert progress_line(Moment(2.0, 60.0, 5, 1, None, 700, 0, warm_up_left_s=8.0)) == (
        "5 users on 1 worker  warm-up for 8 s more  700 requests  0 failed  58 s left"
    )


LONG = replace(
    MOMENT, draining=25, abandoned=2, dropped=1234, search="step 5 of a search: 300/s, between 200/s and 400/s"
)


def test_a_terminal_of_80_columns_has_what_matters_on_one_line() -> None:
    assert progress_line(MOMENT, 79) == ("50 users  1,235/s  p50 4.23 ms  p99 51.7 ms  3 failed  48 s left")
    assert progress_line(MOMENT, 90) == (
        "50 users  6–9 s: 1,235/s  p50 4.23 ms  p99 51.7 ms  15,000 requests  3 failed  48 s left"
    )
    assert progress_line(LONG, 79) == "50 users  1,235/s  p99 51.7 ms  3 failed  2 abandoned  1,234 dropped  48 s left"
    assert progress_line(LONG, 200) == progress_line(LONG)


@pytest.mark.parametrize("columns", range(10, 120))
def test_the_line_is_never_wider_than_the_terminal(columns: int) -> None:
    for moment in (MOMENT, LONG):
        line = progress_line(moment, columns)
        assert len(line) <= columns
        assert line.startswith("50 users"[:columns])


def table(tmp_path: Path, **run: object) -> list[str]:
    return closing_table(build_summary(make_run(**run)), tmp_path).splitlines()  # type: ignore[arg-type]


def test_the_verdict_is_said_with_what_was_missed(tmp_path: Path) -> None:
    lines = table(tmp_path, slo=("max<1us", "rate>=1"))
    assert "pass       rate>=1: measured 666.7/s" in lines
    (verdict,) = [line for line in lines if line.startswith("verdict")]
    assert verdict.startswith("verdict    OBJECTIVE MISSED (max<1us: fail, measured ")


def test_a_passed_run_says_so_and_where_its_files_are(tmp_path: Path) -> None:
    (tmp_path / "report.html").touch()
    assert table(tmp_path)[-3:] == [
        "verdict    passed", f"report     {tmp_path / 'report.html'}", f"files      {tmp_path}/",
    ]  # fmt: skip


def test_failures_have_their_kinds_and_texts(tmp_path: Path) -> None:
    lines = table(tmp_path, failed=10, failure_text="status: 404 Not Found", explanation="no such model")
    assert "requests   20,000, 200 failed (1 %: status 200)" in lines
    assert "           200 × status: 404 Not Found, from 0.0 s to 29.9 s: no such model (row 17)" in lines


def test_batches_have_their_rate_in_rows_and_the_rows_of_failures(tmp_path: Path) -> None:
    lines = table(tmp_path, failed=10, explanation="Row 3 lacks 'age'", batch_size=32)
    assert "           200 × status: 500 Oops, from 0.0 s to 29.9 s: Row 3 lacks 'age' (rows 17–48)" in lines
    assert "rate       667/s (21,333 rows/s)" in lines
    assert any(line.startswith("failed   ") for line in lines)


def test_a_bound_generator_is_said_loudly(tmp_path: Path) -> None:
    lines = table(tmp_path, health=WorkerHealth(ports_exhausted=1))
    assert any(line.startswith("verdict    GENERATOR-BOUND (the load generator was the bottleneck") for line in lines)
    assert any("ran out of local ports" in line for line in lines)


def test_an_open_load_shows_service_time_and_what_became_of_its_arrivals(tmp_path: Path) -> None:
    lines = table(tmp_path, arrivals=(20_100, 670.0), arrival="poisson", rate_rps=670.0)
    assert " at 670/s wanted (poisson arrivals), " in lines[0]
    assert any(line.startswith("service  ") for line in lines)
    assert "rate       667/s of 670/s wanted; of 20,100 arrivals 0 late, 0 dropped, 100 unaccounted for" in lines


def test_what_has_no_outcome_and_what_was_left_out_are_said(tmp_path: Path) -> None:
    lines = table(tmp_path, abandoned=3, warm_up_s=10.0, interrupted_because="SIGTERM after 8 s of 60")
    assert "requests   20,000, 0 failed (0 %), 6 abandoned" in lines
    assert "left out   the first 10 s: 123 requests, 0 failed; they are in no other metric" in lines
    assert (
        "verdict    INTERRUPTED (SIGTERM after 8 s of 60; "
        "6 requests were abandoned: sent, and without a whole response when the run ended)"
    ) in lines


def test_what_may_be_missing_or_sent_twice_is_said_only_if_there_is_any(tmp_path: Path) -> None:
    run = make_run(possibly_uncounted=40, possible_duplicates=2, changes=(Change(12.34, "80 users at 10 a second"),))
    lines = closing_table(build_summary(run), tmp_path).splitlines()
    assert "requests   20,000, 0 failed (0 %), 2 possible duplicates, 40 possibly uncounted" in lines
    assert "changed    at 12.3 s: 80 users at 10 a second" in lines
    unknown = closing_table(build_summary(make_run(possibly_uncounted=None)), tmp_path).splitlines()
    assert "requests   20,000, 0 failed (0 %), an unknown number possibly uncounted" in unknown
    assert not [line for line in table(tmp_path) if "possibly" in line or "changed" in line]


@pytest.mark.parametrize(("after", "is_said"), [(20_000, True), (1001, True), (1000, False)])
def test_a_rate_from_which_much_is_missing_says_so(tmp_path: Path, after: int, is_said: bool) -> None:
    run = make_run()
    next(iter(run.totals.names.values())).succeeded_after = after
    (rate,) = [line for line in closing_table(build_summary(run), tmp_path).splitlines() if line.startswith("rate")]
    words = f"; {after:,} of 20,000 requests ended after the load, and are in no rate"
    assert rate.endswith(words) == is_said
    assert ("after the load" in rate) == is_said


def test_stages_are_told_one_by_one(tmp_path: Path) -> None:
    lines = table(tmp_path, stages="12s@10,18s@20")
    at = next(number for number, line in enumerate(lines) if line.startswith("stage"))
    assert lines[at].split() == [
        "stage",
        "from",
        "to",
        "wanted",
        "rate",
        "p50",
        "p90",
        "p99",
        "max",
        "failed",
        "verdict",
    ]
    assert lines[at + 2].split()[:6] == ["2", "12", "s", "30", "s", "20"]


def test_numbers_are_shown_even_if_no_file_could_be_written() -> None:
    lines = closing_table(build_summary(make_run()), None).splitlines()
    assert lines[-1] == "files      none: they could not be written"
    assert any(line.startswith("requests   ") for line in lines)


def test_one_user_on_one_worker_is_said_in_the_singular() -> None:
    assert load_words({"workers": 1, "users": 1, "arrivals": None}) == "1 user on 1 worker"
    assert load_words({"workers": 2, "users": 50, "arrivals": None}) == "50 users on 2 workers"
