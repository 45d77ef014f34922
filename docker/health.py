"""Is this container well? Exit code 0 or 1, and a sentence. Standard library only: it is run every few seconds.

health.py live     swarm image: the event loop of every process turns
health.py ready    swarm image: also, a worker hears its master and has its rows, a master's web UI answers
health.py server   server image: /health answers 200
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from pathlib import Path

STATE_FOLDER = Path(os.environ.get("SWARM_STATE_FOLDER") or "/tmp/inference-swarm")  # as in entrypoint.py
STALE_AFTER_S = 10.0
ANSWER_WITHIN_S = 10.0
SERVER_ANSWERS_WITHIN_S = 55.0  # under full load its queue is long
SERVER_PORT = 8000


def main(question: str) -> str:
    """What is wrong; empty when all is well."""
    if question == "server":
        port = int(os.environ.get("SERVER_PORT") or SERVER_PORT)
        return check_http(port, "/health", {200}, SERVER_ANSWERS_WITHIN_S)
    if question not in ("live", "ready"):
        return f"unknown question {question!r}: expected live, ready or server"
    files = sorted(STATE_FOLDER.glob("process-*.json"))
    if not files:
        if not (STATE_FOLDER / "waiting").exists():
            return "not started yet"
        return "" if question == "live" else "waiting for a master"
    return "; ".join(filter(None, (check_process(json.loads(file.read_text()), question) for file in files)))


def check_process(state: dict[str, object], question: str) -> str:
    """What is wrong with one process, from what it last wrote about itself."""
    now_s = time.monotonic()
    silent_s = now_s - float(str(state["at_s"]))
    if silent_s > STALE_AFTER_S:
        return f"process {state['pid']}: its event loop has not turned for {silent_s:.0f} s"
    if question == "live":
        return ""
    if state["role"] == "worker":
        if not state["is_joined"]:
            return f"process {state['pid']}: no master answers"
        if state.get("is_loading"):
            return f"process {state['pid']}: its rows are being loaded"
    port = state["web_port"]
    return check_http(int(str(port)), "/", {200, 301, 302, 401}) if port else ""


def check_http(port: int, path: str, expected: set[int], within_s: float = ANSWER_WITHIN_S) -> str:
    """What is wrong with the answer to a GET on loopback."""
    try:
        with socket.create_connection(("127.0.0.1", port), within_s) as connection:
            connection.settimeout(within_s)
            connection.sendall(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
            head = connection.recv(64).split()
    except OSError as error:
        return f"port {port}: {error}"
    if len(head) < 2 or not head[1].isdigit() or int(head[1]) not in expected:
        return f"port {port}: {path} answered {head[:2]}"
    return ""


if __name__ == "__main__":
    problem = main(sys.argv[1] if len(sys.argv) > 1 else "ready")
    sys.stdout.write((problem or "well") + "\n")
    sys.exit(1 if problem else 0)
