"""A person's path through the page, in a real headless Chromium, and the numbers on it against summary.json."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from recording_server import answer_bytes
from swarm_processes import LOCUSTFILE, wait_until
from web_swarm import WebSwarm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "export"))

from sample_runs import make_run, save_run

from inference_swarm.cluster.run_rows import RowsState
from inference_swarm.cluster.worker_name import short_name
from inference_swarm.export.intervals import read_interval_table
from inference_swarm.measure.snapshot import WorkerHealth
from inference_swarm.web.state import SwarmState, state_document
from inference_swarm.web.worker_pages import WorkerPages, parse_page
from inference_swarm.web.worker_rows import WorkerState

pytestmark = pytest.mark.processes

# Set to a folder, screenshots for README and docs are written there.
IMAGES = os.environ.get("SWARM_TEST_IMAGES", "")
# Locust gives its dialog no role.
DIALOG = ".MuiModal-root"
OBJECTIVES = "p99<1ms; error_rate<1%"
# Rules of axe-core that depend on colours and on the size of the window.
LOOKS = ("color-contrast", "scrollable-region-focusable", "target-size")


class Watched:
    """A page whose console errors, failed requests and hosts are kept."""

    def __init__(self, browser: Any, width: int = 1280, **options: Any) -> None:
        self.page = browser.new_page(viewport={"width": width, "height": 900}, **options)
        self.page.set_default_timeout(20_000)
        self.errors: list[str] = []
        self.hosts: set[str] = set()
        self.page.on("console", self._note_console)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("response", self._note_refusal)
        self.page.on("request", lambda request: self.hosts.add(request.url.split("/")[2]))

    def _note_console(self, said: Any) -> None:
        # Chromium gives up requests when interfaces of the machine come or go, as those of containers beside it do.
        if said.type in ("error", "warning") and "ERR_NETWORK_CHANGED" not in said.text:
            self.errors.append(said.text)

    def _note_refusal(self, response: Any) -> None:
        if response.status >= 400:
            self.errors.append(f"{response.status} {response.url}")

    def shoot(self, name: str, **options: Any) -> None:
        if IMAGES:
            self.page.wait_for_timeout(1_000)  # what unfolds has unfolded
            self.page.screenshot(path=Path(IMAGES) / name, **options)


def number(text: str) -> float:
    return float(text.replace(",", ""))


def metric(page: Any, name: str) -> str:
    text: str = page.locator(f'swarm-panel [data-name="{name}"] dd').inner_text()
    return text


def about(page: Any, name: str) -> str:
    """What the line that identifies the run says."""
    text: str = page.locator(f'swarm-panel .about [data-name="{name}"]').inner_text()
    return text


def pick(page: Any, *runs: str) -> None:
    """Exactly these, in this order, and compares them."""
    picked = page.get_by_role("checkbox", checked=True)
    while picked.count():
        picked.first.uncheck()
    for run in runs:
        page.get_by_role("checkbox", name=f"Compare {run}", exact=True).check()
    page.get_by_role("button", name="Compare", exact=True).click()


def row_values(page: Any, table: str, row: str) -> list[str]:
    found: list[str] = page.get_by_role("table", name=table).locator("tr", has_text=row).locator("td").all_inner_texts()
    return found


def test_a_person_starts_watches_changes_stops_reads_and_compares(web: WebSwarm, browser: Any) -> None:
    web.start()
    web.wait_for_workers()
    assert web.start_run(dataset_name="alpha", model="lgbm")["success"] is True
    wait_until(lambda: web.target.count > 1000, 20, "requests of the run before")
    web.post("/stop", {})
    web.wait_for_end(1)
    before = web.swarm.run_folders()[0].name

    watched = Watched(browser)
    page = watched.page
    page.goto(web.url)
    # the run before is over, so Locust's page offers a new one in a dialog
    page.get_by_role("button", name="New").click()
    form = page.locator(DIALOG)
    form.get_by_label("Number of users").fill("100")
    form.get_by_label("Ramp up").fill("200")
    assert form.get_by_label("Dataset Name").locator("option").all_inner_texts() == ["(none)", "alpha", "beta"]
    form.get_by_label("Dataset Name").select_option("beta")
    form.get_by_label("Model (by its name)").select_option("xgboost")
    form.get_by_label("Pred Method").select_option("predict")
    form.get_by_label("Slo (such as").fill("p99<1")
    form.get_by_role("button", name="Start").click()
    page.get_by_text("objective 'p99<1': the bound '1' has no unit").wait_for()
    form.get_by_label("Slo (such as").fill(OBJECTIVES)
    form.get_by_role("button", name="Start").click()
    form.wait_for(state="detached")

    page.get_by_role("tab", name="Swarm").click()
    workers = page.get_by_role("table", name="Workers").locator("tbody tr")
    wait_until(lambda: metric(page, "Users") == "100" and metric(page, "Requests") != "0", 30, "100 users on the page")
    assert workers.count() == 2
    cells = [worker.locator("td").all_inner_texts() for worker in workers.all()]
    assert [cell[0] for cell in cells] == ["running", "running"]
    assert sum(number(cell[1]) for cell in cells) == 600 == sum(number(cell[2]) for cell in cells)
    assert [cell[5] for cell in cells] == ["50", "50"]
    missed = re.compile(r"objective missed.* so far")  # also where the load generator was the bottleneck
    wait_until(lambda: bool(missed.search(page.locator(".verdict").inner_text())), 20, "a missed objective")
    assert re.search(r"p99<1ms: .*measured [\d.]+ ms", page.locator(".verdict").inner_text())
    assert row_values(page, "Objectives", "p99<1ms")[0] == "fail"
    assert row_values(page, "Objectives", "error_rate<1%")[:2] == ["pass", "0 %"]
    watched.shoot("swarm-tab.png", full_page=True)

    page.get_by_role("button", name="Edit").click()
    dialog = page.locator(DIALOG)
    dialog.get_by_label("Number of users").fill("20")
    shown = [field for field in dialog.locator("input, select, textarea").all() if field.is_visible()]
    assert [field.get_attribute("name") for field in shown] == ["userCount", "spawnRate"]
    page.get_by_role("button", name="Update").click()
    wait_until(lambda: metric(page, "Users") == "20", 30, "20 users on the page")

    page.get_by_role("button", name="Stop").click()
    summary = web.wait_for_end(2)[-1]
    wait_until(lambda: about(page, "Run") == summary["run"], 10, "the run's name")
    wait_until(
        lambda: bool(re.match("objective missed(?!.*so far)", page.locator(".verdict strong").inner_text())),
        10,
        "the verdict",
    )
    assert summary["verdict"] == "objective missed"
    assert summary["dataset"] == "beta"
    assert summary["requests"] == number(metric(page, "Requests"))
    assert summary["failures"] == number(metric(page, "Failures"))
    assert about(page, "Data") == f"beta (600 rows, fingerprint {summary['data']['fingerprint'][:8]})"
    assert about(page, "Target") == web.target.url
    assert about(page, "API") == "invocation"
    for label, key in (("Latency", "latency_us"), ("Service time", "service_us")):
        shown = page.get_by_role("table", name="Latency and service time").locator("tr", has_text=label).locator("td")
        found = [float(cell.get_attribute("data-value")) for cell in shown.all()]
        names = ("p50", "p75", "p90", "p95", "p99", "p99_9", "p99_99", "mean", "max")
        assert found == [summary[key][name] for name in names]
    figures = page.locator("swarm-panel figure")
    wait_until(lambda: figures.count() == 3, 20, "the run over time")
    assert [one.get_attribute("data-name") for one in figures.all()] == ["Requests/s", "Latency", "Concurrency"]
    rows = read_interval_table((web.swarm.run_folders()[-1] / "intervals.csv").read_text(encoding="utf-8"))
    rate_rps = rows[-1].rate_rps
    last = f"{rate_rps:,.0f}" if rate_rps >= 100 else f"{round(rate_rps, 1):g}"
    achieved = re.compile(rf"achieved ([\d.,]+ to [\d.,]+, last )?{re.escape(last)}(;|$)")
    rates = figures.first.get_by_role("img")
    wait_until(lambda: bool(achieved.search(rates.get_attribute("aria-label") or "")), 20, f"achieved {last} at last")

    runs = page.get_by_role("table", name="Runs").locator("tbody tr")
    wait_until(lambda: runs.count() == 2, 10, "two runs in the list")
    assert summary["run"] in runs.first.inner_text()
    link = runs.first.get_by_role("link").first
    wait_until(lambda: ".html" in (link.get_attribute("href") or ""), 10, "the report, which is written last")
    report = browser.new_page()
    answer = report.goto(link.get_attribute("href"))
    assert answer.status == 200
    assert "text/html" in answer.headers["content-type"]
    assert report.locator("body").inner_text().strip()
    report.close()
    of_locust = Watched(browser)  # its own script runs under the policy that the page is served with
    of_locust.page.goto(runs.first.get_by_role("link", name="Locust's report").get_attribute("href"))
    of_locust.page.get_by_text("Request Statistics").first.wait_for()
    assert [error for error in of_locust.errors if "favicon" not in error and "404" not in error] == []
    of_locust.page.close()

    cells = runs.first.locator("td").all_inner_texts()
    assert cells[1] == web.target.url
    assert cells[2:4] == [f"{round(summary['duration_s'])} s", f"{summary['rate_rps']:,.0f}"]
    assert cells[-1].startswith("objective missed")  # and perhaps that the load generator was the bottleneck
    page.get_by_role("searchbox", name="Search").fill("ALPHA lgbm")
    assert [before in name for name in runs.all_inner_texts()] == [True]
    page.get_by_role("searchbox", name="Search").fill("no such run")
    page.get_by_text("No run has all of these words.").wait_for()
    page.get_by_role("searchbox", name="Search").fill("")
    assert page.get_by_role("button", name="Compare", exact=True).is_disabled()
    pick(page, before, summary["run"])
    medians = page.get_by_role("table", name="Comparison").locator("tr", has_text="p50")
    medians.wait_for()
    shown = [float(cell.get_attribute("data-value")) for cell in medians.locator("td").all()[:2]]
    by_run = {one["run"]: one for one in web.wait_for_end(2)}
    wanted = [by_run[before]["latency_us"]["p50"], summary["latency_us"]["p50"]]
    assert shown == pytest.approx(wanted, rel=0.002)  # the log keeps buckets, not the exact ends
    said = page.locator("swarm-panel section").last.inner_text()
    assert "Too short to say" in said
    assert "dataset_name differs: 'alpha' and 'beta'" in said
    with page.expect_navigation():
        page.get_by_role("link", name="The comparison with its plots").click()
    assert before in page.locator("body").inner_text()
    assert watched.errors == []
    assert watched.hosts == {f"127.0.0.1:{web.port}"}
    assert summary["requests"] + by_run[before]["requests"] == web.target.count


def test_two_runs_with_enough_data_are_said_to_differ_or_not(web: WebSwarm, browser: Any) -> None:
    for name, median_ms, seed in (("slow", 6.0, 1), ("quick", 5.0, 2), ("quick-too", 5.0, 3)):
        save_run(make_run(name=name, intervals=30, median_ms=median_ms, seed=seed), web.swarm.results / "runs" / name)
    web.start(workers=0)
    wait_until(web.is_up, 30, "the page")
    watched = Watched(browser)
    page = watched.page
    page.goto(f"{web.url}/swarm/")
    medians = page.get_by_role("table", name="Comparison").locator("tr", has_text="p50").locator("td")
    found = {}
    for other in ("slow", "quick-too"):
        pick(page, "quick", other)
        page.get_by_text(f"A is quick, B is {other}; intervals").wait_for()
        found[other] = medians.all_inner_texts()
    assert found["slow"][3] == "significant difference"
    assert found["quick-too"][3] == "no significant difference"
    # a third pick takes the place of the first
    page.get_by_role("checkbox", name="Compare slow").check()
    picked = page.get_by_role("checkbox", checked=True)
    assert sorted(box.get_attribute("value") for box in picked.all()) == ["quick-too", "slow"]
    value, low, high = (float(text) for text in re.findall(r"×([\d.]+)", found["slow"][2]))
    assert 1.17 < low < value < high < 1.23
    assert watched.errors == []


def test_a_fresh_page_has_our_fields_open_and_says_why_a_start_came_to_nothing(web: WebSwarm, browser: Any) -> None:
    web.start("--dataset-name", "alpha", "--load-timeout", "20")
    web.wait_for_workers()
    assert web.start_run()["success"] is True
    wait_until(lambda: web.target.count > 0, 20, "requests of the run before")
    web.post("/stop", {})
    web.wait_for_end(1)
    broken = web.swarm.results / "splits" / "broken" / "X_test.parquet"
    broken.parent.mkdir()
    broken.write_bytes(b"no parquet")
    # The footer is whole, so that only the workers, who read the rows, find out.
    rotten = broken.parent.with_name("rotten") / "X_test.parquet"
    web.make_dataset("rotten")
    content = rotten.read_bytes()
    rotten.write_bytes(content[:4] + b"\xff" * 200 + content[204:])
    watched = Watched(browser)
    page = watched.page
    page.goto(web.url)
    page.get_by_role("button", name="New").click()
    names = page.locator(".swarm-fields label").all_inner_texts()
    assert [name.split(" (")[0] for name in names[:5]] == ["Dataset Name", "Api", "Model", "Pred Method", "Row Order"]
    assert page.get_by_label("Dataset Name").is_visible()
    watched.shoot("start-form.png", full_page=True)
    page.get_by_label("Dataset Name").select_option("broken")
    page.get_by_role("button", name="Start").click()
    page.locator(".MuiAlert-message").get_by_text("broken/X_test.parquet").wait_for()
    page.get_by_label("Dataset Name").select_option("rotten")
    page.get_by_role("button", name="Start").click()
    page.get_by_text("The run was refused").wait_for()
    assert "rotten/X_test.parquet" in page.locator(".swarm-note").inner_text()
    # our page says so too, and what an earlier run came to does not stand under it
    panel = browser.new_page()
    panel.goto(f"{web.url}/swarm/")
    panel.locator(".verdict").get_by_text("The run was refused").wait_for()
    assert "rotten/X_test.parquet" in panel.locator(".verdict").inner_text()
    assert panel.locator("swarm-panel dl > div").all_inner_texts()[0].split()[1] in ("ready", "stopped")
    assert panel.locator('swarm-panel [data-name="Requests"]').count() == 0
    assert panel.get_by_role("table", name="Latency and service time").is_visible() is False
    panel.close()
    # a good dataset starts, from the form that came back or from the dialog
    new, dataset = page.get_by_role("button", name="New"), page.get_by_label("Dataset Name")
    new.or_(dataset).first.wait_for()
    if new.is_visible():
        new.click()
    page.get_by_label("Dataset Name").select_option("alpha")
    page.get_by_role("button", name="Start").click()
    page.get_by_role("tab", name="Swarm").wait_for()
    wait_until(lambda: web.state()["state"] == "running", 20, "a run")
    page.locator(".swarm-note p").wait_for(state="hidden")
    web.post("/stop", {})
    web.wait_for_end(2)
    assert watched.errors == []


def test_the_page_fits_and_can_be_read(web: WebSwarm, browser: Any) -> None:
    web.target.answer = lambda _body: answer_bytes(500)
    for day, changes in enumerate(({"failed": 4}, {"health": WorkerHealth(files_exhausted=3)}), 21):
        name = f"202611{day}-081000_healthcare-dataset-stroke_xgboost"
        made = make_run(
            name=name, model="xgboost", host="https://model-server.inference-team.svc.cluster.local:8443/v1", **changes
        )
        save_run(made, web.swarm.results / "runs" / name)
    web.start("--dataset-name", "alpha", workers=1)
    web.wait_for_workers(1)
    summary = web.run_once(seconds=1, runs=3, slo="error_rate<1%")
    assert summary["failures"] == summary["requests"]
    for width, scheme, rules in (
        (400, "dark", ()), (1400, "light", ()), (1400, "dark", LOOKS), (1920, "light", LOOKS), (2560, "dark", LOOKS)
    ):  # fmt: skip
        watched = Watched(browser, width, color_scheme=scheme)
        assert_fits_and_can_be_read(watched, web, width, summary["failures"], rules)


def assert_fits_and_can_be_read(
    watched: Watched, web: WebSwarm, width: int, failures: int, rules: tuple[str, ...]
) -> None:
    page = watched.page
    page.goto(f"{web.url}/swarm/")
    wait_until(lambda: metric(page, "Failures") not in ("", "0"), 10, "failures on the page")
    assert number(metric(page, "Failures")) == failures
    assert metric(page, "Failures by kind").startswith("status ")
    runs = page.get_by_role("table", name="Runs").locator("tbody tr")
    wait_until(lambda: runs.count() == 3, 10, "three runs in the list")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator(".runs").evaluate("(region) => region.scrollWidth <= region.clientWidth")
    for row in runs.all():
        assert row.bounding_box()["height"] < {400: 280, 1400: 110, 1920: 140, 2560: 140}[width]
    verdicts = {row.get_by_role("cell").last.inner_text(): row.get_by_role("cell").last for row in runs.all()}
    bound = next(cell for words, cell in verdicts.items() if words.endswith("generator-bound"))
    assert "good" not in bound.get_attribute("class")
    for selector in (
        "swarm-panel dd",
        "swarm-panel .verdict strong",
        "swarm-panel td",
        "swarm-panel .dim",
        "swarm-panel dt",
    ):
        assert page.evaluate(CONTRAST, selector) >= 4.5, selector
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll("a, button, input, table, [role=region]")].filter((one) =>
        !(one.getAttribute("aria-label") || one.innerText.trim() || one.labels?.length)).map((one) => one.outerHTML)"""
    )
    assert unnamed == []
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Start, change or stop a run"
    for name in ("What identifies the run", "Objectives"):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.getAttribute('aria-label')") == name
    assert violations(page, only=rules) == []
    page.goto(runs.first.get_by_role("link").first.get_attribute("href"))
    page.get_by_role("heading", name="Metrics").wait_for()
    assert violations(page, only=rules) == []
    assert watched.errors == []
    assert watched.hosts == {f"127.0.0.1:{web.port}"}
    page.close()


def violations(page: Any, *selectors: str, only: tuple[str, ...] = ()) -> list[str]:
    """What axe-core finds serious or critical, in the whole page or in these parts of it; `only`: of these rules."""
    parts = {"include": [[selector] for selector in selectors]} if selectors else None
    options: dict[str, Any] = {"resultTypes": ["violations"]}  # what passes is neither described nor sent
    if only:
        options["runOnly"] = {"type": "rule", "values": list(only)}
    found = Axe().run(page, context=parts, options=options).response["violations"]
    return [
        f"{one['id']}: {node['html'][:200]}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


def test_many_workers_are_one_row_a_host_but_for_those_in_trouble(web: WebSwarm, browser: Any) -> None:
    web.start(workers=0)
    wait_until(web.is_up, 30, "the page")
    workers = [
        WorkerState(
            short_name(f"host-{number % 3}_{number:08x}{0:024x}"), "running", 2, 5.0, 5.0, 10.0, 1,
            WorkerHealth(loop_lag_p99_ms=1.0), RowsState(1, 10, 10, 100, True),
        )
        for number in range(300)
    ]  # fmt: skip
    workers[7] = replace(workers[7], cpu_percent=95.0)
    workers[8] = replace(workers[8], state="missing")
    state = {**web.state(), **state_document(SwarmState("running", 600, 600, workers))}
    watched = Watched(browser, 1400)
    page = watched.page
    page.route("**/swarm/state", lambda route: route.fulfill(json=state))
    page.goto(f"{web.url}/swarm/")
    rows = page.get_by_role("table", name="Workers").locator("tbody tr")
    wait_until(lambda: rows.count() == 5, 10, "two workers and three hosts")
    found = [row.locator("th, td").all_inner_texts() for row in rows.all()]
    assert [cells[0] for cells in found] == [
        "host-2_00000008", "host-1_00000007", "host-0: 100 workers", "host-1: 99 workers", "host-2: 99 workers",
    ]  # fmt: skip
    assert [cells[1] for cells in found] == ["missing", "running", "running", "running", "running"]
    assert found[2][2:9] == ["1,000", "1,000", "9.8 KiB", "100", "200", "500", "10 %"]
    assert rows.nth(1).locator("td.bad").all_inner_texts() == ["95 %"]
    assert metric(page, "Workers") == "300"
    state |= state_document(SwarmState("running", 600, 600, workers[10:30]))
    wait_until(lambda: rows.count() == 20, 10, "twenty workers, each with a row")
    assert watched.errors == []


def test_every_one_of_many_workers_is_reached_page_by_page_with_the_keyboard(web: WebSwarm, browser: Any) -> None:
    web.start(workers=0)
    wait_until(web.is_up, 30, "the page")
    workers = [
        WorkerState(f"host-{number % 40:02d}_{number:08x}", "running", 2, 5.0, 5.0, 10.0, 1) for number in range(2400)
    ]
    state = {**web.state(), **state_document(SwarmState("running", 4800, 4800, workers))}
    pages = WorkerPages(workers)
    watched = Watched(browser, 1400)
    page = watched.page

    def answer(route: Any) -> None:
        query = dict(parse_qsl(urlsplit(route.request.url).query))
        route.fulfill(json=pages.page(parse_page(query)))

    page.route("**/swarm/state", lambda route: route.fulfill(json=state))
    page.route("**/swarm/workers?**", answer)
    page.goto(f"{web.url}/swarm/")
    single = page.get_by_role("table", name="Workers one by one").locator("tbody tr th")
    page.get_by_role("button", name="Show all workers of host-07").press("Enter")
    page.get_by_text("1 to 50 of 60 by name").wait_for()
    assert page.evaluate("document.activeElement.textContent") == "All workers of host-07"
    found = single.all_inner_texts()
    page.get_by_role("button", name="Next").press("Enter")
    page.get_by_text("51 to 60 of 60 by name").wait_for()
    assert page.evaluate("document.activeElement.textContent") == "Previous"  # the other one has nothing to do
    assert found + single.all_inner_texts() == [one.id for one in workers if one.id.startswith("host-07")]
    assert violations(page, "swarm-panel") == []
    watched.shoot("workers-one-by-one.png", full_page=True)
    page.get_by_role("button", name="Close").press("Enter")
    assert "host-07: 60 workers" in page.evaluate("document.activeElement.textContent")

    # Those of hosts that have no row of their own are among all.
    page.get_by_role("button", name="660 others on 11 hosts").click()
    seen: list[str] = []
    for first in range(1, 2401, 50):
        page.get_by_text(f"{first:,} to {first + 49:,} of 2,400 by name").wait_for()
        seen += single.all_inner_texts()
        if first < 2351:
            page.get_by_role("button", name="Next").click()
    assert seen == sorted(one.id for one in workers)
    page.get_by_role("button", name="Previous").click()
    page.get_by_text("2,301 to 2,350 of 2,400 by name").wait_for()
    assert watched.errors == []


def test_what_identifies_a_run_is_one_line_however_long_its_names_are(web: WebSwarm, browser: Any) -> None:
    name = "20261126-120000_" + "a_very_long_name_of_a_dataset_" * 6
    web.start(workers=1)
    web.wait_for_workers(1)
    web.run_once(seconds=1, dataset_name="alpha", model="lgbm")
    state = web.state()
    state["run"] |= {
        "run": name,
        "dataset": "a_very_long_name_of_a_dataset_" * 6,
        "target": "http://127.0.0.1:8000/" + "v" * 90,
    }
    for width in (400, 1400):
        assert_one_line(Watched(browser, width), web, width, state)


def assert_one_line(watched: Watched, web: WebSwarm, width: int, state: dict[str, Any]) -> None:
    page, name = watched.page, state["run"]["run"]
    page.route("**/swarm/state", lambda route: route.fulfill(json=state))
    page.goto(f"{web.url}/swarm/")
    line = page.locator("swarm-panel .about")
    line.wait_for()
    one_line = page.evaluate("parseFloat(getComputedStyle(document.querySelector('swarm-panel .about')).lineHeight)")
    assert line.bounding_box()["height"] < 1.5 * one_line
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    right = page.evaluate("document.querySelector('swarm-panel .about').getBoundingClientRect().right")
    for one in page.evaluate(
        """[...document.querySelectorAll("swarm-panel .about [data-name]")].map((part) => {
          const box = part.getBoundingClientRect();
          return { name: part.dataset.name, width: box.width, right: box.right };
        })"""
    ):
        assert one["width"] > 20, one
        assert one["right"] <= right + 1, one
    assert f"Run: {name} (" in line.get_attribute("title")
    assert about(page, "Run") == name  # for a screen reader
    assert name in line.locator('[data-name="Run"]').get_attribute("title")
    watched.shoot(f"about-{width}.png")
    line.focus()
    assert line.bounding_box()["height"] > 2.5 * one_line
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    watched.shoot(f"about-{width}-whole.png")
    assert violations(page, "swarm-panel") == []
    assert watched.errors == []
    page.close()


# WCAG's contrast of a text with what lies behind it.
CONTRAST = """(selector) => {
  const channels = (color) => color.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => [r, g, b].map((value) => value / 255)
    .map((value) => (value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
    .reduce((sum, value, place) => sum + value * [0.2126, 0.7152, 0.0722][place], 0);
  const element = document.querySelector(selector);
  const isClear = (one) => channels(getComputedStyle(one).backgroundColor)[3] === 0;
  let behind = element;
  while (behind.parentElement && isClear(behind)) behind = behind.parentElement;
  const [one, other] = [getComputedStyle(element).color, getComputedStyle(behind).backgroundColor]
    .map((color) => luminance(channels(color))).sort((a, b) => b - a);
  return (one + 0.05) / (other + 0.05);
}"""


def test_the_tab_follows_the_theme_of_locusts_page(web: WebSwarm, browser: Any) -> None:
    web.start("--dataset-name", "alpha", workers=1)
    web.wait_for_workers(1)
    web.run_once(seconds=1)
    watched = Watched(browser, color_scheme="light")
    page = watched.page
    page.goto(f"{web.url}/?tab=swarm")
    page.locator("swarm-panel").wait_for()
    assert page.evaluate("document.body.classList.contains('swarm-dark')") is False
    page.locator("header button").last.click()
    page.locator("body.swarm-dark").wait_for()
    assert page.evaluate(CONTRAST, "swarm-panel dd") >= 4.5
    assert watched.errors == []


# Rows that a worker waits for until a file is there.
LATE_ROWS = """
import gevent
from pathlib import Path
from inference_swarm.cluster.worker_rows import WorkerRows

hold = WorkerRows.hold


def hold_later(rows, order):
    while not Path("rows-may-come").exists():
        gevent.sleep(0.05)
    hold(rows, order)


WorkerRows.hold = lambda rows, order: gevent.spawn(hold_later, rows, order)
"""


def test_the_page_stays_with_a_run_whose_rows_take_long_to_load(web: WebSwarm, browser: Any) -> None:
    late = web.swarm.folder / "late_rows.py"
    late.write_text(LATE_ROWS, encoding="utf-8")
    web.start("--dataset-name", "alpha", "--load-timeout", "300", workers=1)
    web.swarm.start_worker(2, "-f", f"{LOCUSTFILE},{late}")
    web.wait_for_workers()
    watched = Watched(browser)
    page = watched.page
    page.goto(f"{web.url}/?tab=swarm")
    page.get_by_role("button", name="Start").click()
    wait_until(lambda: "loading rows" in page.locator("swarm-panel").inner_text(), 20, "loading on the page")
    assert web.state()["state"] == "loading"
    (web.swarm.folder / "rows-may-come").touch()
    wait_until(lambda: web.state()["state"] == "running", 20, "a run")
    # long enough for the page to read every state once more
    wait_until(lambda: metric(page, "State") == "running", 20, "the run on the page")
    wait_until(lambda: number(metric(page, "Requests")) > 0, 20, "requests on the page")
    assert page.get_by_role("button", name="Stop").is_visible()
    assert watched.errors == []
