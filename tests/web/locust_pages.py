"""What Locust's own routes say and cost with N workers, with our part attached; a program, as Locust patches.

    locust_pages.py FOLDER WORKERS

Prints a JSON object: what each route says, and the CPU time of a response in ms. Locust keeps that of /stats/requests
for two seconds; `stats_ms` is of one for which nothing was kept, `stats_kept_ms` of the others.
"""

import locust  # noqa: F401 - first: it makes the standard library cooperative  # isort: skip

import csv
import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from flask import request
from locust.argument_parser import parse_options
from locust.env import Environment
from locust.runners import WorkerNode, WorkerNodes
from locust.stats import RequestStats, StatsCSV, setup_distributed_stats_event_listeners
from locust.web import WebUI
from many_workers import Runner, cpu_ms, make_run

from inference_swarm import InferenceUser
from inference_swarm.cluster.run_rows import RowsState
from inference_swarm.cluster.state import Phase
from inference_swarm.config.command_line import CommandLine
from inference_swarm.web.routes import attach_web
from locust import events

NAMES, REQUESTS, FAILURES, USERS = 20, 50, 2, 500
"""Names of requests; of each what one worker reports; users of each worker."""


class MyUser(InferenceUser):
    """The user class of the locustfile."""


class Plugin:
    """Somebody's extension of Locust: it counts what it is told of, and has a route of its own."""

    def __init__(self, environment: Environment, web_ui: WebUI) -> None:
        self.workers: set[str] = set()
        environment.events.worker_report.add_listener(lambda client_id, **_: self.workers.add(client_id))
        assert web_ui.app is not None
        web_ui.app.add_url_rule("/plugin", "plugin", lambda: {"workers": len(self.workers), "q": request.args["q"]})


def environment_of(folder: Path, workers: list[str]) -> tuple[Environment, CommandLine]:
    """A master of Locust with these workers: its page and statistics, without its socket and greenlets."""
    command_line = CommandLine(folder / "config.json")
    events.init_command_line_parser.add_listener(lambda parser, **_: command_line.extend(parser, lambda *_: None))
    options = parse_options(["--host", "http://127.0.0.1:8000", "--results", str(folder)])
    environment = Environment(
        events=events, user_classes=[MyUser], parsed_options=options, host=options.host, locustfile="mine.py"
    )
    runner: Any = Runner([])
    runner.environment, runner.exceptions, runner.clients = environment, {}, WorkerNodes()
    for name in workers:
        node = runner.clients[name] = WorkerNode(name, "running")
        node.user_classes_count = {"MyUser": USERS}
    environment.runner = runner
    setup_distributed_stats_event_listeners(environment.events, environment.stats)
    return environment, command_line


def report(environment: Environment, workers: list[str]) -> None:
    """As statistics of workers reach Locust and every plugin that listens."""
    part = RequestStats(use_response_times_cache=False)
    for number in range(NAMES):
        for _ in range(REQUESTS):
            part.log_request("POST", f"/invocation {number}", 4.0, 100)
        for _ in range(FAILURES):
            part.log_error("POST", f"/invocation {number}", "status: 500")
    for worker in workers:
        data = {
            "stats": [entry.serialize() for entry in part.entries.values()],
            "stats_total": part.total.serialize(),
            "errors": {key: error.serialize() for key, error in part.errors.items()},
        }
        environment.events.worker_report.fire(client_id=worker, data=data)


def main() -> None:
    folder, count = Path(sys.argv[1]), int(sys.argv[2])
    workers = [f"host-{number % 50}_{number:08x}" for number in range(count)]
    environment, command_line = environment_of(folder, workers)
    run = make_run(folder, workers)
    shards = {name: RowsState(10, 2000, 2000, 500_000, True) for name in workers}
    job = SimpleNamespace(rows=SimpleNamespace(states=lambda: shards))
    adapter = SimpleNamespace(state=SimpleNamespace(phase=Phase.RUNNING, job=job))
    runs = SimpleNamespace(adapter=adapter, latest=run, refused="")
    web_ui = environment.create_web_ui(
        "127.0.0.1", 0, delayed_start=True, stats_csv_writer=StatsCSV(environment, [0.5, 0.99])
    )
    attach_web(environment, web_ui, runs, command_line)  # type: ignore[arg-type]
    Plugin(environment, web_ui)
    report(environment, workers)
    assert web_ui.app is not None
    client = web_ui.app.test_client()

    def get(path: str) -> bytes:
        response = client.get(path)
        assert response.status_code == 200, f"{path}: {response.status_code}"
        return response.get_data()

    def fresh() -> None:
        web_ui.app.view_functions["locust.request_stats"].clear_cache()
        get("/stats/requests")

    stats = json.loads(get("/stats/requests"))
    (total,) = [one for one in stats["stats"] if one["name"] == "Aggregated"]
    pages = {name: get(path).decode() for name, path in PATHS.items()}
    found = {
        "workers": len(stats["workers"]), "users": stats["user_count"], "state": stats["state"],
        "users_of_workers": sum(one["user_count"] for one in stats["workers"]), "names": len(stats["stats"]) - 1,
        "requests": total["num_requests"], "failures": total["num_failures"],
        "csv_requests": [int(row["Request Count"]) for row in rows_of(pages["requests_csv"])],
        "csv_failures": [int(row["Occurrences"]) for row in rows_of(pages["failures_csv"])],
        "worker_count": json.loads(pages["worker_count"])["worker_count"], "plugin": json.loads(pages["plugin"]),
        "tasks": sorted(json.loads(pages["tasks"])["total"]), "has_tab": "swarm-panel" in pages["index"],
        "report_has": [f"/invocation {number}" in pages["report"] for number in range(NAMES)],
        "stats_ms": cpu_ms(fresh), "stats_kept_ms": cpu_ms(lambda: get("/stats/requests")),
        "index_ms": cpu_ms(lambda: get("/"), 3), "report_ms": cpu_ms(lambda: get("/stats/report"), 3),
        "csv_ms": cpu_ms(lambda: get("/stats/requests/csv"), 3),
        "page_ms": cpu_ms(lambda: get("/swarm/workers?limit=500"), 5),
        "page_bytes": len(get("/swarm/workers?limit=500")),
    }  # fmt: skip
    sys.stdout.write(json.dumps(found))


PATHS = {
    "index": "/", "report": "/stats/report", "requests_csv": "/stats/requests/csv",
    "failures_csv": "/stats/failures/csv", "exceptions": "/exceptions", "exceptions_csv": "/exceptions/csv",
    "tasks": "/tasks", "worker_count": "/worker-count", "plugin": "/plugin?q=x",
}  # fmt: skip


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


main()
