"""The server's own metrics: what is taken of Prometheus text, rates of counters, gaps."""

from __future__ import annotations

import pytest

from inference_swarm.errors import SettingProblem
from inference_swarm.export.server import server_csv, server_metrics, server_plots
from inference_swarm.judge.capacity.evidence import Finding
from inference_swarm.judge.capacity.result import CapacityResult, StepRow
from inference_swarm.judge.capacity.search import Outcome
from inference_swarm.judge.capacity.steps import Part
from inference_swarm.measure.server_metrics import Choice, Reading, ServerSeries, parse_choice, read_metrics

# As Triton 2.x says it, shortened.
TRITON = """\
# HELP nv_inference_count Number of inferences performed
# TYPE nv_inference_count counter
nv_inference_count{model="iris",version="1"} 300
nv_inference_count{model="fraud",version="1"} 41
# HELP nv_inference_pending_request_count Instantaneous number of pending requests awaiting execution
# TYPE nv_inference_pending_request_count gauge
nv_inference_pending_request_count{model="iris",version="1"} 4
nv_inference_pending_request_count{model="fraud",version="1"} 3
# TYPE nv_cpu_utilization gauge
nv_cpu_utilization 0.37
"""


def titles(text: str, *wanted: str) -> dict[str, float]:
    return {one.title: one.value for one in read_metrics(text, [parse_choice(text) for text in wanted])}


def test_known_metrics_are_taken_and_their_labels_added_up() -> None:
    assert titles(TRITON) == {"queue": 7.0, "CPU": 37.0}
    counters = {one.title: one.is_counter for one in read_metrics(TRITON, [parse_choice("nv_inference_count")])}
    assert counters == {"nv_inference_count": True, "queue": False, "CPU": False}  # by its type, not its name


def test_others_are_taken_by_name_and_labels() -> None:
    found = titles(TRITON, "nv_inference_count", "nv_inference_count[model=iris, version=1]", "missing")
    assert found["nv_inference_count"] == 341
    assert found["nv_inference_count[model=iris, version=1]"] == 300
    assert "missing" not in found
    assert parse_choice(' a:b[x="y"]') == Choice('a:b[x="y"]', "a:b", labels=(("x", "y"),))
    for wrong in ("", "1a", "a[b]", "a b"):
        with pytest.raises(SettingProblem, match="--server-metric is"):
            parse_choice(wrong)


def test_counters_become_rates_and_one_that_begins_again_is_a_gap() -> None:
    series = ServerSeries()
    for at_s, cpu_s in ((0.0, 10.0), (1.0, 10.5), (3.0, 12.5), (4.0, 0.1), (5.0, 1.1)):
        series.add(at_s, {"a": read_metrics(f"process_cpu_seconds_total {cpu_s}\n", ())})
    assert series.units == {"CPU": "% of a core"}
    assert [(at_s, round(row["CPU"], 6)) for at_s, row in series.rows] == [(1.0, 50.0), (3.0, 100.0), (5.0, 100.0)]


def test_several_servers_are_added_up_and_each_has_its_own_counter() -> None:
    series = ServerSeries()
    for at_s in (0.0, 1.0):
        series.add(
            at_s,
            {
                "a": [Reading("CPU", "%", 100 * at_s, True), Reading("queue", "", 2.0, False)],
                "b": [Reading("CPU", "%", 7 + 20 * at_s, True), Reading("queue", "", 3.0, False)],
            },
        )
    assert series.rows[-1] == (1.0, {"CPU": 120.0, "queue": 5.0})


def test_what_is_no_metrics_is_refused() -> None:
    with pytest.raises(ValueError, match=r"."):
        read_metrics("<html>not found</html>", ())


def step(number: int, load: float, part: Part = Part.CLOSE) -> StepRow:
    return StepRow(number, part, load, 10.0 * number, 10.0 * number + 1, 10.0 * number + 9, Finding.MET)


def test_over_load_the_limit_of_the_servers_cpu_is_a_sentence_and_failures_are_one() -> None:
    series = ServerSeries(units={"CPU": "% of a core"})
    for number, cpu in ((1, 20.0), (2, 60.0), (3, 95.0), (4, 97.0)):
        series.rows += [(10.0 * number + second, {"CPU": cpu}) for second in range(1, 9)]
    series.fail("http://x/metrics: refused")
    steps = (step(1, 400.0), step(2, 1200.0), step(3, 1800.0), step(4, 2600.0))
    capacity = CapacityResult(Outcome.FOUND, False, 1800.0, None, None, False, "", (), steps, 2)
    document = server_metrics(series, capacity)
    assert document is not None
    assert document["sentences"] == [
        "The server's CPU was at 97 % of a core from 1,800/s on.",
        "The server's metrics could not be read 1 time: http://x/metrics: refused",
    ]
    assert [one["means"]["CPU"] for one in document["by_step"]] == [20.0, 60.0, 95.0, 97.0]
    assert len(server_plots(document, 60.0)) == 2
    assert server_csv(series).splitlines()[:2] == ["at_s,CPU (% of a core)", "11.000,20"]


def test_without_a_search_there_is_only_time() -> None:
    series = ServerSeries()
    series.add(1.0, {"a": [Reading("queue", "", 2.0, False)]})
    document = server_metrics(series, None)
    assert document is not None
    assert (document["metrics"]["queue"]["mean"], document["by_step"], document["sentences"]) == (2.0, [], [])
    assert server_metrics(None, None) is None
