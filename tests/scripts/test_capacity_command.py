"""The command `capacity` around its search: what it takes, and what it prints where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from inference_swarm.cli import capacity, matrix
from inference_swarm.cli.runs import RunResult


@pytest.mark.parametrize(
    ("parse", "own", "name"),
    [
        (capacity.parse_arguments, ["http://h", "--slo", "p99<1s"], "capacity"),
        (matrix.parse_arguments, ["http://h", "5", "1", "10s"], "test"),
    ],
)
def test_options_of_a_run_go_behind_two_dashes_and_elsewhere_the_message_says_so(
    capsys: pytest.CaptureFixture[str], parse: Any, own: list[str], name: str
) -> None:
    assert parse([*own, "--", "--path", "/predict"])[1] == ["--path", "/predict"]
    with pytest.raises(SystemExit) as ended:
        parse([*own, "--path", "/predict"])
    assert ended.value.code == 2
    assert (
        "unrecognized arguments: --path /predict\n"
        f"Options of `scripts/start.sh run` go behind --: scripts/start.sh {name} … -- --path /predict\n"
    ) in capsys.readouterr().err


@pytest.mark.parametrize(("is_terminal", "said"), [(True, ""), (False, "Holds 5.\nReport: out/report.html\n")])
def test_the_answer_is_printed_for_a_script_and_not_a_second_time_on_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], is_terminal: bool, said: str
) -> None:
    started: list[dict[str, str]] = []

    class NoProcesses:
        def __enter__(self) -> NoProcesses:
            return self

        def __exit__(self, *_: object) -> None: ...

        def start(self, _name: str, _argv: list[str], env: dict[str, str]) -> None:
            started.append(env)

    monkeypatch.setattr(capacity, "Processes", NoProcesses)
    monkeypatch.setattr(capacity, "wait_for", lambda _child: 0)
    monkeypatch.setattr(capacity, "quiet", lambda: {"LOGLEVEL": "WARNING"})
    result = RunResult(0, Path("out"), {"capacity": {"sentence": "Holds 5."}})
    monkeypatch.setattr(capacity, "read_result", lambda *_: result)
    monkeypatch.setattr("sys.stdout.isatty", lambda: is_terminal)
    own = ["http://h", "--slo", "p99<1s", "--results", str(tmp_path)]
    assert capacity.main(own) == 0
    assert capsys.readouterr().out == said
    capacity.main([*own, "--verbose"])
    assert started == [{"LOGLEVEL": "WARNING"}, {}]
