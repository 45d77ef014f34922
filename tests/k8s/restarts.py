"""Starts containers again that have ended, as a kubelet does: at once, then after 10 s, 20 s, 40 s, …, 5 minutes."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType

from running_pod import RunningPod, docker

LOOK_PERIOD_S = 0.5
FIRST_BACK_OFF_S = 10.0
MAX_BACK_OFF_S = 300.0


@dataclass(slots=True)
class Restarts:
    """Of these pods, from `with` on. `codes` has for each pod what its container ended with, each time that it did."""

    pods: Sequence[RunningPod]
    codes: dict[str, list[int]] = field(default_factory=dict)
    _is_over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Restarts:
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._thread is not None
        self._is_over.set()
        self._thread.join()

    def _watch(self) -> None:
        due_s: dict[str, float] = {}
        names = [pod.name for pod in self.pods]
        while not self._is_over.wait(LOOK_PERIOD_S):
            form = "{{slice .Name 1}} {{.State.Running}} {{.State.ExitCode}}"
            for line in docker("inspect", "--format", form, *names).splitlines():
                name, is_running, code = line.split()
                if is_running == "true":
                    continue
                if name not in due_s:
                    codes = self.codes.setdefault(name, [])
                    codes.append(int(code))
                    due_s[name] = time.monotonic() + back_off_s(len(codes))
                if time.monotonic() >= due_s[name]:
                    docker("start", name)
                    del due_s[name]


def back_off_s(times: int) -> float:
    """How long a container stays down that has ended for this time."""
    return 0.0 if times == 1 else min(MAX_BACK_OFF_S, FIRST_BACK_OFF_S * 2.0 ** (times - 2))
