"""What a run leaves for a pipeline: JUnit, Markdown, GitHub's summary and annotations."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from sample_runs import make_run, save_run, settings_with

from inference_swarm.errors import SettingProblem
from inference_swarm.export.baseline import check_baseline, judged_against_baseline
from inference_swarm.export.junit import junit_xml
from inference_swarm.export.markdown import markdown_summary
from inference_swarm.export.pipeline import annotation_lines, check_pipeline_files, write_pipeline_files
from inference_swarm.export.summary import build_summary


def summary(**changes: Any) -> dict[str, Any]:
    return build_summary(make_run(**changes))


def case(document: str, name: str) -> ET.Element:
    (found,) = [one for one in ET.fromstring(document).iter("testcase") if one.get("name") == name]
    return found


def test_junit_has_a_test_case_for_the_verdict_and_for_each_objective() -> None:
    text = junit_xml(summary(slo=("p99<50ms", "p50<1ms", "p99.999<1s")))
    suite = ET.fromstring(text).find("testsuite")
    assert suite is not None
    assert [one.get("name") for one in suite.iter("testcase")] == ["verdict", "p99<50ms", "p50<1ms", "p99.999<1s"]
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("4", "2", "1")
    assert [child.tag for child in case(text, "p99<50ms")] == ["system-out"]
    failure = case(text, "p50<1ms").find("failure")
    assert failure is not None
    assert "measured 4.99 ms" in (failure.get("message") or "")
    assert [child.tag for child in case(text, "p99.999<1s")] == ["error"]
    verdict = case(text, "verdict").find("failure")
    assert verdict is not None
    assert verdict.get("message") == "objective missed"
    assert "p50<1ms: fail" in (verdict.text or "")
    properties = {one.get("name"): one.get("value") for one in suite.iter("property")}
    assert (properties["requests"], properties["exit_code"]) == ("20000", "3")


def test_junit_of_a_passed_run_has_no_failure() -> None:
    suite = ET.fromstring(junit_xml(summary(slo=("p99<50ms",)))).find("testsuite")
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "0", "0")


def test_junit_of_an_interrupted_run_is_an_error() -> None:
    text = junit_xml(summary(interrupted_because="SIGTERM"))
    assert [child.tag for child in case(text, "verdict")] == ["error"]


def test_junit_bears_what_xml_cannot_hold() -> None:
    text = junit_xml(summary(name="a\x00b\x1b[31m<&>\ufffe"))
    assert "\ufffd" in str(case(text, "verdict").get("classname"))


def test_markdown_names_verdict_times_objectives_and_failures() -> None:
    text = markdown_summary(summary(slo=("p99<50ms", "error_rate<0.1%"), failed=10, name="nightly"))
    assert text.startswith("### nightly: objective missed\n")
    assert "| p99&lt;50ms |" in text.replace("&#60;", "&lt;")
    assert "| fail |" in text
    assert "\n| latency | 4.99 ms |" in text
    assert "\n| failed | 5.08 ms |" in text
    assert "200 × status: 500 Oops" in text


def test_markdown_takes_nothing_of_a_server_for_markup() -> None:
    text = markdown_summary(summary(failed=1, explanation="<img src=x> | [a](http://evil) @team `x` **b**\n# head"))
    for markup in ("<img", "[a](", "@team", "`", "**b", "\n# head"):
        assert markup not in text


def test_annotations_are_errors_for_objectives_and_escaped() -> None:
    lines = list(annotation_lines(summary(slo=("p50<1ms", "error_rate<50%"), failed=10)))
    assert len(lines) == 1
    assert lines[0].startswith("::error title=objective fail::p50<1ms: measured ")
    (other,) = annotation_lines(summary(failed=10))
    assert other == "::error title=load test%3A requests failed::200 of 20,000 requests failed"
    assert list(annotation_lines(summary())) == []


def test_a_job_on_github_gets_a_summary_and_annotations(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    job = tmp_path / "job.md"
    job.write_text("before\n", encoding="utf-8")
    environment = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(job)}
    settings = settings_with(junit=str(tmp_path / "j.xml"), markdown=str(tmp_path / "m.md"))
    document = summary(slo=("p50<1ms",))
    write_pipeline_files(document, settings, is_headless=True, environment=environment)
    assert job.read_text(encoding="utf-8").startswith("before\n### a-run: objective missed")
    assert "::error title=objective fail::" in capsys.readouterr().err
    assert (tmp_path / "m.md").read_text(encoding="utf-8").startswith("### a-run: objective missed")
    assert ET.parse(tmp_path / "j.xml").getroot().tag == "testsuites"
    job.write_text("", encoding="utf-8")
    write_pipeline_files(document, settings, is_headless=False, environment=environment)
    assert job.read_text(encoding="utf-8") == ""


def test_files_that_cannot_be_written_are_refused_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for changes in ({"junit": str(tmp_path)}, {"markdown": str(tmp_path / "file" / "m.md")}):
        with pytest.raises(SettingProblem, match="cannot be written"):
            check_pipeline_files(settings_with(**changes))
    check_pipeline_files(settings_with(junit=str(tmp_path / "new" / "j.xml")))
    assert (tmp_path / "new").is_dir()


def test_a_run_is_judged_against_its_baseline(tmp_path: Path) -> None:
    size: dict[str, Any] = {"intervals": 20, "per_interval": 4000}
    save_run(make_run(name="base", **size), tmp_path / "runs" / "base")
    changes: dict[str, Any] = {
        "results_dir": str(tmp_path),
        "baseline": "base",
        "max_regression": "p99:10%,rate:5%",
        "slo": ("p99<1s",),
    }
    same = judged_against_baseline(make_run(seed=1, **size, **changes))
    assert (same.verdict.label, len(same.verdict.results)) == ("passed", 3)
    slower = judged_against_baseline(make_run(seed=1, median_ms=7.0, **size, **changes))
    assert (slower.verdict.label, int(slower.verdict.exit_code)) == ("objective missed", 3)
    assert slower.verdict.reasons[0].startswith("p99 at most 10 % above base: fail, measured ")
    assert build_summary(slower)["objectives"][1]["objective"] == "p99 at most 10 % above base"
    (tmp_path / "runs" / "base" / "summary.json").unlink()
    gone = judged_against_baseline(make_run(seed=1, **size, **changes))
    assert (gone.verdict.label, int(gone.verdict.exit_code)) == ("incomplete", 4)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"baseline": "base"}, "--baseline is given and --max-regression is not"),
        ({"max_regression": "p99:1%"}, "--max-regression is given and --baseline is not"),
        ({"baseline": "base", "max_regression": "p99:1%"}, "summary.json does not exist"),
        ({"baseline": "base", "max_regression": "p99"}, "'p99' is not a limit"),
    ],
)
def test_a_baseline_that_cannot_be_used_is_refused_before_the_run(
    tmp_path: Path, changes: dict[str, str], problem: str
) -> None:
    with pytest.raises(SettingProblem) as refused:
        check_baseline(settings_with(results_dir=str(tmp_path), **changes))
    assert problem in str(refused.value)
