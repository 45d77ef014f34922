"""A run as JUnit XML, which every CI server shows: a summary in, text out. Pure.

One test case is the verdict, and each objective is one: missed is a failure, what could not be judged an error.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from inference_swarm.config.documents import ReadDocument
from inference_swarm.export.terminal import objective_words

SUITE = "inference-swarm"
# What XML 1.0 cannot hold, escaped or not.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TAGS = {"fail": "failure", "incomplete": "error"}


def junit_xml(summary: ReadDocument) -> str:
    """Return the document."""
    cases = [_verdict_case(summary), *(_objective_case(result) for result in summary["objectives"])]
    for case in cases:
        case.set("classname", _clean(f"{SUITE}.{summary['run']}"))
        case.set("time", f"{summary['duration_s']:.3f}")
    suite = ET.Element(
        "testsuite",
        name=SUITE,
        tests=str(len(cases)),
        failures=str(sum(case.find("failure") is not None for case in cases)),
        errors=str(sum(case.find("error") is not None for case in cases)),
        skipped="0",
        time=f"{summary['duration_s']:.3f}",
        timestamp=summary["started_at"][:19],
    )
    properties = ET.SubElement(suite, "properties")
    for name, value in _properties(summary):
        ET.SubElement(properties, "property", name=name, value=_clean(value))
    suite.extend(cases)
    root = ET.Element("testsuites", {key: suite.attrib[key] for key in ("name", "tests", "failures", "errors", "time")})
    root.append(suite)
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _verdict_case(summary: ReadDocument) -> ET.Element:
    case = ET.Element("testcase", name="verdict")
    if summary["exit_code"]:
        words = _clean("; ".join(summary["reasons"]))
        tag = "error" if summary["exit_code"] == 4 else "failure"
        ET.SubElement(case, tag, message=_clean(summary["verdict"]), type=_clean(summary["verdict"])).text = words
    return case


def _objective_case(result: ReadDocument) -> ET.Element:
    case = ET.Element("testcase", name=_clean(result["objective"]))
    words = _clean(objective_words(result))
    if tag := _TAGS.get(result["outcome"]):
        ET.SubElement(case, tag, message=words, type="objective").text = words
    else:
        ET.SubElement(case, "system-out").text = words
    return case


def _properties(summary: ReadDocument) -> list[tuple[str, str]]:
    counts = [(name, str(summary[name])) for name in ("requests", "failures", "rate_rps", "exit_code")]
    times = [(f"{name}_us", str(summary["latency_us"][name])) for name in ("p50", "p90", "p99", "p99_9", "max")]
    return [("run", summary["run"]), *counts, *times]


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", text)
