"""report.html: verdict first, everything in one file, nothing of what others wrote becomes markup."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

from sample_runs import make_run, typical_run
from sample_runs import rendered as render

from inference_swarm.export.summary import build_summary
from inference_swarm.measure.snapshot import WorkerHealth
from inference_swarm.run.course import Change
from inference_swarm.run.run import DataRecord


class _Texts(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append(data.strip())


def texts(page: str) -> list[str]:
    parser = _Texts()
    parser.feed(page[page.index("<main>") :])
    return parser.texts


def test_the_verdict_and_the_objectives_come_first() -> None:
    found = texts(render(make_run(slo=("p99<1ms", "rate>=1"))))
    verdict, objectives, metrics = (found.index(word) for word in ("Objective missed", "Objectives", "Metrics"))
    assert verdict < objectives < metrics
    assert found[objectives + 1 : metrics][6:8] == ["p99<1ms", "fail"]


def test_the_order_is_that_of_the_tab() -> None:
    found = texts(render(typical_run()))
    order = [
        "Passed", "Objectives", "Metrics", "Throughput", "Latency", "Requests by latency and time",
        "Requests in flight", "Failures by kind", "Server: CPU", "Failures", "Times",
        "The server's own metrics", "Workers", "Data",
    ]  # fmt: skip
    places = [found.index(words) for words in order]
    assert places == sorted(places)


def test_one_line_identifies_the_run() -> None:
    page = render(typical_run())
    line = re.sub("<[^>]*>", "", page[page.index("</h1>") : page.index("</header>")]).strip()
    assert line.startswith(
        "http://127.0.0.1:8000 · healthcare-dataset-stroke (300 rows, fingerprint f00d) · xgboost · invocation · "
        "2,667/s wanted (poisson arrivals), 50 users on 8 workers · 2023-11-14T"
    )
    assert line.endswith(" · 1:35")


def test_a_failure_has_its_first_and_last_time_and_an_example() -> None:
    found = texts(render(typical_run()))
    at = found.index("status: 500 Oops")
    assert found[at + 1 : at + 6] == [
        "960", "0.0 s", "89.9 s", '{"detail": "the model is being loaded, try again later"}', "row 17",
    ]  # fmt: skip


def test_rows_are_counted_only_where_requests_have_several() -> None:
    assert "rows/s" not in texts(render(make_run()))
    assert "rows/s" in texts(render(make_run(batch_size=4)))


def test_a_sentence_under_the_verdict_concludes() -> None:
    found = texts(render(make_run(slo=("p99<1s", "rate>=1"))))
    sentence = found[found.index("Passed") + 1]
    assert sentence == (
        "20,000 requests in 30 s: 667/s, half within 4.99 ms, 99 % within 10 ms, none failed; both objectives were met."
    )


def test_an_open_load_has_its_requests_in_flight_where_a_closed_one_has_its_users() -> None:
    open_load = texts(render(make_run(arrivals=(20_000, 666.0), arrival="constant", rate_rps=666.0)))
    assert "Requests in flight" in open_load
    assert "Users" not in open_load
    closed = texts(render(make_run()))
    assert "Users" in closed
    assert "Requests in flight" not in closed


def test_an_objective_is_a_line_in_the_plot_that_it_is_about() -> None:
    page = render(make_run(slo=("p99<1s", "rate>=1")))
    throughput, latency = page.split("<figure")[1:3]
    assert "rate&gt;=1<" in throughput
    assert "p99&lt;1s<" not in throughput
    assert "p99&lt;1s<" in latency
    assert "rate&gt;=1<" not in latency


def test_nothing_is_loaded_from_anywhere() -> None:
    page = render(make_run(arrivals=(20_000, 666.0), arrival="constant", rate_rps=666.0))
    page = page.replace('xmlns="http://www.w3.org/2000/svg"', "")
    # without it a browser asks the server for /favicon.ico
    assert page.count('<link rel="icon" href="data:,">') == 1
    page = page.replace('<link rel="icon" href="data:,">', "")
    assert not re.search(r"<script|<link|<img|@import|url\((?!#)|\bsrc=|xlink:href=\"http|href=\"http", page)
    assert page.count("<svg") == 5


def test_colours_are_variables_for_both_schemes() -> None:
    page = render(make_run())
    assert "prefers-color-scheme: dark" in page
    assert "var(--line-1)" in page
    for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        assert not re.search(r"(fill|stroke): *#[0-9a-f]{3}", svg)


def test_texts_of_others_are_escaped() -> None:
    evil = "<script>alert(1)</script>"
    page = render(make_run(failed=1, failure_text=evil, explanation=evil, name=evil, dataset_name=evil))
    assert "<script" not in page
    assert page.count("&lt;script&gt;alert(1)") >= 4


def test_a_bound_generator_and_failures_are_shown() -> None:
    found = " ".join(texts(render(make_run(failed=5, health=WorkerHealth(files_exhausted=3)))))
    assert "Generator-bound" in found
    assert "the load generator was the bottleneck" in found
    assert "ran out of file descriptors 6 times" not in found  # counted by worker and report
    assert "Failures by kind" in found
    assert "latency of failures" in found


def test_many_workers_in_the_same_trouble_are_a_few_sentences() -> None:
    run = make_run(workers=40, per_interval=10, intervals=2, health=WorkerHealth(cpu_percent=99.0))
    found = " ".join(texts(render(run)))
    assert found.count("used 99 % of a core") == 10
    assert "30 more such sentences are in summary.json." in found
    assert len(build_summary(run)["self_check"]) == 40


def test_a_run_without_a_request_has_a_report_too() -> None:
    found = texts(render(make_run(intervals=1, per_interval=0)))
    assert "Nothing sent" in found
    assert "no request was sent" in found


def test_settings_have_their_sources_and_data_their_fingerprint() -> None:
    found = texts(render(make_run()))
    at = found.index("host")
    assert found[at : at + 3] == ["host", "http://127.0.0.1:8000", "command line"]
    assert "f00d" in found


def test_the_first_row_is_shown_as_a_request_and_what_was_decided_about_the_data_is_said() -> None:
    data = DataRecord("in/<x>.parquet", 300, 5, "f00d", ["'a' <b> is sent as text"], "POST /<p>", "curl '<c>'")
    page = render(replace(make_run(), data=data))
    assert "<pre>POST /&lt;p&gt;</pre>" in page
    assert "<pre>curl &#39;&lt;c&gt;&#39;</pre>" in page
    assert "<li>&#39;a&#39; &lt;b&gt; is sent as text</li>" in page
    assert "The request of row 0" not in render(make_run())


def test_what_may_be_missing_and_what_was_changed_is_said() -> None:
    html = render(make_run(possibly_uncounted=40, possible_duplicates=2, changes=(Change(12.34, "80 users"),)))
    assert "<dt>possibly uncounted</dt><dd>40</dd>" in html
    assert "<dt>possible duplicates</dt><dd>2</dd>" in html
    assert "<p>Changed at 12.3 s: 80 users.</p>" in html
    assert "possibly" not in render(make_run())


def test_stages_have_a_table_of_their_own() -> None:
    found = texts(render(make_run(stages="12s@10,18s@20")))
    at = found.index("Stages")
    assert found[at + 1 : at + 6] == ["stage", "from", "to", "wanted", "rate"]
    assert "20 users" in found
    assert "Stages" not in texts(render(make_run()))
