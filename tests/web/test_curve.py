"""The curve of the stages in the start form: what is drawn, and that a person sees it before the start."""

from __future__ import annotations

from typing import Any

import pytest
from web_swarm import WebSwarm

from inference_swarm.errors import SettingProblem
from inference_swarm.web.curve import curve_document


def test_the_curve_has_the_stages_points_and_how_much_they_are() -> None:
    found = curve_document("10s@5,10s->9", is_open=True)
    assert found == {
        "points": [[0, 5], [10, 5], [10, 5], [20, 9]], "duration_s": 20, "highest": 9, "unit": "requests/s",
        "text": "2 stages, up to 9 requests/s, 120 requests in all",
    }  # fmt: skip
    assert curve_document("1m@3", is_open=False)["text"] == "1 stage, up to 3 users"


@pytest.mark.parametrize("text", ["/etc/passwd", "", "30s@"])
def test_what_is_no_stage_is_refused_and_no_file_is_read(text: str) -> None:
    with pytest.raises(SettingProblem) as caught:
        curve_document(text, is_open=True)
    assert "root:" not in str(caught.value)
    assert "10m@sine(200..800,2m)" in str(caught.value)


@pytest.mark.processes
def test_a_person_sees_the_curve_while_stages_are_typed(web: WebSwarm, browser: Any) -> None:
    web.start()
    web.wait_for_workers()
    page = browser.new_page()
    page.set_default_timeout(20_000)
    page.goto(web.url)
    curve = page.get_by_role("region", name="Load over time")
    field = page.locator("input[name=stages]")
    page.locator("select[name=arrival]").select_option("poisson")
    field.fill("20s@sine(0..10,5s),10s@20")
    line = curve.locator("polyline")
    line.wait_for()
    points = [tuple(map(float, point.split(","))) for point in line.get_attribute("points").split(" ")]
    assert len(points) == 99
    assert min(height for _, height in points) == 12  # 20 requests/s is the highest
    curve.get_by_text("2 stages, up to 20 requests/s, 300 requests in all").wait_for()
    field.fill("20s@sine(0..10)")
    curve.get_by_text("stage '20s@sine(0..10)' cannot be read").wait_for()
    assert not line.is_visible()
    field.fill("")
    curve.wait_for(state="hidden")
