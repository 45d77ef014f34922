"""A session of pytest inside a test: files of its own, and the plug-ins of this folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
CONFTEST = f"""
import sys
sys.path.insert(0, {str(TESTS)!r})
from suite import alone, closing, groups, leftovers, rules, shared, watchdog
leftovers.GRACE_S = 0.3
leftovers.PATIENCE_S = 1.0

def pytest_configure(config):
    for plugin in (shared, alone, groups, leftovers, watchdog, rules, closing):
        config.pluginmanager.register(plugin)
"""
SETTINGS = """
[pytest]
addopts = --strict-markers -p no:cacheprovider -p xdist -p pytest_timeout
markers =
  processes:
  browser:
  docker:
  alone:
  first:
  needs:
"""


def run_inner(folder: Path, tests: str, *arguments: str, env: dict[str, str] | None = None) -> str:
    """What pytest prints about these tests."""
    (folder / "conftest.py").write_text(CONFTEST, encoding="utf-8")
    (folder / "pytest.ini").write_text(SETTINGS, encoding="utf-8")
    (folder / "test_inner.py").write_text(tests, encoding="utf-8")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "TEST_"))}
    # Other plug-ins of pytest take half of such a session's time.
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments], cwd=folder,
        env={**kept, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **(env or {})}, capture_output=True, text=True, timeout=100,
        check=False,
    )  # fmt: skip
    return done.stdout + done.stderr
