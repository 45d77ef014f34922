"""What is in the two images, and how fast a change gets into them."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from compose_project import Project, docker

pytestmark = pytest.mark.docker

LOCKED_DOWN = ("--rm", "--read-only", "--cap-drop=ALL", "--network=none", "--tmpfs=/tmp")
ASK_ALL_MODELS = """
import asyncio, json, pathlib
from server.app import create_app
from server.catalog import load_catalog
app = create_app(load_catalog(pathlib.Path("experiment-results/models"), "all", "all"), 1 << 20)

async def ask(method, path, query="", body=b""):
    sent = []
    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}
    async def send(message):
        sent.append(message)
    scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "path": path,
             "raw_path": path.encode(), "query_string": query.encode(), "headers": [], "root_path": "",
             "scheme": "http"}
    await app(scope, receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])

async def main():
    _, models = await ask("GET", "/models")
    for model in json.loads(models)["models"]:
        for wanted in ("predict", "predict_proba"):
            query = f"dataset={model['dataset']}&model={model['algorithm']}&method={wanted}"
            status, answer = await ask("POST", "/invocation", query, json.dumps(model["example"]).encode())
            print(status, len(json.loads(answer)["predictions"]))

asyncio.run(main())
"""


def test_every_model_answers_in_the_server_image(image_tag: str) -> None:
    lines = docker(
        "run", *LOCKED_DOWN, "--entrypoint=python", f"inference-swarm-server:{image_tag}", "-c", ASK_ALL_MODELS
    ).splitlines()
    assert lines == ["200 1"] * 24  # four datasets, three models, two methods


def test_swarm_image_has_the_four_datasets(image_tag: str) -> None:
    code = "import pathlib; print(sorted(f.parent.name for f in pathlib.Path('locust').rglob('X_test.parquet')))"
    found = docker("run", *LOCKED_DOWN, "--entrypoint=python", f"inference-swarm:{image_tag}", "-c", code)
    assert found == str(["UNSW_NB15_merged", "credit_card_transactions", "diabetic", "healthcare-dataset-stroke"])


@pytest.mark.parametrize(
    ("image", "absent"),
    [
        ("inference-swarm", ["catboost", "scipy", "pip", "pyarrow/_flight*", "pandas/tests", "server"]),
        ("inference-swarm-server", ["locust", "gevent", "matplotlib", "plotly", "pyarrow", "pip", "pandas/tests"]),
    ],
)
def test_what_does_not_run_in_an_image_is_not_in_it(image_tag: str, image: str, absent: list[str]) -> None:
    code = f"""
import pathlib, sys
packages = next(path for path in map(pathlib.Path, sys.path) if path.name == "site-packages")
for name in {absent!r}:
    if list(packages.glob(name)) + list(pathlib.Path("/app").glob(name)):
        print(name)
"""
    assert docker("run", *LOCKED_DOWN, "--entrypoint=python", f"{image}:{image_tag}", "-c", code) == ""


@pytest.mark.parametrize("image", ["inference-swarm", "inference-swarm-server"])
def test_image_runs_as_a_fixed_user_with_health_check_and_labels(image_tag: str, image: str) -> None:
    config = json.loads(docker("image", "inspect", f"{image}:{image_tag}"))[0]["Config"]
    assert config["User"] == "10001:10001"
    # The exec form, and `env` replaces itself: signals reach Python, which lets them in when it can handle them.
    assert config["Entrypoint"][:4] == ["env", "--block-signal=TERM", "--block-signal=INT", "python"]
    assert config["Healthcheck"]["Test"][:5] == ["CMD", "python", "-I", "-S", "docker/health.py"]
    assert config["Labels"]["org.opencontainers.image.licenses"] == "MIT"
    assert config["Labels"]["org.opencontainers.image.title"].startswith("Inference Swarm")


def test_image_takes_the_options_of_locust(image_tag: str) -> None:
    shown = docker("run", *LOCKED_DOWN, f"inference-swarm:{image_tag}", "master", "--version")
    assert "locust 2.47.0" in shown


@pytest.mark.parametrize("changed", ["locust/inference_swarm/errors.py", "server/app.py", "docker/entrypoint.py"])
def test_changed_source_file_is_built_in_under_10_s(image_tag: str, checkout: Path, changed: str) -> None:
    with (checkout / changed).open("a") as file:
        file.write("\n# changed\n")
    builder = Project(checkout, "inference-swarm-build", f"{image_tag}-changed")
    began_s = time.monotonic()
    builder.must("build", "master", "inference-server")
    took_s = time.monotonic() - began_s
    for name in ("inference-swarm", "inference-swarm-server"):
        docker("image", "rm", "--force", f"{name}:{image_tag}-changed")
    assert took_s < 10
