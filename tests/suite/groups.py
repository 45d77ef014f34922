"""Tests with the same `xdist_group` run in one process of pytest, in turn. A plug-in of pytest, in place of the
`--dist loadgroup` of pytest-xdist 3.8, which since pytest 9.1 finds no groups: it writes them into the names of tests.
Here the processes that collect tests tell the one that distributes them by a file.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from suite import shared

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.scheduler import LoadScopeScheduling

FILE = "groups.json"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Before pytest-xdist says that the tests are collected."""
    if hasattr(session.config, "workerinput"):
        groups = {
            item.nodeid: marker.args[0] for item in session.items if (marker := item.get_closest_marker("xdist_group"))
        }
        shared.once(FILE, lambda: json.dumps(groups))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling | None:
    if config.getvalue("dist") not in ("load", "loadgroup"):
        return None
    from xdist.scheduler import LoadScopeScheduling

    class GroupScheduling(LoadScopeScheduling):
        """In the order in which the tests are collected, each by itself or with its group."""

        _groups: dict[str, str] | None = None

        def _split_scope(self, nodeid: str) -> str:
            if self._groups is None:
                groups: Any = json.loads((shared.folder() / FILE).read_text(encoding="utf-8"))
                self._groups = groups
            return self._groups.get(nodeid, nodeid)

    config.option.loadscopereorder = False
    return GroupScheduling(config, log)
