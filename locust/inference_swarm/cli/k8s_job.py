"""`k8s-job`: one headless run on a Kubernetes cluster, from nothing to its results and exit code."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from inference_swarm.cli.command_line import STOPPED, require_writable, run_command
from inference_swarm.cli.k8s_manifests import Rendered, make_parser, parse_arguments, render
from inference_swarm.cli.k8s_pods import INCOMPLETE, Pod, exit_code, hopeless, of_component, progress
from inference_swarm.cli.k8s_results import copy_results
from inference_swarm.cli.kubectl import Kubectl, KubectlError
from inference_swarm.cli.processes import ENDING_SIGNALS, CommandError
from inference_swarm.program import PROGRAM

SELECTOR = "app.kubernetes.io/name=inference-swarm"
LOOK_PERIOD_S = 2.0
WORKERS_LOOK_PERIOD_S = 10.0
HOPELESS_FOR_S = 10.0


class Job:
    """One run on a cluster."""

    def __init__(self, kubectl: Kubectl, rendered: Rendered, say: Callable[[str], None]) -> None:
        self._kubectl = kubectl
        self._rendered = rendered
        self._say = say
        self._had_namespace = False
        self._has_said_hopeless = False
        self._log: subprocess.Popen[bytes] | None = None

    def check(self) -> None:
        """Raises CommandError when something stands in the way; changes nothing."""
        kubectl, namespace = self._kubectl, self._rendered.namespace
        self._had_namespace = kubectl.exists("namespace", namespace)
        for kind in ("job", "deployment") if self._had_namespace else ():
            if kubectl.exists(kind, "swarm-master"):
                raise CommandError(
                    f"The namespace {namespace} holds a {kind} swarm-master already.\n"
                    f"  Fix: choose another with --namespace, or delete it first: kubectl -n {namespace} "
                    f"delete {kind} swarm-master swarm-worker"
                )
        missing = [name for name in self._rendered.secrets if not kubectl.exists("secret", name)]
        if missing:
            raise CommandError(
                f"There is no Secret {', '.join(missing)} in the namespace {namespace}.\n"
                f"  Fix: {PROGRAM} k8s-secrets --namespace {namespace}; "
                "the README of the component says what is in it."
            )

    def apply(self) -> None:
        """From here on there is something to remove."""
        self._say(f"applying to the namespace {self._rendered.namespace}")
        self._kubectl.run("apply", "-f", "-", text=self._rendered.text)

    def wait_for_start(self, timeout_s: float) -> None:
        """Until the master's container has begun. Raises CommandError."""
        deadline_s, hopeless_since_s, said = time.monotonic() + timeout_s, None, ""
        while True:
            pods = self._pods()
            line = progress(pods, self._rendered.workers)
            if line != said:
                self._say(line)
                said = line
            masters = of_component(pods, "master")
            if masters and (_has_begun(masters[-1]) or exit_code(masters[-1])):
                return
            problem = hopeless(pods)
            hopeless_since_s = (hopeless_since_s or time.monotonic()) if problem else None
            if hopeless_since_s and time.monotonic() - hopeless_since_s >= HOPELESS_FOR_S:
                raise CommandError(problem)
            if time.monotonic() > deadline_s:
                raise CommandError(f"The master has not started in {timeout_s:g} s: {line}.", exit_code=INCOMPLETE)
            time.sleep(LOOK_PERIOD_S)

    def follow(self) -> tuple[int, str]:
        """Shows the master's log until it has ended; its exit code and a word on it."""
        since: list[str] = []
        while True:
            self._log = self._kubectl.start("logs", "-f", "job/swarm-master", "-c", "master", *since)
            self._wait_for_log(self._log)
            masters = of_component(self._pods(), "master")
            if not masters:
                return INCOMPLETE, "the master's pod is gone"
            end = exit_code(masters[-1])
            if end:
                return end
            since = ["--since=2s"]  # the connection broke, not the run
            time.sleep(LOOK_PERIOD_S)

    def _wait_for_log(self, log: subprocess.Popen[bytes]) -> None:
        """Meanwhile the master may wait for workers that cannot start: that is said, once, as it does not know."""
        while True:
            try:
                log.wait(timeout=WORKERS_LOOK_PERIOD_S)
                return
            except subprocess.TimeoutExpired:
                problem = "" if self._has_said_hopeless else hopeless(self._pods())
                if problem:
                    self._has_said_hopeless = True
                    self._say(problem)

    def stop(self) -> None:
        """SIGTERM for the master, which then writes its results."""
        self._kubectl.run("delete", "job", "swarm-master", "--cascade=foreground", "--wait", timeout_s=150)

    def copy(self, results: Path, master: dict[str, Any]) -> None:
        """Results out of the volume."""
        folders = copy_results(self._kubectl, master, results)
        for folder in folders:
            self._say(f"results: {folder}/")
        if not folders:
            self._say("the run has left no results")

    def master(self) -> dict[str, Any] | None:
        """The master's pod."""
        masters = of_component(self._pods(), "master")
        return dict(masters[-1]) if masters else None

    def remove(self) -> None:
        """Everything that `apply` made; the namespace too, unless it was there before. What fails is said."""
        if self._log is not None and self._log.poll() is None:
            self._log.terminate()
        self._say("removing it from the cluster")
        namespace = self._rendered.namespace
        try:
            if self._had_namespace:
                text = self._rendered.removable()
                self._kubectl.run("delete", "-f", "-", "--ignore-not-found", "--timeout=120s", text=text, timeout_s=150)
            else:
                self._kubectl.run(
                    "delete", "namespace", namespace, "--ignore-not-found", "--timeout=180s", timeout_s=200
                )
        except KubectlError as error:
            print(f"{error}\n  Fix: look what is left in the namespace {namespace}.", file=sys.stderr)

    def _pods(self) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self._kubectl.get("pods", "-l", SELECTOR)["items"]
        return items


def _has_begun(pod: Pod) -> bool:
    return any("running" in status.get("state", {}) for status in pod.get("status", {}).get("containerStatuses", ()))


def run_job(job: Job, options: argparse.Namespace) -> int:
    """The whole life of the job; the exit code."""
    job.check()
    code: int | None = None
    word, master = "", None
    try:
        try:
            job.apply()
            job.wait_for_start(options.start_timeout)
            master = job.master()
            code, word = job.follow()
        except KeyboardInterrupt:
            code = STOPPED
            say("stopping the run; once more Ctrl-C leaves its results behind")
            if master is not None:
                job.stop()
        if master is not None:
            job.copy(options.results, master)
    except KeyboardInterrupt:
        code = STOPPED
    except KubectlError as error:
        print(error, file=sys.stderr)
        # A verdict without its files is no more than incomplete; a bad one stays as it is.
        code = error.exit_code if code is None else code or INCOMPLETE
    finally:
        for number in ENDING_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        if not options.keep:
            job.remove()
    if word:
        print(word, file=sys.stderr)
    assert code is not None
    return code


def say(text: str) -> None:
    """A step, at once."""
    print(f"=== {text}", flush=True)


def _raise_interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main(args: list[str] | None = None) -> int:
    """Entry point."""
    signal.signal(signal.SIGTERM, _raise_interrupt)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _raise_interrupt)
    options = parse_arguments(args)

    def command() -> int:
        require_writable(options.results)
        rendered = render(options)
        return run_job(Job(Kubectl(options.context, rendered.namespace), rendered, say), options)

    return run_command(command)


__all__ = ["main", "make_parser"]

if __name__ == "__main__":
    sys.exit(main())
