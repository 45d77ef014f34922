"""How many connections this process can have: it may open so many files. An edge: the process's limits."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Final

FILES_BESIDE_CONNECTIONS: Final = 100
"""Libraries, data, logs, the channel to the master: measured are 40 to 70."""
_ENOUGH: Final = 1_048_576  # of a process whose hard limit is "unlimited"


def raise_file_limit() -> int:
    """Let this process open as many files as it is allowed to; returns their number, 0 where that is not known."""
    try:
        import resource
    except ImportError:
        return 0
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if soft not in (resource.RLIM_INFINITY, wanted) and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    return _ENOUGH if soft == resource.RLIM_INFINITY else soft


def reason_against_users(users: int, connections_each: int, limits: dict[str, int]) -> str:
    """Return why so many users cannot be connected, and the fix; empty if they can. `limits`: files by worker."""
    if not (users and connections_each and limits):
        return ""
    needed = math.ceil(users / len(limits)) * connections_each
    short = {worker: limit for worker, limit in limits.items() if 0 < limit < needed + FILES_BESIDE_CONNECTIONS}
    if not short:
        return ""
    worker, limit = min(short.items(), key=lambda one: one[1])
    others = f" ({len(short)} workers are short of files)" if len(short) > 1 else ""
    can = max(0, limit - FILES_BESIDE_CONNECTIONS) // connections_each * len(limits)
    return (
        f"{users:,} users on {len(limits):,} workers need {needed:,} connections on each, and worker {worker} may have "
        f"{limit:,} files open{others}\n"
        f"  Expected: at most {can:,} users with these workers\n"
        "  Fix: raise the hard limit where the workers start (ulimit -Hn, `ulimits: nofile` in compose, LimitNOFILE= "
        "in systemd), add workers, or take fewer users"
    )
