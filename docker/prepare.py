"""First container of compose: waits until the results folder may be written to, else says what to do. Never root.

Docker makes a missing bind folder as root's. The hook in compose.yaml (docker/open-results) opens such a folder, and
only such a one, to the user of the containers, then leaves HOOK_DONE for us.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

WRITTEN = [Path("experiment-results") / name for name in (".", "runs", "run_table.csv")]
HOOK_DONE = Path("/tmp/hook-done")
HOOK_WITHIN_S = 20.0
HOOK_ENDS_S = 1.0  # the hook's shell is still ending: it must not be killed with us


def main() -> int:
    """0 when results can be written."""
    deadline_s = time.monotonic() + HOOK_WITHIN_S
    while not HOOK_DONE.exists() and time.monotonic() < deadline_s:
        time.sleep(0.1)
    time.sleep(HOOK_ENDS_S)
    closed = [path for path in WRITTEN if path.exists() and not os.access(path, os.W_OK)]
    if not closed:
        return 0
    names = " ".join(map(str, closed))
    sys.stderr.write(
        f"The containers run as user {os.getuid()} and may not write to {names}, which belongs to user "
        f"{closed[0].stat().st_uid}.\n"
        "  What to do: run them as yourself: put SWARM_UID and SWARM_GID (your `id -u` and `id -g`) into .env;\n"
        f"  or open what is there: chmod a+rwX {names}\n"
    )
    return 2


if __name__ == "__main__":
    sys.exit(main())
