"""summary.json: verdict, objectives, arrivals and the generator's marks."""

from __future__ import annotations

import json

from sample_runs import make_run

from inference_swarm.export.summary import build_summary, run_table_row
from inference_swarm.measure.snapshot import WorkerHealth


def test_verdict_objectives_and_measured_values_stand_side_by_side() -> None:
    summary = build_summary(make_run(slo=("p99<1ms", "rate>=1", "p99.99<1s")))
    assert (summary["verdict"], summary["exit_code"]) == ("objective missed", 3)
    missed, met, thin = summary["objectives"]
    assert (missed["outcome"], missed["bound"]) == ("fail", 1000.0)
    assert missed["measured"] == summary["latency_us"]["p99"]
    assert (met["outcome"], round(met["measured"], 3)) == ("pass", summary["rate_rps"])
    assert (thin["outcome"], thin["samples"], thin["samples_needed"]) == ("incomplete", 20_000, 66_381)


def test_what_was_not_measured_is_null_and_the_document_is_json() -> None:
    summary = build_summary(make_run(slo=("p99{POST /none}<1ms",)))
    assert summary["objectives"][0]["measured"] is None
    json.dumps(summary, allow_nan=False)


def test_an_open_loads_arrivals_are_accounted_for() -> None:
    summary = build_summary(make_run(arrivals=(20_100, 670.0), arrival="constant", rate_rps=670.0))
    assert summary["arrivals"] == {
        "wanted": 20_100, "wanted_rps": 670.0, "sent": 20_000, "late": 0, "dropped": 0, "unaccounted": 100,
    }  # fmt: skip
    assert build_summary(make_run())["arrivals"] is None


def test_a_run_that_the_generator_bound_is_marked() -> None:
    summary = build_summary(make_run(health=WorkerHealth(cpu_percent=99.0)))
    assert summary["generator_bound"] is True
    assert "used 99 % of a core" in summary["self_check"][0]["sentence"]
    assert summary["by_worker"]["worker-0"]["worst"]["cpu_percent"] == 99.0


def test_failures_are_listed_by_kind_and_by_text_most_frequent_first() -> None:
    texts = {"status: 500 Oops": 3, "status: 404 Not Found": 17}
    summary = build_summary(make_run(failed=1, failure_texts=texts))
    assert summary["errors"] == {"status": 20}
    assert [entry["count"] for entry in summary["failure_texts"]] == [17, 3]
    assert (summary["verdict"], summary["exit_code"]) == ("requests failed", 1)


def test_the_run_table_keeps_its_columns() -> None:
    row = run_table_row(build_summary(make_run(dataset_name="d", model="m", pred_method="predict")))
    assert list(row) == [
        "run", "dataset", "model", "method", "users", "requests", "failures", "workers", "rate_rps", "p50_us",
        "p95_us", "p99_us",
    ]  # fmt: skip
