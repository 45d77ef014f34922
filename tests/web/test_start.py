"""POST /swarm against a real master with two workers: what the form sends is what the workers use, or is refused."""

from __future__ import annotations

import json
import urllib.error
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from swarm_processes import wait_until
from web_swarm import WebSwarm

pytestmark = pytest.mark.processes


def test_what_is_sent_is_what_the_workers_use(web: WebSwarm) -> None:
    web.start()
    web.wait_for_workers()
    summary = web.run_once(
        dataset_name="beta", model="lgbm", pred_method="predict", row_order="sequential", slo="p99<10s;rate>=1",
        wait_min="0.01", wait_max="0.02", body_format="instances",
    )  # fmt: skip
    assert set(web.target.targets) == {"/invocation?method=predict&dataset=beta&model=lgbm"}
    assert all(len(json.loads(body)["instances"]) == 1 for body in web.target.bodies)
    settings = summary["settings"]
    assert settings["wait_max_s"] == {"value": 0.02, "source": "start form"}
    assert settings["dataset_name"] == {"value": "beta", "source": "start form"}
    assert settings["expect_status"] == {"value": "2xx", "source": "built-in default"}
    assert [one["objective"] for one in summary["objectives"]] == ["p99<10s", "rate>=1"]
    assert summary["requests"] == web.target.count
    # 10 users who wait 10 to 20 ms send at most 1,000 requests a second
    assert 50 < summary["rate_rps"] < 1000
    assert summary["duration_s"] == pytest.approx(2, abs=1)


def test_a_scenario_of_the_form_sets_what_was_left_as_it_stood(web: WebSwarm) -> None:
    """The form sends all that it shows: users and ramp up as the master was started with them."""
    web.start("-u", "50", "-r", "10")
    web.wait_for_workers()
    summary = web.run_once(
        seconds=2, dataset_name="alpha", user_count="50", spawn_rate="10", batch_size="1", scenario="multi-stream"
    )
    assert {len(json.loads(body)) for body in web.target.bodies} == {8}
    assert web.target.connections == 1  # of one user
    assert summary["settings"]["users"] == {"value": 1, "source": "scenario multi-stream"}
    assert summary["settings"]["duration_s"] == {"value": 2, "source": "start form"}
    assert summary["scenario"]["scenario"] == "multi-stream"


def test_an_open_load_from_the_form_has_its_rate(web: WebSwarm) -> None:
    web.start()
    web.wait_for_workers()
    summary = web.run_once(seconds=3, dataset_name="alpha", arrival="constant", rate="200")
    assert summary["load"] == "constant"
    assert summary["requests"] == web.target.count == pytest.approx(600, abs=6)
    # a closed load afterwards, with the rate taken out again
    again = web.run_once(
        seconds=1, runs=2, dataset_name="alpha", arrival="closed", rate="", wait_min="0.1", wait_max="0.1"
    )
    assert again["load"] == "closed"
    assert again["settings"]["rate_rps"]["value"] is None


def test_what_cannot_be_used_is_refused_in_words_and_changes_nothing(web: WebSwarm) -> None:
    web.start("--dataset-name", "alpha", "--allow-host", "127.0.0.1")
    web.wait_for_workers()

    def refusal(**fields: str) -> str:
        answer = web.start_run(**fields)
        assert answer["success"] is False
        return str(answer["message"])

    several = refusal(wait_min="abc", dataset_name="gamma", slo="p999<5ms", host="")
    assert "--wait-min is 'abc' (start form). Expected: a number of seconds, 0 or more." in several
    assert "p999 is not a percentile" in several
    assert "There is no server to test" in several
    assert "There is no data for the dataset 'gamma'." in refusal(dataset_name="gamma")
    assert "--arrival is poisson and there is no rate." in refusal(arrival="poisson")
    assert "--wait-min is 2 (start form)" in refusal(wait_min="2")
    assert "may not be tested" in refusal(host="http://192.0.2.1:8000")
    assert web.state()["state"] == "ready"
    summary = web.run_once(seconds=1)
    assert summary["dataset"] == "alpha"
    assert summary["settings"]["host"]["value"] == web.target.url


def test_a_start_without_workers_is_refused_in_words(web: WebSwarm) -> None:
    web.start("--dataset-name", "alpha", workers=0)
    web.wait_for_workers(0)
    answer = web.start_run()
    assert answer["success"] is False
    assert answer["message"].startswith("No worker has joined yet, so the run cannot begin; start some, or wait")
    assert web.state()["state"] == "ready"


def test_users_may_change_during_a_run_and_nothing_else(web: WebSwarm) -> None:
    web.target.delay_s = 0.005
    web.start("--dataset-name", "alpha")
    web.wait_for_workers()
    assert web.start_run()["success"] is True
    wait_until(lambda: web.state()["users"] == 10, 20, "10 users")
    refused = web.start_run(user_count="4", dataset_name="beta", seed="7")
    assert refused["success"] is False
    assert refused["message"].startswith("--dataset-name, --seed cannot change while a run goes on.")
    assert web.start_run(user_count="4", dataset_name="alpha", seed="0")["success"] is True
    wait_until(lambda: web.state()["users"] == 4, 20, "4 users")
    web.post("/stop", {})
    (summary,) = web.wait_for_end(1)
    assert summary["requests"] == web.target.count


def test_files_of_a_run_are_served_and_nothing_else_is(web: WebSwarm) -> None:
    web.start("--dataset-name", "alpha", workers=1)
    web.wait_for_workers(1)
    summary = web.run_once(seconds=1)
    assert json.loads(web.get(f"/swarm/runs/{summary['run']}/summary.json"))["run_id"] == summary["run_id"]
    (listed,) = json.loads(web.get("/swarm/runs"))["runs"]
    assert (listed["run"], listed["requests"]) == (summary["run"], summary["requests"])
    (web.swarm.results / "runs" / summary["run"] / "secret.txt").write_text("no")
    for path in (
        f"runs/{summary['run']}/secret.txt", "runs/../summary.json", "runs/%2e%2e/summary.json",
        "static/../web_runs.py",
        "static/%2e%2e/web_runs.py", f"runs/{summary['run']}/%2e%2e%2fsummary.json", "compare?one=..&other=..",
    ):  # fmt: skip
        with pytest.raises(urllib.error.HTTPError) as refused:
            web.get(f"/swarm/{path}")
        assert refused.value.code == 404, path


def test_a_single_process_under_a_base_path_shows_itself_as_its_only_worker(web: WebSwarm) -> None:
    web.swarm.start(
        "single", "--processes", "0", "--web-host", "127.0.0.1", "--web-port", str(web.port),
        "--web-base-path", "/here",
        "--results", str(web.swarm.results), "--host", web.target.url, "--dataset-name", "alpha",
    )  # fmt: skip

    def state() -> dict[str, Any]:
        document: dict[str, Any] = json.loads(web.get("/here/swarm/state"))
        return document

    def is_up() -> bool:
        try:
            return bool(state())
        except OSError:
            return False

    wait_until(is_up, 30, "the web UI")
    assert "./swarm/static/panel.js" in web.get("/here/")
    assert "connectedCallback" in web.get("/here/swarm/static/panel.js")
    fields = {"user_count": "4", "spawn_rate": "100", "run_time": "3s"}
    assert web.post("/here/swarm", fields)["success"] is True
    # its rows are shown while it has them, and afterwards as they were seen last
    wait_until(lambda: bool((state()["workers"][0]["shard"] or {}).get("is_ready")), 20, "rows that are ready")
    (summary,) = web.wait_for_end(1)
    shown = state()
    assert shown["run"]["requests"] == summary["requests"] == web.target.count
    (worker,) = shown["workers"]
    assert worker["shard"].pop("ready_bytes") > 1000
    assert worker["shard"] == {"blocks": 63, "rows": 1000, "ready_rows": 1000, "is_ready": True}
    assert f'swarm_requests_total{{name="/invocation"}} {summary["requests"]:.1f}' in web.get("/here/metrics")


def test_a_start_that_cannot_be_is_refused_in_the_answer_to_it(web: WebSwarm) -> None:
    web.start("--dataset-name", "alpha", "--stop-timeout", "20", workers=0)
    wait_until(web.is_up, 30, "the page")
    answer = web.start_run()
    assert (answer["success"], answer["message"][:28]) == (False, "No worker has joined yet, so")

    web.swarm.start_worker(1)
    web.wait_for_workers(1)
    web.target.delay_s = 4.0
    assert web.start_run()["success"] is True
    wait_until(lambda: web.target.count == 10, 30, "requests that wait for their answers")
    with ThreadPoolExecutor(1) as pool:
        stop = pool.submit(web.post, "/stop", {})
        wait_until(lambda: web.state()["state"] == "stopping", 3, "the stop")
        answer = web.start_run()
        assert (answer["success"], answer["message"][:30]) == (False, "The last run is still stopping")
        stop.result()
    (summary,) = web.wait_for_end(1)
    assert summary["requests"] == web.target.count == 10


def test_the_run_of_a_shape_is_followed_by_another_one(web: WebSwarm) -> None:
    file = web.swarm.folder / "shape_file.py"
    file.write_text(
        "from inference_swarm import InferenceUser, attach\nfrom locust import LoadTestShape\n\n"
        "class ModelUser(InferenceUser):\n    pass\n\nclass Shape(LoadTestShape):\n    def tick(self):\n"
        "        return (2 + self.get_run_time() % 3, 10)\n\nattach()\n",
        encoding="utf-8",
    )
    web.start("-f", str(file), "--dataset-name", "alpha", workers=0)
    web.swarm.start_worker(1, "-f", str(file))
    web.wait_for_workers(1)
    for runs in (1, 2):
        assert web.run_once(seconds=3, runs=runs)["requests"] > 0
    assert len(web.swarm.run_folders()) == 2
