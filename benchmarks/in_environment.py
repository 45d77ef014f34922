"""First import of every benchmark: begins it again in the scripts' virtual environment when this Python lacks packages.

So `benchmarks/throughput` runs on a fresh clone, as every script does. Standard library only.
"""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

NEEDED = ("gevent", "orjson", "psutil", "pyarrow", "zmq")
IN_ENVIRONMENT = Path(__file__).resolve().parents[1] / "scripts" / "in_environment"
_BEGUN_AGAIN = "SWARM_BENCHMARK_BEGUN_AGAIN"


def begin_where_the_packages_are() -> None:
    """Returns when they are here; else replaces this process."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if not missing:
        return
    if os.environ.get(_BEGUN_AGAIN):
        sys.exit(f"{sys.executable} has no {', '.join(missing)}, though requirements/swarm.txt is installed there.")
    os.environ[_BEGUN_AGAIN] = "1"
    os.execv(IN_ENVIRONMENT, [str(IN_ENVIRONMENT), "swarm", "python", *sys.argv])


begin_where_the_packages_are()
