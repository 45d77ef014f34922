"""What users of Locust do at the start and the end of a test may take longer than a silent worker is waited for."""

from __future__ import annotations

import time

import pytest
from recording_server import Recording
from swarm_processes import Swarm

pytestmark = pytest.mark.processes

LISTENER = """
import time
from inference_swarm import InferenceUser, attach
from locust import events

class ModelUser(InferenceUser):
    {body}

@events.init.add_listener
def on_init(environment, runner, **_):
    if type(runner).__name__ == "{runner}":
        for event in "{events}".split():
            longs = [7] * (99 if event == "report_to_master" else 1)
            getattr(environment.events, event).add_listener(
                lambda longs=longs, **_: time.sleep(longs.pop() if longs else 0)
            )

attach()
"""
LOAD_S, USERS, DELAY_S = 9, 4, 0.05


def arguments(swarm: Swarm, recording: Recording, events: str, runner: str, body: str = "pass") -> tuple[str, ...]:
    file, rows = swarm.folder / "listener.py", swarm.folder / "rows.csv"
    file.write_text(LISTENER.format(events=events, runner=runner, body=body), encoding="utf-8")
    rows.write_text("n\n1\n2\n", encoding="utf-8")
    recording.delay_s = DELAY_S
    return (
        "-f", str(file), "--headless", "--host", recording.url, "--data", str(rows), "--results", str(swarm.results),
        "--master-bind-port", str(swarm.master_port), "--master-port", str(swarm.master_port),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("events", "runner"),
    [
        ("test_start", "SwarmWorkerRunner"),
        ("test_stopping", "SwarmWorkerRunner"),
        ("spawning_complete report_to_master", "SwarmWorkerRunner"),
        ("spawning_complete", "SwarmMasterRunner"),
        ("worker_connect", "SwarmMasterRunner"),
    ],
)
def test_a_listener_that_takes_long_keeps_no_message_waiting(
    swarm: Swarm, recording: Recording, events: str, runner: str
) -> None:
    done = swarm.run(
        *arguments(swarm, recording, events, runner), "--processes", "1", "-u", str(USERS), "-r", "100", "-t",
        f"{LOAD_S}s", "--stop-timeout", "5",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "is lost" not in done.stderr
    assert "is gone" not in done.stderr
    summary = swarm.summary()
    assert summary["requests"] == recording.count > 0
    assert summary["duration_s"] == pytest.approx(LOAD_S, abs=3)
    assert recording.count <= (summary["duration_s"] + 1) * USERS / DELAY_S  # nothing after the load had ended


MESSAGE = """
import time
from pathlib import Path
from inference_swarm import InferenceUser, attach
from locust import events

class ModelUser(InferenceUser):
    pass

def save(msg, **_):
    time.sleep(8)
    Path("saved").touch()

def hear(msg, **_):
    time.sleep(7)
    Path("heard").touch()

@events.init.add_listener
def on_init(environment, runner, **_):
    if type(runner).__name__ == "SwarmMasterRunner":
        runner.register_message("hello", hear)
        environment.events.test_stop.add_listener(lambda **_: Path("seen").write_text(str(Path("heard").exists())))
        environment.events.test_start.add_listener(lambda **_: runner.send_message("save", {}))
    else:
        runner.register_message("save", save)
        environment.events.test_start.add_listener(lambda **_: runner.send_message("hello", {}))

attach()
"""


def test_a_message_of_ones_own_keeps_no_heartbeat_waiting(swarm: Swarm, recording: Recording) -> None:
    options = arguments(swarm, recording, "init", "nobody")
    (swarm.folder / "listener.py").write_text(MESSAGE, encoding="utf-8")
    done = swarm.run(*options, "--processes", "1", "-u", "2", "-r", "100", "-t", "5s")
    assert done.returncode == 0, done.stderr
    assert (swarm.folder / "seen").read_text(encoding="utf-8") == "True"
    assert (swarm.folder / "saved").exists()
    assert "is lost" not in done.stderr
    assert swarm.summary()["requests"] > 100  # users went on while it was heard


@pytest.mark.parametrize("stop_timeout", ["0", "5"])
def test_users_who_take_leave_slowly_are_told_all_at_once(
    swarm: Swarm, recording: Recording, stop_timeout: str
) -> None:
    leave = "wait_time = lambda self: 0.3\n    def on_stop(self):\n        time.sleep(1)"
    began_s = time.monotonic()
    done = swarm.run(
        *arguments(swarm, recording, "init", "nobody", leave), "--processes", "0", "-u", "20", "-r", "100", "-t", "2s",
        "--stop-timeout", stop_timeout,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    summary = swarm.summary()
    assert summary["requests"] <= recording.count <= summary["requests"] + summary["abandoned"]
    assert summary["requests"] > 50
    assert time.monotonic() - began_s < 20  # one after the other they would take so long


SAVING = """
import os, time
from pathlib import Path
from inference_swarm import InferenceUser, attach
from locust import events

class ModelUser(InferenceUser):
    pass

@events.init.add_listener
def on_init(environment, runner, **_):
    def save(**_):
        time.sleep(3)
        Path(f"saved-by-{type(runner).__name__}").touch()
    environment.events.test_stop.add_listener(save)

attach()
"""


@pytest.mark.parametrize("processes", [0, 1])
def test_what_is_saved_at_the_end_of_a_test_is_saved_before_the_process_ends(
    swarm: Swarm, recording: Recording, processes: int
) -> None:
    options = arguments(swarm, recording, "init", "nobody")
    (swarm.folder / "listener.py").write_text(SAVING, encoding="utf-8")
    done = swarm.run(*options, "--processes", str(processes), "-u", "2", "-r", "100", "-t", "2s")
    assert done.returncode == 0, done.stderr
    saved = sorted(path.name.removeprefix("saved-by-") for path in swarm.folder.glob("saved-by-*"))
    assert saved == (["SwarmMasterRunner", "SwarmWorkerRunner"] if processes else ["SwarmLocalRunner"])


TELLING = """
import time
from pathlib import Path
from inference_swarm import InferenceUser, attach
from locust import events

class ModelUser(InferenceUser):
    pass

def hear(msg, **_):
    time.sleep(1)
    Path("heard").write_text(msg.data["said"])

@events.init.add_listener
def on_init(environment, runner, **_):
    def tell(**_):
        time.sleep(2)
        runner.send_message("result", {"said": "all is well"})
    if type(runner).__name__ == "SwarmMasterRunner":
        runner.register_message("result", hear)
    else:
        environment.events.test_stop.add_listener(tell)

attach()
"""


def test_what_a_worker_tells_its_master_at_the_end_of_a_test_is_heard(swarm: Swarm, recording: Recording) -> None:
    options = arguments(swarm, recording, "init", "nobody")
    (swarm.folder / "listener.py").write_text(TELLING, encoding="utf-8")
    done = swarm.run(*options, "--processes", "1", "-u", "2", "-r", "100", "-t", "2s")
    assert done.returncode == 0, done.stderr
    assert (swarm.folder / "heard").read_text(encoding="utf-8") == "all is well"
    assert "is lost" not in done.stderr


SAVING_WORKER = """
import atexit, time
from pathlib import Path
from inference_swarm import InferenceUser, attach
from locust import events

class ModelUser(InferenceUser):
    pass

@events.init.add_listener
def on_init(runner, **_):
    def save():
        time.sleep(2)
        Path("saved").touch()
    if type(runner).__name__ == "SwarmWorkerRunner":
        atexit.register(save)

attach()
"""


def test_a_master_waits_for_the_processes_that_it_has_forked(swarm: Swarm, recording: Recording) -> None:
    options = arguments(swarm, recording, "init", "nobody")
    (swarm.folder / "listener.py").write_text(SAVING_WORKER, encoding="utf-8")
    done = swarm.run(*options, "--processes", "1", "-u", "2", "-r", "100", "-t", "2s")
    assert done.returncode == 0, done.stderr
    assert (swarm.folder / "saved").exists()


QUITTING = """
from inference_swarm import InferenceUser, attach
from locust import events

class ModelUser(InferenceUser):
    pass

@events.init.add_listener
def on_init(environment, runner, **_):
    if type(runner).__name__ == "{runner}":
        environment.events.{event}.add_listener(lambda **_: runner.quit())

attach()
"""


@pytest.mark.parametrize(
    ("event", "runner", "code"),
    [
        ("test_stop", "SwarmWorkerRunner", 0),
        ("report_to_master", "SwarmWorkerRunner", 4),  # nobody sends for the rest of the time
        ("spawning_complete", "SwarmMasterRunner", 4),
        ("spawning_complete", "SwarmLocalRunner", 4),
    ],
)
def test_a_listener_that_asks_its_process_to_quit_loses_nothing_and_does_not_wait_for_itself(
    swarm: Swarm, recording: Recording, event: str, runner: str, code: int
) -> None:
    options = arguments(swarm, recording, "init", "nobody")
    (swarm.folder / "listener.py").write_text(QUITTING.format(event=event, runner=runner), encoding="utf-8")
    processes = "0" if runner == "SwarmLocalRunner" else "1"
    done = swarm.run(*options, "--processes", processes, "-u", "2", "-r", "100", "-t", "5s")
    assert done.returncode == code, done.stderr
    assert "have not returned" not in done.stderr
    assert swarm.summary()["requests"] == recording.count
