"""sdist and wheel in an empty environment, outside of the checkout: the commands there."""

from __future__ import annotations

import json
import re
import signal
import sys
import tarfile
import threading
import tomllib
import urllib.request
import zipfile
from pathlib import Path

import pytest
from recording_server import recording_server
from swarm_processes import free_port, wait_until

sys.path.insert(0, str(Path(__file__).resolve().parent))

from installation import ROOT, Installed

# One after the other in one process: all share the environment that is made once.
pytestmark = [pytest.mark.processes, pytest.mark.long, pytest.mark.timeout(1800), pytest.mark.xdist_group("package")]


def test_wheel_and_sdist_hold_what_the_commands_need(distributions: Path) -> None:
    (wheel,) = distributions.glob("*.whl")
    (sdist,) = distributions.glob("*.tar.gz")
    names = set(zipfile.ZipFile(wheel).namelist())
    shipped = "inference_swarm/shipped"
    for name in ("locustfile.py", "config.json", "examples/two_models.py"):
        assert f"{shipped}/locust/{name}" in names
    for name in ("k8s/base/kustomization.yaml",):
        assert f"{shipped}/{name}" in names
    for name in ("inference_swarm/py.typed", "server/py.typed", "inference_swarm/web/static/panel.js"):
        assert name in names
    assert not [name for name in names if name.startswith(("tests/", "locust/", "docs/", "experiment-results/"))]
    with tarfile.open(sdist) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    assert {"locust/locustfile.py", "k8s/kustomization.yaml", "LICENSE", "README.md", "pyproject.toml"} <= packed
    assert not [name for name in packed if name.startswith(("tests/", ".ci/", "experiment-results/"))]


def test_the_extra_server_asks_for_what_the_locked_set_has() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["optional-dependencies"]["server"] == project["dependency-groups"]["server"]


def test_the_swarm_alone_has_no_training_libraries_and_no_server(installed: Installed) -> None:
    packages = {line.split("==")[0].lower() for line in installed.must("pip", "list", "--format=freeze").splitlines()}
    assert "locust" in packages
    assert not packages & {"scikit-learn", "catboost", "lightgbm", "xgboost", "xgboost-cpu", "fastapi", "uvicorn"}
    assert "No broken requirements" in installed.must("pip", "check")


def test_the_help_page_fits_a_screen_and_names_the_command_that_was_installed(installed: Installed) -> None:
    page = installed.must("inference-swarm", "--help")
    assert len(page.splitlines()) <= 24
    assert max(map(len, page.splitlines())) <= 110
    commands = re.findall(r"^  ([a-z0-9-]+) ", page, re.M)
    assert {"run", "demo", "train", "serve", "test", "compare", "report", "keys", "k8s-job"} <= set(commands)
    for command in set(commands) - {"locust", "train", "serve"}:
        text = installed.must("inference-swarm", command, "--help")
        assert text.startswith(f"usage: inference-swarm {command}"), text
        assert "examples:\n" in text
    assert "scripts/start.sh" not in page


@pytest.mark.parametrize("command", ["train", "serve", "demo"])
def test_commands_of_the_reference_server_say_what_is_missing(installed: Installed, command: str) -> None:
    done = installed.run("inference-swarm", command)
    assert done.returncode == 2
    assert "catboost" in done.stderr
    assert "pip install 'inference-swarm[server]'" in done.stderr


def test_a_run_in_a_folder_of_the_users(installed: Installed) -> None:
    (installed.folder / "rows.csv").write_text("age,bmi\n67,36.6\n61,28.9\n", encoding="utf-8")
    (installed.folder / "server").mkdir()  # a package of the user's own that is called like ours
    (installed.folder / "server" / "__init__.py").write_text("raise SystemExit('the wrong package')", encoding="utf-8")
    with recording_server() as server:
        done = installed.run(
            "inference-swarm", "run", server.url, "2", "2", "2s",
            "--data", "rows.csv", "--processes", "1", "--run-name", "mine",
            "--master-bind-port", str(free_port()),
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    run = installed.folder / "experiment-results" / "runs" / "mine"
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    assert summary["requests"] == server.count > 0
    assert "inference-swarm report" not in done.stderr
    page = installed.must("inference-swarm", "report", "mine").strip()
    assert Path(installed.folder, page) == run / "report.html"


def test_settings_that_nobody_chose_are_the_shipped_ones(installed: Installed) -> None:
    table = installed.must("inference-swarm", "locust", "--print-settings")
    (line,) = [line for line in table.splitlines() if "LOCUST_HOST" in line]
    assert "shipped/locust/config.json" in line
    (line,) = [line for line in table.splitlines() if "SWARM_RESULTS" in line]
    assert line.split()[1] == "experiment-results"


def test_types_are_known_to_those_who_import_it(installed: Installed) -> None:
    code = (
        "import inference_swarm, pathlib; print((pathlib.Path(inference_swarm.__file__).parent / 'py.typed').exists())"
    )
    assert installed.must("python", "-c", code) == "True\n"


def test_the_library_imports_in_an_installed_environment(installed: Installed) -> None:
    code = "from inference_swarm import InferenceUser, attach, read_run; print(InferenceUser.__name__, attach.__name__)"
    assert installed.must("python", "-c", code) == "InferenceUser attach\n"


def test_the_demo_with_the_extra_server(installed: Installed, distributions: Path) -> None:
    """What it installs, the tests above want to be missing."""
    (wheel,) = distributions.glob("*.whl")
    installed.install(f"{wheel}[server]", "server")
    assert "No broken requirements" in installed.must("pip", "check")
    ports = [word for name in ("server", "master", "web") for word in (f"--{name}-port", str(free_port()))]
    words = ["demo", "--seconds", "3", "--users", "4", "--workers", "1"]
    done = installed.run("inference-swarm", *words, *ports, timeout_s=900)
    assert done.returncode == 0, done.stderr
    assert "\n3 models in" in done.stdout
    (run,) = (installed.folder / "experiment-results" / "runs").glob("*_healthcare-dataset-stroke_xgboost")
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    assert summary["failures"] == 0
    assert summary["requests"] > 0
    assert done.stderr.count(f"report     {run.relative_to(installed.folder)}/report.html") == 1
    assert "/INFO/" not in done.stderr


def test_the_demo_leaves_its_web_ui_open_until_ctrl_c(installed: Installed) -> None:
    """With what the test before has installed and trained."""
    web_port = free_port()
    ports = ["--server-port", str(free_port()), "--master-port", str(free_port()), "--web-port", str(web_port)]
    others = "credit_card_transactions,diabetic,UNSW_NB15_merged"  # in small: the demo keeps them
    trained = installed.must("inference-swarm", "train", "--rows", "500", "--dataset", others, timeout_s=900)
    assert "9 models in" in trained
    demo = installed.start("inference-swarm", "demo", "--ui", "--workers", "1", *ports)
    said: list[str] = []
    assert demo.stdout is not None
    reader = threading.Thread(target=lambda stream: said.extend(stream), args=(demo.stdout,))
    reader.start()

    def page() -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{web_port}/", timeout=5) as response:
                return str(response.read().decode())
        except OSError:
            return ""

    try:
        wait_until(lambda: demo.poll() is not None or "Locust" in page(), 60, "the web UI")
        assert f"web UI at http://127.0.0.1:{web_port} with 1 worker; Ctrl-C stops everything" in "".join(said)
    finally:
        demo.send_signal(signal.SIGINT)
        demo.wait(60)
        reader.join()
        demo.stdout.close()
    assert page() == ""
    assert "Traceback" not in "".join(said)
