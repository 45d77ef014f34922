"""The command's first lines: which module a word leads to, how fast, and what a shell may complete."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from inference_swarm.cli.main import COMMANDS, help_page, main
from inference_swarm.cli.run import locust_arguments
from inference_swarm.cli.runs import quiet
from inference_swarm.program import IS_INSTALLED, PROGRAM, ROOT

REPOSITORY = Path(__file__).resolve().parents[2]


def test_in_a_checkout_the_command_is_start_sh() -> None:
    assert (IS_INSTALLED, PROGRAM, ROOT) == (False, "scripts/start.sh", REPOSITORY)


def test_the_help_page_fits_a_screen() -> None:
    lines = help_page().splitlines()
    assert len(lines) <= 24
    assert all(f"  {command.name} " in help_page() for command in COMMANDS)


def test_an_unknown_command_ends_with_2_and_the_nearest_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["comprae"]) == 2
    assert "Unknown command: comprae; did you mean compare?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (["http://x"], ["--headless", "--host", "http://x"]),
        (
            ["http://x", "50", "25", "30s", "DEBUG", "--", "--slo", "p99<50ms"],
            ["--headless", "--host", "http://x", "--users", "50", "--spawn-rate", "25", "--run-time", "30s",
             "--loglevel", "DEBUG", "--slo", "p99<50ms"],
        ),
        (["http://x", "-u", "5"], ["--headless", "--host", "http://x", "-u", "5"]),
        (["--ui", "--host", "http://x"], ["--host", "http://x"]),
    ],
)  # fmt: skip
def test_what_follows_run_becomes_options_of_locust(given: list[str], wanted: list[str]) -> None:
    assert locust_arguments(given) == wanted


def test_too_many_words_after_run_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        locust_arguments(["http://x", "1", "1", "1s", "INFO", "more"])
    assert ended.value.code == 2
    assert "'more' follows http://x 1 1 1s INFO" in capsys.readouterr().err


@pytest.mark.processes
@pytest.mark.parametrize(
    ("typed", "wanted", "unwanted"),
    [
        ("inference-swarm co", "compare", "keys"),
        ("inference-swarm run --arr", "--arrival", "--rate"),
        ("inference-swarm run --arrival p", "poisson", "constant"),
        ("inference-swarm demo --wo", "--workers", "--users"),
        ("inference-swarm compare --h", "--html", "--results"),
    ],
)
def test_a_shell_completes_commands_options_and_values(tmp_path: Path, typed: str, wanted: str, unwanted: str) -> None:
    found = tmp_path / "found"
    variables = {
        **os.environ, "PYTHONPATH": f"{REPOSITORY / 'locust'}:{REPOSITORY}", "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(found), "_ARGCOMPLETE_IFS": "\n", "COMP_LINE": typed,
        "COMP_POINT": str(len(typed)), "_ARGCOMPLETE_SHELL": "bash",
    }  # fmt: skip
    subprocess.run([sys.executable, "-m", "inference_swarm.cli.main"], env=variables, check=True)
    words = [word.strip() for word in found.read_text(encoding="utf-8").splitlines()]
    assert wanted in words
    assert unwanted not in words


@pytest.mark.processes
@pytest.mark.parametrize("command", [command.name for command in COMMANDS if command.name not in ("locust",)])
def test_a_help_page_imports_neither_locust_nor_pandas(command: str) -> None:
    """They take a second: a help page has one in all."""
    heavy = "[name for name in ('gevent', 'locust', 'pandas', 'pyarrow') if name in sys.modules]"
    if command in ("train", "serve"):
        heavy = "[name for name in ('gevent', 'locust') if name in sys.modules]"
    code = (
        "import sys\nfrom inference_swarm.cli.main import main\n"
        f"try: main([{command!r}, '--help'])\nexcept SystemExit: pass\nprint('imported', {heavy})"
    )
    variables = {**os.environ, "PYTHONPATH": f"{REPOSITORY / 'locust'}:{REPOSITORY}"}
    done = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True)
    assert "usage:" in done.stdout
    assert done.stdout.endswith("imported []\n")


@pytest.mark.parametrize(
    ("variables", "document", "wanted"),
    [
        ({}, "{}", {"LOGLEVEL": "WARNING"}),
        ({"LOGLEVEL": "DEBUG"}, "{}", {}),
        ({"LOCUST_LOGLEVEL": "INFO"}, "{}", {}),
        ({}, '{"log_level": "INFO"}', {}),
        ({}, "not JSON", {}),
    ],
)
def test_a_run_is_quiet_unless_somebody_chose_a_level(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], document: str, wanted: dict[str, str]
) -> None:
    for name in ("LOGLEVEL", "LOCUST_LOGLEVEL"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "config.json").write_text(document, encoding="utf-8")
    monkeypatch.setenv("SWARM_CONFIG", str(tmp_path / "config.json"))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert quiet() == wanted
