"""`--servers`: tests marked `servers`, which install and start model servers of other makers, run only with it.

A plug-in of pytest. Without the option each of them is skipped, and the last lines of the session say so.
"""

from __future__ import annotations

import pytest

OPTION = "--servers"
REASON = "real model servers run with scripts/test --servers"


def add_option(parser: pytest.Parser) -> None:
    """Before the plug-ins are registered: tests/conftest.py calls it."""
    parser.addoption(
        OPTION, action="store_true", help="run the tests of real model servers, made where they are missing"
    )


def pytest_itemcollected(item: pytest.Item) -> None:
    if item.get_closest_marker("servers") and not item.config.getoption(OPTION):
        item.add_marker(pytest.mark.skip(reason=REASON))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = terminalreporter.getreports("skipped")
    count = sum(REASON in str(report.longrepr) for report in reports)
    if count:
        terminalreporter.write_line(f"{count} tests were skipped: {REASON}.")
