"""The report on paper: two pages for a run of the usual kind, whatever the number of its workers."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "export"))

from sample_runs import make_run, rendered, typical_run

from inference_swarm.measure.snapshot import WorkerHealth

pytestmark = pytest.mark.processes


def printed(browser: Any, html: str, format_: str = "A4") -> tuple[int, str]:
    """The number of pages, and the text that is printed."""
    page = browser.new_page()
    page.set_content(html)
    document = page.pdf(format=format_, margin=dict.fromkeys(("top", "right", "bottom", "left"), "10mm"))
    page.emulate_media(media="print")
    text = page.locator("main").inner_text()
    page.close()
    return len(re.findall(rb"/Type\s*/Page\b", document)), text


@pytest.mark.parametrize("paper", ["A4", "Letter"])
def test_a_report_prints_on_two_pages(browser: Any, paper: str) -> None:
    pages, text = printed(browser, rendered(typical_run()), paper)
    assert pages == 2
    for words in ("Passed", "Objectives", "Failures by kind", "Times", "Server: CPU", "worker-7", "fingerprint f00d"):
        assert words in text
    assert "Settings and where they came from" not in text


def test_what_a_print_leaves_out_of_a_long_table_is_said(browser: Any) -> None:
    run = make_run(workers=40, per_interval=100, health=WorkerHealth(cpu_percent=40.0), slo=("p99<50ms",))
    html = rendered(replace(run, server=typical_run().server))
    pages, text = printed(browser, html)
    assert pages == 2
    assert "30 more workers are on the page itself." in text
    assert len(re.findall(r"worker-\d+", text)) == 10
    page = browser.new_page()
    page.set_content(html)
    on_screen = page.locator("main").inner_text()
    assert len(re.findall(r"worker-\d+", on_screen)) == 40
    assert "more workers are" not in on_screen


def test_a_report_that_was_read_in_the_dark_is_printed_on_white(browser: Any) -> None:
    page = browser.new_page(color_scheme="dark")
    page.set_content(rendered(make_run(slo=("p99<1ms",))))
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 24, 29)"
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.querySelector('.verdict')).color") == "rgb(179, 38, 30)"
