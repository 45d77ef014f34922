"""First container of compose, never root: sees to it that results can be written and that there are keys.

Docker makes a missing bind folder as root's. The hook in compose.yaml (docker/fix-permissions) opens such a folder, and
only such a one, to the user of the containers, then leaves HOOK_DONE for us.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

APP = Path(__file__).resolve().parent.parent
WRITTEN = [Path("experiment-results") / name for name in (".", "runs", "run_table.csv")]
HOOK_DONE = Path("/tmp/hook-done")
HOOK_WITHIN_S = 20.0
HOOK_ENDS_S = 0.5  # the hook's shell is still ending: it must not be killed with us


def main() -> int:
    """0 when the swarm can start."""
    wait_for_hook()
    problem = closed_results() or missing_keys(os.environ.get("SWARM_KEYS", ""))
    sys.stderr.write(problem)
    return 2 if problem else 0


def wait_for_hook() -> None:
    """Until the results folder is as open as it will get."""
    deadline_s = time.monotonic() + HOOK_WITHIN_S
    while not HOOK_DONE.exists() and time.monotonic() < deadline_s:
        time.sleep(0.1)
    time.sleep(HOOK_ENDS_S)


def closed_results() -> str:
    """What cannot be written and how to fix it; empty when all can."""
    closed = [path for path in WRITTEN if path.exists() and not os.access(path, os.W_OK)]
    if not closed:
        return ""
    names = " ".join(map(str, closed))
    return (
        f"The containers run as user {os.getuid()} and may not write to {names}, which belongs to user "
        f"{closed[0].stat().st_uid}.\n"
        "  Fix: run them as yourself: put SWARM_UID and SWARM_GID (your `id -u` and `id -g`) into .env;\n"
        f"  or open what is there: chmod a+rwX {names}\n"
    )


def missing_keys(folder: str) -> str:
    """Makes keys of the control channel in the volume when it holds none. Returns what is wrong, if anything."""
    if not folder:
        return ""
    secret = Path(folder) / "master.key_secret"
    try:
        if not secret.exists():
            sys.path.insert(0, str(APP / "locust"))
            from inference_swarm.cluster.keys import make_keys

            make_keys(Path(folder))
        secret.read_bytes()
    except OSError as error:
        return (
            f"The keys in {folder} cannot be used by user {os.getuid()}: {error.strerror}.\n"
            "  Fix: if SWARM_UID was changed, make new ones: docker compose down --volumes\n"
        )
    return ""


if __name__ == "__main__":
    sys.exit(main())
