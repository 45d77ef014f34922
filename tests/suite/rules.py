"""Markers that follow from what a test uses, its time limit, its place in the order, and who runs it.

A plug-in of pytest, registered by tests/conftest.py. `scripts/test --fast` chooses by these markers, so a test that
starts a process and does not say so fails.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Generator
from importlib.abc import Loader
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

import pytest
from suite.alone import may_have_priority

# A test that asks for one of these fixtures does what the marker says.
MARKER_OF_FIXTURE = {
    "swarm": "processes",
    "start_server": "servers",
    "web": "processes",
    "browser": "browser",
    "docker_engine": "docker",
    "image_tag": "docker",
    "project": "docker",
}
STARTS_PROCESSES = ("processes", "browser", "docker")
# What only hangs reach: several times what a test takes on a machine whose cores are busy with something else.
LIMITS_S = {"docker": 900, "alone": 600, "browser": 300, "processes": 300}
LIMIT_S = 120
# What takes seconds to make for a session is made once: the tests that use it stay in one process of pytest.
GROUP_OF_FIXTURE = {"trained": "trained"}
# Long ones first, so that none is left when all others have ended; those that measure, which wait for each other, are.
ORDER = ("docker", "alone", "long", "browser", "processes")

LONGEST_WITH_DOCKER = "test_web_ui_swarm"
OF_KUBERNETES = "k8s"
GZIP_MAGIC = b"\x1f\x8b"

_undeclared: list[str] = []  # the test that runs now, if its markers say that it starts no process


def pytest_configure() -> None:
    sys.addaudithook(_refuse_undeclared)
    if "locust" not in sys.modules:  # tests/patched.py starts sessions that have it from the start
        sys.meta_path.insert(0, _NoLocust())


class _NoLocust(Loader):
    """Locust replaces threads and locks of the whole process, also those of pytest-xdist, which then waits for ever."""

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> ModuleSpec | None:
        """Where it is may be asked; only the import is refused."""
        spec = PathFinder.find_spec(name) if name == "locust" else None
        if spec is not None:
            spec.loader = self
        return spec

    def exec_module(self, module: ModuleType) -> None:
        raise ImportError(
            "A test imports Locust into pytest's own process, and would change it for all others. "
            "Fix: put it into a file of cases for tests/patched.py, as in tests/wiring/test_patched.py."
        )


def pytest_make_parametrize_id(val: object) -> str | None:
    """What gzip writes has the time in it, and the name of a test must be the same in each process of pytest."""
    return "gzip" if isinstance(val, bytes) and GZIP_MAGIC in val else None


def pytest_itemcollected(item: pytest.Item) -> None:
    """Before pytest chooses by markers."""
    fixtures = getattr(item, "fixturenames", ())
    markers = markers_of(item)
    for fixture, marker in MARKER_OF_FIXTURE.items():
        if fixture in fixtures and marker not in markers:
            item.add_marker(marker)
            markers.add(marker)
    if "timeout" not in markers:
        limits = [limit for name, limit in LIMITS_S.items() if name in markers]
        item.add_marker(pytest.mark.timeout(max(limits, default=LIMIT_S)))
    if group := group_of(item, markers):
        item.add_marker(pytest.mark.xdist_group(group))


def markers_of(item: pytest.Item) -> set[str]:
    """The names of all, in one walk."""
    return {marker.name for marker in item.iter_markers()}


def group_of(item: pytest.Item, markers: set[str]) -> str:
    """The name of those tests that one process of pytest runs in turn; empty when any may."""
    if "xdist_group" in markers:
        return ""  # it has said so itself
    # One of each at a time: they are in each other's way, and more would leave all others without a core for too long.
    if "alone" in markers:
        return "alone"
    if "first" in markers and may_have_priority():
        return "first"
    if "docker" in markers:
        # The tests of a file share their containers.
        if OF_KUBERNETES in item.path.parts:
            return "docker-k8s"
        return "docker" if item.path.stem == LONGEST_WITH_DOCKER else "docker-others"
    fixtures = getattr(item, "fixturenames", ())
    return next((group for fixture, group in GROUP_OF_FIXTURE.items() if fixture in fixtures), "")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """By kind; within a kind as they stand in the files."""
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    markers = markers_of(item)
    if "alone" in markers and not may_have_priority():
        return len(ORDER) + 1
    place = next((place for place, name in enumerate(ORDER) if name in markers), len(ORDER))
    # What one process runs in turn takes long as a whole.
    return min(place, ORDER.index("long")) if "xdist_group" in markers else place


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """What the test may start, while it runs."""
    if any(item.get_closest_marker(marker) for marker in STARTS_PROCESSES):
        return (yield)
    _undeclared.append(item.nodeid)
    try:
        return (yield)
    finally:
        _undeclared.clear()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """`needs(program, package)`: without the program a test is skipped on a laptop, and fails in CI."""
    for marker in item.iter_markers("needs"):
        program, package = marker.args
        if not shutil.which(program):
            reason = f"needs {program} ({package})"
            if os.environ.get("CI") == "true":
                pytest.fail(reason, pytrace=False)
            pytest.skip(reason)


def _refuse_undeclared(event: str, _arguments: tuple[object, ...]) -> None:
    """The interpreter asks before it does what `event` says; an audit hook stays until its end."""
    if _undeclared and event in ("subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system"):
        raise RuntimeError(
            f"{_undeclared[0]} starts a process ({event}), and has none of the markers {', '.join(STARTS_PROCESSES)}. "
            "Fix: mark it, so that scripts/test --fast leaves it out."
        )
