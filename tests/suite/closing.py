"""What a session said last, for .ci/run, which tries once more what failed and then names it. A plug-in of pytest."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Where to write: the counts in the first line, then the tests that failed, one a line.
FILE_VARIABLE = "TEST_CLOSING_FILE"
# What an earlier session has written there, when this one tries again.
FIRST_VARIABLE = "TEST_FIRST_CLOSING_FILE"


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if written := os.environ.get(FILE_VARIABLE):
        parts, _ = terminalreporter.build_summary_stats_line()
        reports = [*terminalreporter.getreports("failed"), *terminalreporter.getreports("error")]
        failed = dict.fromkeys(report.nodeid for report in reports)
        Path(written).write_text("\n".join([", ".join(text for text, _ in parts), *failed]) + "\n", encoding="utf-8")
    if first := os.environ.get(FIRST_VARIABLE):
        counts, *failed_first = Path(first).read_text(encoding="utf-8").splitlines()
        terminalreporter.write_sep("=", "tried once more")
        terminalreporter.write_line(f"The whole suite said: {counts}. These had failed, and were tried again alone:")
        for name in failed_first:
            terminalreporter.write_line(f"  {name}")
