"""All pages: the same figures on each, nothing serious for axe-core, by keyboard, and what they ask of the master."""

from __future__ import annotations

import itertools
import json
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from recording_server import answer_bytes
from swarm_processes import wait_until
from test_browser import Watched, about, metric, number, pick, violations
from web_swarm import WebSwarm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "export"))

from sample_runs import make_run, save_run, typical_run

from inference_swarm.export.formats import format_count, format_rate, format_seconds, format_us
from inference_swarm.web.runs import SUMMARY

pytestmark = pytest.mark.processes

PERCENTILES = ("p50", "p75", "p90", "p95", "p99", "p99_9", "p99_99", "mean", "max")
REPORT_PERCENTILES = ("p50", "p75", "p90", "p95", "p99", "p99_9", "p99_99", "max", "mean")
OPEN_LOAD = {"arrival": "poisson", "rate_rps": "200", "dataset_name": "alpha", "model": "lgbm"}
GENTLE_LOAD = {**OPEN_LOAD, "rate_rps": "30"}  # where a run is only to be there


def fail_every_tenth(web: WebSwarm) -> None:
    web.target.delay_s = 0.004
    web.target.answer = lambda _body: answer_bytes(503 if web.target.count % 10 == 0 else 200)


def texts_of(page: Any, table: str, row: str) -> list[str]:
    head = page.get_by_role("rowheader", name=row, exact=True)
    found: list[str] = (
        page.get_by_role("table", name=table).locator("tr").filter(has=head).locator("td").all_inner_texts()
    )
    return found


def test_tab_list_of_runs_report_and_summary_say_the_same(web: WebSwarm, browser: Any) -> None:
    fail_every_tenth(web)
    web.start()
    web.wait_for_workers()
    summary = web.run_once(seconds=4, slo="p99<1s; error_rate<1%", **OPEN_LOAD)
    assert summary["failures"] > 20
    watched = Watched(browser, 1400)
    page = watched.page
    page.goto(f"{web.url}/swarm/")
    wait_until(lambda: about(page, "Run") == summary["run"], 20, "the run on the page")
    wait_until(lambda: "so far" not in page.locator(".verdict strong").inner_text(), 10, "the verdict")

    requests, failures = format_count(summary["requests"]), format_count(summary["failures"])
    assert page.locator(".verdict strong").inner_text().startswith(summary["verdict"])
    tiles = {name: metric(page, name) for name in ("Requests", "Failures", "Late", "Dropped", "Abandoned", "Time")}
    assert tiles == {
        "Requests": requests, "Failures": failures, "Late": format_count(summary["late"]),
        "Dropped": format_count(summary["dropped"]), "Abandoned": format_count(summary["abandoned"]),
        "Time": format_seconds(summary["duration_s"]),
    }  # fmt: skip
    assert number(metric(page, "Requests/s in all")) == pytest.approx(summary["rate_rps"], abs=0.5)
    assert metric(page, "Failures by kind") == f"status {summary['errors']['status']:,}"
    times = {
        label: texts_of(page, "Latency and service time", label)
        for label in ("Latency", "Service time", "Latency of failures")
    }
    assert times == {
        label: [format_us(summary[key][name]) for name in PERCENTILES]
        for label, key in (
            ("Latency", "latency_us"), ("Service time", "service_us"), ("Latency of failures", "failed_latency_us"),
        )
    }  # fmt: skip
    objectives = [texts_of(page, "Objectives", result["objective"])[:3] for result in summary["objectives"]]
    assert objectives == [
        [result["outcome"], result["measured_text"], result["bound_text"]] for result in summary["objectives"]
    ]

    runs = page.get_by_role("table", name="Runs").locator("tbody tr")
    wait_until(lambda: "report.html" in (runs.get_by_role("link").first.get_attribute("href") or ""), 20, "the report")
    cells = runs.first.locator("td").all_inner_texts()
    assert cells[1:6] == [
        web.target.url, format_seconds(summary["duration_s"]), format_rate(summary["rate_rps"]),
        format_us(summary["latency_us"]["p99"]), failures,
    ]  # fmt: skip
    assert cells[-1].startswith(summary["verdict"])

    page.goto(runs.get_by_role("link").first.get_attribute("href"))
    shown = dict(zip(page.locator("dt").all_inner_texts(), page.locator("dd").all_inner_texts(), strict=True))
    assert shown["requests"] == requests
    assert shown["failed"].split(" (")[0] == failures
    assert shown["requests/s"] == format_rate(summary["rate_rps"])
    assert shown["p99 latency"] == format_us(summary["latency_us"]["p99"])
    rows = page.get_by_role("region", name="Times").locator("tbody tr")
    assert rows.nth(1).locator("td").all_inner_texts() == [
        format_us(summary["latency_us"][name]) for name in REPORT_PERCENTILES
    ]
    failed = page.get_by_role("region", name="Failures with an example").locator("tbody tr").nth(1)
    assert failed.locator("td").all_inner_texts()[:3] == [
        format_count(summary["failed"][0]["count"]), f"{summary['failed'][0]['first_s']:.1f} s",
        f"{summary['failed'][0]['last_s']:.1f} s",
    ]  # fmt: skip
    document = json.loads(web.get(f"/swarm/runs/{summary['run']}/{SUMMARY}"))
    assert (document["requests"], document["latency_us"]) == (summary["requests"], summary["latency_us"])
    assert watched.errors == []


def test_axe_finds_nothing_serious_on_any_page(web: WebSwarm, browser: Any) -> None:
    for name, seed in (("first", 1), ("second", 2)):
        folder = web.swarm.results / "runs" / name
        save_run(make_run(name=name, intervals=30, seed=seed, failed=seed, slo=("p99<1ms", "rate>=1")), folder)
        (folder / "report.html").write_text(rendered_typical(), encoding="utf-8")
    fail_every_tenth(web)
    web.start()
    web.wait_for_workers()
    light, dark = (Watched(browser, 1400, color_scheme=scheme).page for scheme in ("light", "dark"))
    assert_start_form_is_well(light, web)
    assert_start_form_is_well(dark, web, "color-contrast")
    assert web.start_run(slo="p99<1s; error_rate<1%", **GENTLE_LOAD)["success"] is True
    assert_all_pages_are_well(light, web)
    assert_all_pages_are_well(dark, web, "color-contrast")  # all else is the same in the dark
    web.post("/stop", {})


def assert_start_form_is_well(page: Any, web: WebSwarm, *only: str) -> None:
    """With Locust's own fields and buttons."""
    page.goto(web.url)
    page.get_by_role("button", name="Preview").click()
    page.get_by_label("Request", exact=True).or_(page.get_by_role("alert")).first.wait_for()
    assert violations(page, only=only) == []


def assert_all_pages_are_well(page: Any, web: WebSwarm, *only: str) -> None:
    page.goto(f"{web.url}/?tab=stats")
    page.get_by_role("tab", name="Statistics", selected=True).wait_for()
    page.get_by_role("button", name="Light or dark theme").wait_for()
    tabs = page.get_by_role("tab").all()  # Locust's own, and ours at the end
    assert len(tabs) >= 8
    for tab in tabs[:-1]:
        tab.click()
        page.locator("[role=tab][aria-selected=true]", has_text=tab.inner_text()).wait_for()
        assert violations(page, only=only) == [], tab.inner_text()
    page.goto(f"{web.url}/?tab=swarm")
    page.locator("swarm-panel figure").first.wait_for(timeout=60_000)
    assert violations(page, only=only) == []
    page.goto(f"{web.url}/swarm/")
    page.locator("swarm-panel figure").first.wait_for()
    pick(page, "first", "second")
    page.get_by_text("A is first, B is second; intervals").wait_for()
    assert violations(page, only=only) == []
    page.get_by_role("link", name="The comparison with its plots").click()
    page.get_by_role("heading", name="Two runs").wait_for()
    assert violations(page, only=only) == []
    page.goto(f"{web.url}/swarm/runs/first/report.html")
    page.get_by_role("heading", name="Objectives").wait_for()
    assert violations(page, only=only) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 1400


def rendered_typical() -> str:
    from sample_runs import rendered

    return rendered(typical_run())


def test_two_runs_are_compared_with_the_keyboard_alone(web: WebSwarm, browser: Any) -> None:
    for name, median_ms in (("slow", 6.0), ("quick", 5.0)):
        save_run(make_run(name=name, intervals=30, median_ms=median_ms), web.swarm.results / "runs" / name)
    web.start(workers=0)
    wait_until(web.is_up, 30, "the page")
    page = Watched(browser, 1400).page
    page.goto(f"{web.url}/swarm/")
    page.get_by_role("checkbox", name="Compare slow").wait_for()

    def press_tab_until(label: str) -> None:
        for _ in range(40):
            page.keyboard.press("Tab")
            focused = page.evaluate("[document.activeElement.ariaLabel, document.activeElement.textContent].join(' ')")
            if label in focused:
                outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
                assert outline != "none", label
                return
        raise AssertionError(f"{label} cannot be reached by Tab")

    press_tab_until("Compare quick")
    page.keyboard.press("Space")
    press_tab_until("Compare slow")
    page.keyboard.press("Space")
    for _ in range(40):  # the button stands before the list
        page.keyboard.press("Shift+Tab")
        if page.evaluate("document.activeElement.textContent") == "Compare":
            break
    page.keyboard.press("Enter")
    page.get_by_text("B against A: ").wait_for()
    assert page.get_by_text("A is quick, B is slow; intervals").count() == 1


def test_only_the_word_of_the_verdict_is_read_out_while_a_run_goes_on(web: WebSwarm, browser: Any) -> None:
    fail_every_tenth(web)
    web.start(workers=1)
    web.wait_for_workers(1)
    assert web.start_run(slo="p99<1ms", **OPEN_LOAD)["success"] is True
    page = Watched(browser, 1400).page
    page.goto(f"{web.url}/swarm/")
    word = page.locator(".verdict strong")
    wait_until(lambda: "so far" in word.inner_text(), 30, "a verdict so far")
    page.locator("swarm-panel figure").first.wait_for(timeout=60_000)
    known = word.inner_text()
    page.evaluate(
        """() => {
          window.said = [];
          const live = [...document.querySelectorAll("[role=status], [role=alert], [aria-live]")];
          for (const one of live) {
            new MutationObserver(() => window.said.push(one.textContent))
              .observe(one, { childList: true, characterData: true, subtree: true });
          }
        }"""
    )
    before = metric(page, "Requests")
    wait_until(lambda: number(metric(page, "Requests")) > number(before) + 1000, 30, "updates of the page")
    words = [known, *page.evaluate("window.said")]  # another one when this machine becomes too slow meanwhile
    assert all("so far" in one and one != before for before, one in itertools.pairwise(words)), words
    label = page.locator("swarm-panel figure").first.get_by_role("img").get_attribute("aria-label")
    assert re.fullmatch(r"Requests/s over the run: achieved [\d.,]+( to [\d.,]+, last [\d.,]+)?; wanted 200", label)
    web.post("/stop", {})


def test_what_an_open_page_asks_of_the_master(web: WebSwarm, browser: Any) -> None:
    """benchmarks/viewers asks as often."""
    web.start(workers=1)
    web.wait_for_workers(1)
    assert web.start_run(**GENTLE_LOAD)["success"] is True
    asked: dict[str, Counter[str]] = {"/swarm/": Counter(), "/?tab=swarm": Counter()}
    pages = [Watched(browser).page for _ in asked]
    for page, (path, counter) in zip(pages, asked.items(), strict=True):
        page.goto(web.url + path)
        page.locator("swarm-panel figure").first.wait_for(timeout=60_000)
        page.on("request", lambda request, to=counter: to.update([request.url.split("?")[0].removeprefix(web.url)]))
    for counter in asked.values():
        counter.clear()  # what the first has asked for while the second was loaded
    pages[0].wait_for_timeout(12_000)  # what is counted is what happens in a time
    for path, counter in asked.items():
        assert 4 <= counter["/swarm/state"] <= 7, (path, counter)
        assert 2 <= counter["/swarm/series"] <= 4, (path, counter)
        assert counter["/swarm/runs"] == 0, path
        assert {one for one in counter if one.startswith("/swarm")} == {"/swarm/state", "/swarm/series"}
        sys.stderr.write(f"{path}: {dict(counter)} in 12 s\n")
    web.post("/stop", {})


def test_a_page_whose_request_is_never_answered_says_so_and_reads_again(web: WebSwarm, browser: Any) -> None:
    web.start()
    web.wait_for_workers()
    page = browser.new_page()
    page.goto(f"{web.url}/swarm/")
    page.get_by_text("No run yet").wait_for()
    held: list[Any] = []
    page.route("**/swarm/state", lambda route: held.append(route) if not held else route.continue_())
    page.get_by_text("The master cannot be read (no answer within 10 s).").wait_for()
    page.get_by_text("The master cannot be read").wait_for(state="hidden")
    assert len(held) == 1
    page.unroute("**/swarm/state")
    page.close()
