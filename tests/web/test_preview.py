"""The preview of the start form: what a row becomes under the sent fields, and nothing is sent for it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from swarm_processes import wait_until
from web_swarm import WebSwarm

pytestmark = pytest.mark.processes


def test_a_preview_is_the_request_that_a_run_with_these_fields_sends(web: WebSwarm) -> None:
    web.start("--header", "X-Key: SECRET", "--slo", "p99<10s")
    web.wait_for_workers()
    fields = {"dataset_name": "beta", "model": "lgbm", "body_format": "instances", "row_order": "once"}
    shown = web.post("/swarm/preview", {**fields, "user_count": "4", "row": "599"})
    head, _, body = shown["text"].partition("\n\n")
    assert shown["success"] is True
    assert head.splitlines()[0] == "POST /invocation?dataset=beta&model=lgbm HTTP/1.1"
    assert json.loads(body) == {"instances": [{"n": 599}]}
    assert shown["lines"][0].startswith("row 599 of 600: row 599 of ")
    assert "$X_KEY" in shown["curl"]
    assert "SECRET" not in json.dumps(shown)
    assert web.target.count == 0
    summary = web.run_once(seconds=20, **fields)
    assert body.encode() in web.target.bodies
    assert set(web.target.targets) == {head.split()[1]}
    assert summary["settings"]["dataset_name"]["value"] == "beta"
    assert json.loads(summary["data"]["request"].partition("\n\n")[2]) == {"instances": [{"n": 0}]}
    report = web.swarm.results / "runs" / summary["run"] / "report.html"
    wait_until(lambda: report.is_file() and "</html>" in report.read_text(), 20, "the report")
    assert "The request of row 0" in report.read_text()
    assert "SECRET" not in report.read_text() + json.dumps(summary)


def test_what_cannot_be_previewed_is_said_in_words_and_changes_nothing(web: WebSwarm) -> None:
    web.start("--dataset-name", "alpha")
    web.wait_for_workers()

    def refusal(**fields: str) -> str:
        answer = web.post("/swarm/preview", fields)
        assert answer["success"] is False
        return str(answer["message"])

    assert "There is no row 1,000: the data has 1,000 rows." in refusal(row="1000")
    assert "Row is '-1'. Expected: a whole number, 0 or more." in refusal(row="-1")
    assert "Row is '999" in refusal(row="9" * 5000)
    assert "There is no data for the dataset 'gamma'." in refusal(dataset_name="gamma")
    assert "--data cannot be set in the web UI" in refusal(data="/etc/passwd")
    several = refusal(wait_min="abc", arrival="poisson")
    assert "--wait-min is 'abc' (start form)" in several
    assert "there is no rate" in several
    assert web.post("/swarm/preview", {"host": "", "dataset_name": "beta"})["success"] is True
    assert web.state()["state"] == "ready"
    assert web.run_once(seconds=1)["dataset"] == "alpha"


def test_a_person_sees_the_request_before_the_start(web: WebSwarm, browser: Any) -> None:
    web.start()
    web.wait_for_workers()
    page = browser.new_page()
    page.set_default_timeout(20_000)
    page.goto(web.url)
    page.locator("select[name=datasetName]").select_option("beta")
    page.locator("select[name=model]").select_option("xgboost")
    preview = page.get_by_role("region", name="Preview")
    preview.get_by_label("Row to preview").fill("7")
    preview.get_by_role("button", name="Preview").click()
    request = preview.get_by_label("Request")
    request.wait_for()
    assert request.inner_text().startswith("POST /invocation?dataset=beta&model=xgboost HTTP/1.1")
    assert request.inner_text().rstrip().endswith('{"n":7}')
    assert preview.get_by_label("curl command").inner_text().startswith("curl -X POST")
    preview.get_by_label("Row to preview").fill("600")
    preview.get_by_role("button", name="Preview").click()
    preview.get_by_text("There is no row 600: the data has 600 rows.").wait_for()
    assert not request.is_visible()
    preview.get_by_label("Row to preview").fill("599")
    preview.get_by_role("button", name="Preview").click()
    wait_until(lambda: request.is_visible() and '{"n":599}' in request.inner_text(), 10, "the last row")
    assert web.target.count == 0
    page.get_by_role("button", name="Start").click()  # the row is no field of the start
    wait_until(lambda: web.target.count > 0, 20, "requests")
