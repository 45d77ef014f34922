"""Identifies what a process's monotonic clock counts from. An edge: /proc."""

from __future__ import annotations

from functools import cache
from pathlib import Path


@cache
def boot_id() -> str:
    """Return an id that is equal in processes with the same monotonic clock (also in containers); empty if unknown."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
