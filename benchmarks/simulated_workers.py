"""Many workers in one process, for `swarm_size`: each is a real agent on a socket of its own. No request is sent.

Its rows are ready at once, it reports as a real worker does (a histogram of each request name, Locust's statistics
beside it), and leaves when it is told to. What the reports hold is made before the run: it is the master that is
measured. Commands come in lines (`join`, `restart RATE`, `stay`), what is known goes out in lines of JSON.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import json
import os
import select
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

import msgpack  # type: ignore[import-untyped]
import numpy as np
import zmq

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "locust"))

from inference_swarm.cluster import agent
from inference_swarm.cluster import agent_events as events
from inference_swarm.cluster.agent_state import Agent, AgentConfig
from inference_swarm.cluster.keys import WORKER, ControlKeys, read_keys
from inference_swarm.cluster.master_clock import MasterClock
from inference_swarm.cluster.protocol import FROM_MASTER, Envelope, Heartbeat, HeartbeatAck, RowsReady, numbers_in
from inference_swarm.measure.counters import RequestCounters
from inference_swarm.measure.snapshot import whole_snapshot

REQUESTS_A_REPORT = 1000  # of each name
KINDS = {kind.type: kind for kind in FROM_MASTER}
TURN_S, STATUS_S, VARIANTS = 0.02, 0.2, 8


def make_reports(name_count: int) -> list[dict[str, Any]]:
    """Reports of a worker as they travel, but for who sends them and when: a few that differ, taken in turn."""
    made, random = [], np.random.default_rng(1)
    for _ in range(VARIANTS):
        names, entries = {}, []
        for number in range(name_count):
            times_ns = (random.lognormal(0, 0.5, REQUESTS_A_REPORT) * 2e6).astype(np.int64)
            counters = RequestCounters(succeeded=REQUESTS_A_REPORT, rows=REQUESTS_A_REPORT)
            counters.latency.record_ns(times_ns)
            counters.service.record_ns(times_ns)
            names[f"POST /invocation/{number}"] = counters
            times_ms, counts = np.unique(np.round(times_ns / 1e6).astype(int), return_counts=True)
            entries.append(
                locust_entry(f"/invocation/{number}", dict(zip(times_ms.tolist(), counts.tolist(), strict=True)))
            )
        snapshot = whole_snapshot("run", "worker", 0, 0.0, 3.0, names).to_wire()
        total = locust_entry("Aggregated", entries[0]["response_times"], REQUESTS_A_REPORT * name_count)
        made.append({"snapshot": snapshot, "locust": {"stats": entries, "stats_total": total, "errors": {}}})
    return made


def locust_entry(name: str, times_ms: dict[int, int], count: int = REQUESTS_A_REPORT) -> dict[str, Any]:
    return {
        "name": name, "method": "POST", "last_request_timestamp": time.time(), "start_time": time.time(),
        "num_requests": count, "num_none_requests": 0, "num_failures": 0, "total_response_time": 2.0 * count,
        "max_response_time": 9.0, "min_response_time": 0.5, "total_content_length": 19 * count,
        "response_times": times_ms, "num_reqs_per_sec": {}, "num_fail_per_sec": {},
    }  # fmt: skip


class SimulatedWorker:
    """A real agent on a socket of its own; its rows are ready at once, its users send nothing."""

    def __init__(self, everybody: Everybody, name: str) -> None:
        self.everybody, self.name = everybody, name
        self.state = Agent(AgentConfig(name, files_limit=1_000_000), MasterClock(""))
        self.is_over = False
        self.began_s = self.reported_s = 0.0
        self.sequence = 0
        self.beats: deque[tuple[int, float]] = deque()
        self.open()

    def open(self) -> None:
        self.socket = self.everybody.context.socket(zmq.DEALER)
        for option, value in (
            (zmq.IDENTITY, self.name.encode()), (zmq.LINGER, 2000),
            *self.everybody.key_options,
        ):  # fmt: skip
            self.socket.setsockopt(option, value)
        self.socket.connect(f"tcp://127.0.0.1:{self.everybody.port}")
        self.everybody.watch(self)

    def take_messages(self) -> None:
        while not self.is_over:
            try:
                data = self.socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                return
            now_s = time.monotonic()
            kind, wire, _ = msgpack.unpackb(data, strict_map_key=False)
            if kind in KINDS:
                envelope = Envelope.from_wire(KINDS[kind], wire)
                if isinstance(envelope.message, HeartbeatAck):
                    self.note_ack(envelope.message.beat, now_s)
                self.feed(envelope, now_s)

    def note_ack(self, beat: int, now_s: float) -> None:
        while self.beats and self.beats[0][0] <= beat:
            self.everybody.acks_s.append(now_s - self.beats.popleft()[1])

    def feed(self, event: Any, now_s: float) -> None:
        inbox = [event]
        while inbox:
            for action in agent.step(self.state, inbox.pop(0), now_s):
                inbox += self.execute(action, now_s)
        self.everybody.wake(self, agent.wake_s(self.state, now_s))

    def execute(self, action: Any, now_s: float) -> list[Any]:
        """What happens because of it."""
        match action:
            case events.SendToMaster(session, message):
                if isinstance(message, Heartbeat):
                    self.beats.append((message.beat, now_s))
                wire = Envelope(session, message).to_wire()
                self.socket.send(msgpack.packb((message.type, wire, self.name)))
            case events.OpenChannel():
                self.everybody.forget(self)
                self.socket.close(linger=0)
                self.beats.clear()
                self.open()
            case events.Hold(order):
                blocks = len(numbers_in(order.blocks))
                return [events.RowsAreReady(RowsReady(order.run_id, order.generation, blocks, 1, 1, 0.0, False))]
            case events.BeginRecording(_, began_s):
                self.began_s = self.reported_s = began_s
            case events.StopUsers(token):
                return [events.UsersStopped(token)]
            case events.TakeSnapshot(run_id, is_final):
                return [self.snapshot(run_id, now_s, is_final=is_final)]
            case events.EndWorkerProcess():
                self.is_over = True
                self.everybody.over(self)
        return []

    def snapshot(self, run_id: str, now_s: float, *, is_final: bool) -> events.SnapshotTaken:
        users = dict(self.state.users)
        start_s, end_s = max(0.0, self.reported_s - self.began_s), max(0.0, now_s - self.began_s)
        report = self.everybody.next_report()
        about = {"run_id": run_id, "worker": self.name, "sequence": self.sequence, "users": sum(users.values()),
                 "is_final": is_final, "start_s": start_s, "end_s": end_s}  # fmt: skip
        (part,) = report["snapshot"]["slices"]
        second = (int(end_s), REQUESTS_A_REPORT * len(part["names"]), 0, 0)
        snapshot = {**report["snapshot"], **about, "slices": [{**part, "start_s": start_s, "end_s": end_s}],
                    "seconds": [second]}  # fmt: skip
        locust = {**report["locust"], "user_classes_count": users, "user_count": sum(users.values())}
        taken = events.SnapshotTaken(run_id, self.sequence, is_final, snapshot, locust)
        self.sequence, self.reported_s = self.sequence + 1, now_s
        self.everybody.reports += 1
        return taken


class Everybody:
    """The workers of this process, the sockets that have something for them, and when each is due."""

    def __init__(self, port: int, first: int, count: int, names: int, keys: ControlKeys | None) -> None:
        self.port, self.names = port, names
        self.context = zmq.Context[Any]()
        self.context.set(zmq.MAX_SOCKETS, 4 * count + 100)
        self.key_options = [] if keys is None else [
            (zmq.CURVE_SECRETKEY, keys.secret), (zmq.CURVE_PUBLICKEY, keys.public),
            (zmq.CURVE_SERVERKEY, keys.public_of_others[0]),
        ]  # fmt: skip
        self.reports_made, self.reports = make_reports(names), 0
        self.poller = zmq.Poller()
        self.by_socket: dict[Any, SimulatedWorker] = {}
        self.due: list[tuple[float, int, SimulatedWorker]] = []
        self.due_s: dict[SimulatedWorker, float] = {}
        self.acks_s: list[float] = []
        self.longest_turn_s, self.unconfirmed = 0.0, 0
        self.turns = itertools.count()  # settles ties
        self.ending: deque[SimulatedWorker] = deque()
        self.ends_per_s = 0.0
        self.replaced = 0
        self.workers = [SimulatedWorker(self, f"simulated_{first + number:05d}") for number in range(count)]

    def next_report(self) -> dict[str, Any]:
        return self.reports_made[self.reports % VARIANTS]

    def watch(self, worker: SimulatedWorker) -> None:
        self.by_socket[worker.socket] = worker
        self.poller.register(worker.socket, zmq.POLLIN)

    def forget(self, worker: SimulatedWorker) -> None:
        if self.by_socket.pop(worker.socket, None) is not None:
            self.poller.unregister(worker.socket)

    def wake(self, worker: SimulatedWorker, due_s: float) -> None:
        self.due_s[worker] = due_s
        heapq.heappush(self.due, (due_s, next(self.turns), worker))

    def over(self, worker: SimulatedWorker) -> None:
        """A worker has ended; in a rolling restart another one takes its place."""
        self.forget(worker)
        self.unconfirmed += len(worker.state.undelivered)
        worker.socket.close()
        self.due_s.pop(worker, None)
        place = self.workers.index(worker)
        if self.ends_per_s:
            self.replaced += 1
            new = self.workers[place] = SimulatedWorker(self, f"{worker.name.partition('-')[0]}-{self.replaced:05d}")
            self.wake(new, 0.0)

    def turn(self, now_s: float) -> None:
        for socket, _ in self.poller.poll(0):
            self.by_socket[socket].take_messages()
        while self.due and self.due[0][0] <= now_s:
            due_s, _, worker = heapq.heappop(self.due)
            if self.due_s.get(worker) == due_s and not worker.is_over:
                worker.feed(events.AgentTick(), now_s)

    def status(self) -> dict[str, Any]:
        acks_s, self.acks_s = self.acks_s, []
        longest_s, self.longest_turn_s = self.longest_turn_s, 0.0
        living = [worker for worker in self.workers if not worker.is_over]
        return {
            "joined": sum(worker.state.is_joined for worker in living), "living": len(living),
            "users": sum(sum(worker.state.users.values()) for worker in living), "reports": self.reports,
            "ending": len(self.ending), "replaced": self.replaced, "unconfirmed": self.unconfirmed,
            "rejoined": sum(max(0, worker.state.session - 1) for worker in self.workers),
            "worst_ack_s": round(max(acks_s, default=0.0), 3), "longest_turn_s": round(longest_s, 3),
        }  # fmt: skip

    def command(self, words: list[str]) -> None:
        match words:
            case ["join"]:
                for worker in self.workers:
                    self.wake(worker, 0.0)
            case ["restart", per_s]:
                self.ending, self.ends_per_s = deque(self.workers), float(per_s)
            case ["stay"]:  # whoever ends now has no successor
                self.ends_per_s = 0.0
            case _:
                sys.exit(f"unknown command {words}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("port", "first", "count", "names"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--keys", type=Path)
    options = parser.parse_args()
    keys = None if options.keys is None else read_keys(options.keys, WORKER)
    everybody = Everybody(options.port, options.first, options.count, options.names, keys)
    last_s = status_s = ended_s = time.monotonic()
    ended = 0.0
    while any(not worker.is_over for worker in everybody.workers):
        now_s = time.monotonic()
        everybody.longest_turn_s = max(everybody.longest_turn_s, now_s - last_s)
        if select.select([0], [], [], 0)[0]:
            said = os.read(0, 4096)
            if not said:
                return  # the benchmark is gone
            for line in said.decode().splitlines():
                everybody.command(line.split())
                ended_s, ended = now_s, 0.0
        while everybody.ending and ended < (now_s - ended_s) * everybody.ends_per_s:
            ended += 1
            everybody.ending.popleft().feed(events.EndAsked("a rolling restart"), now_s)
        everybody.turn(now_s)
        if now_s - status_s > STATUS_S:
            status_s = now_s
            print(json.dumps(everybody.status()), flush=True)
        last_s = now_s
        time.sleep(max(0.0, TURN_S - (time.monotonic() - now_s)))
    print(json.dumps(everybody.status()), flush=True)


if __name__ == "__main__":
    main()
