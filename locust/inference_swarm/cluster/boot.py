"""What a process's monotonic clock counts from. An edge: /proc."""

from __future__ import annotations

from functools import cache
from pathlib import Path


@cache
def boot_id() -> str:
    """Processes with the same one read the same monotonic clock (containers of one machine too); empty if unknown."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
