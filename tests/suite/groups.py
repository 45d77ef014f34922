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
    from xdist.workermanage import WorkerController

FILE = "groups.json"
AHEAD = 2


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

        def remove_node(self, node: WorkerController) -> str | None:
            """The test in which the process ended is not run again: it might end the next one as well."""
            open_units = {scope: unit for scope, unit in self.assigned_work.pop(node).items() if not all(unit.values())}
            if not open_units:
                return None
            crashed_unit = next(iter(open_units.values()))
            crashed = next(name for name, is_done in crashed_unit.items() if not is_done)
            crashed_unit[crashed] = True
            self.workqueue.update({scope: unit for scope, unit in open_units.items() if not all(unit.values())})
            for other in self.nodes:
                self._reschedule(other)
            return crashed

        def _reschedule(self, node: WorkerController) -> None:
            """A process begins a test when it knows the next, or that there is none: a lone one would wait."""
            if node.shutting_down:
                return
            while self.workqueue and self._pending_of(self.assigned_work[node]) <= AHEAD:
                self._assign_work_unit(node)
            if not self.workqueue:
                node.shutdown()

    config.option.loadscopereorder = False
    return GroupScheduling(config, log)
