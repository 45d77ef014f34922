"""Finds how many processes the usable cores can carry: affinity and the quota of its control groups.

A container with a quota still sees every core of its machine. Files come in through a function, so that both versions
of control groups are plain text here; `cpus_of_this_process` is the edge.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

ReadFile = Callable[[str], str | None]

_MEMBERSHIP = "/proc/self/cgroup"
_MOUNT = "/sys/fs/cgroup"


@dataclass(frozen=True, slots=True)
class Cpus:
    """Cores by affinity, and the quota in cores (None: as much as there is)."""

    cores: int
    quota: float | None = None

    @property
    def processes(self) -> int:
        """The number of busy processes that get a core each; one more would be throttled during measurements."""
        return self.cores if self.quota is None else max(1, min(self.cores, int(self.quota)))

    @property
    def note(self) -> str:
        """A sentence about a quota that limits the processes; empty without one."""
        if self.quota is None or self.quota >= self.cores:
            return ""
        count = self.processes
        noun = "process" if count == 1 else "processes"
        sentence = f"{count} worker {noun}: the CPU quota is {self.quota:g} of {self.cores} cores."
        if self.quota < 1:
            sentence += " Below 1 even a single worker is held back, and measures that."
        return sentence


def cpus_of_this_process() -> Cpus:
    """Return the cores that the operating system and the container allow."""
    if sys.platform != "linux":
        return Cpus(os.cpu_count() or 1)
    return Cpus(len(os.sched_getaffinity(0)), read_quota(_read))


def read_quota(read: ReadFile) -> float | None:
    """The smallest quota of the groups that this process is in, in cores; of version 1, version 2 or both."""
    quotas = [quota for line in (read(_MEMBERSHIP) or "").splitlines() for quota in _quotas_of(line, read)]
    return min(quotas, default=None)


def _quotas_of(line: str, read: ReadFile) -> Iterator[float]:
    """Read the quotas of one hierarchy, a line as `0::/pod/x` (version 2) or `4:cpu,cpuacct:/docker/x` (version 1)."""
    parts = line.split(":", 2)
    if len(parts) != 3:
        return
    number, controllers, path = parts
    if number == "0" and not controllers:
        for group in _groups(_MOUNT, path):
            yield from _ratio(*(read(f"{group}/cpu.max") or "").split())
    elif "cpu" in controllers.split(","):
        for mount in dict.fromkeys((f"{_MOUNT}/{controllers}", f"{_MOUNT}/cpu")):
            for group in _groups(mount, path):
                quota, period = (read(f"{group}/cpu.cfs_{name}_us") for name in ("quota", "period"))
                yield from _ratio(quota or "", period or "")


def _groups(mount: str, path: str) -> Iterator[str]:
    """Yield the group and all above it. In a container the mount itself is often the container's own group."""
    group = PurePosixPath(mount, path.lstrip("/"))
    while str(group) != mount:
        yield str(group)
        group = group.parent
    yield mount


def _ratio(*texts: str) -> Iterator[float]:
    """Return quota by period; nothing for `max`, -1 and what is not a number."""
    if len(texts) == 2 and all(text.strip().isdecimal() for text in texts):
        quota, period = (int(text) for text in texts)
        if quota > 0 and period > 0:
            yield quota / period


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:
        return None
