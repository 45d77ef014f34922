"""The answers of a run on the page, in a real headless Chromium, against its summary.json."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from recording_server import answer_bytes
from swarm_processes import wait_until
from web_swarm import WebSwarm

pytestmark = pytest.mark.processes


def test_the_tab_says_of_answers_what_the_summary_says(web: WebSwarm, browser: Any) -> None:
    labels = web.swarm.results / "splits" / "alpha" / "y_test.parquet"
    pq.write_table(pa.table({"y": [row % 2 for row in range(1000)]}), labels)
    asked: set[int] = set()

    def answer(body: bytes) -> bytes:
        row = int(json.loads(body)["n"])
        is_again = row in asked
        asked.add(row)
        return answer_bytes(body=b'{"predictions":[%d]}' % (7 if is_again and row % 100 == 0 else row % 2))

    web.target.answer = answer
    web.start("--dataset-name", "alpha", "--check-answer", "consistent", "--no-probe", "--row-order", "shuffle")
    web.wait_for_workers()
    assert web.start_run()["success"] is True
    page = browser.new_page()
    page.set_default_timeout(20_000)
    page.goto(f"{web.url}/swarm/")
    section = page.locator("swarm-panel section", has=page.get_by_role("heading", name="Answers", exact=True))
    section.get_by_text("other than the first one to its row").wait_for()  # while the run goes on
    web.post("/stop", {})
    found = web.wait_for_end(1)[0]["answers"]
    assert found["wrong"] > 0
    assert found["begins"]["rate_rps"] > 0
    said = [f"{sentence}." for sentence in found["sentences"]]
    assert any(sentence.startswith("wrong answers begin at") for sentence in said)
    assert any(sentence.startswith("accuracy 0.") for sentence in said)
    wait_until(lambda: section.locator("p").all_inner_texts() == said, 20, "what the summary says")
    rows = page.get_by_role("table", name="First wrong answers").locator("tbody tr")
    cells = [row.locator("th, td").all_inner_texts()[:5] for row in rows.all()]
    assert cells == [
        [f"{one['at_s']:.1f} s", str(one["row"]), one["expected"], one["got"], str(one["other_row"] or "")]
        for one in found["examples"]
    ]
    assert {row[3] for row in cells} == {"7"}
