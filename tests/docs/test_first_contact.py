"""What a new user meets first: section U of the cases, and commands in documents that exist."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest

from inference_swarm.cli.main import COMMANDS, main
from inference_swarm.cluster.worker_name import short_name
from inference_swarm.config.options import OPTIONS

ROOT = Path(__file__).resolve().parents[2]
USERS_PAGES = (
    "README.md",
    "docs/quickstart.md",
    "docs/capacity.md",
    "docs/ci.md",
    "docs/install.md",
    "docs/settings.md",
    "docs/results.md",
    "docs/words.md",
)
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md"), ROOT / "docker" / "README.md"])
# Locust's own, which `locust --help` lists.
LOCUSTS = {
    "--autoquit", "--autostart", "--class-picker", "--csv", "--exit-code-on-error", "--expect-workers",
    "--headless", "--help", "--host", "--html", "--loglevel", "--master", "--master-bind-host",
    "--master-bind-port", "--master-host", "--master-port", "--otel", "--print-row", "--print-settings",
    "--processes", "--reset-stats", "--show-task-ratio", "--tags", "--ui", "--users", "--verbose", "--web-host",
    "--web-login", "--web-port", "--worker",
}  # fmt: skip


def test_workers_have_short_names() -> None:
    assert short_name("vm_0dbc5b0c74ea44a2b75db50ff216ac60") == "vm_0dbc5b0c"
    assert short_name("ip-10-0-0-1.eu.internal_0dbc5b0c74ea44a2b75db50ff216ac60") == "ip-10-0-0-1_0dbc5b0c"
    assert short_name("swarm-worker-7d9f_x_0dbc5b0c74ea44a2b75db50ff216ac60") == "swarm-worker-7d9f_x_0dbc5b0c"
    assert short_name("odd") == "odd"


def test_a_quick_start_has_ten_copyable_lines_a_step_troubleshooting_and_a_glossary() -> None:
    page = (ROOT / "docs" / "quickstart.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## (.*)$", page, re.M)
    assert [words.partition(". ")[2] for words in headings[:6]] == [
        "Rows", "The first request", "An open load, with objectives", "Capacity", "A pipeline", "Reading the result",
    ]  # fmt: skip
    assert headings[6] == "When something is wrong"
    blocks = re.findall(r"^```\w*\n(.*?)^```$", page, re.M | re.S)
    assert blocks
    assert max(len(block.splitlines()) for block in blocks) <= 10
    assert (ROOT / "docs" / "words.md").exists()


def test_exit_codes_have_one_table_and_tests_are_in_no_page_of_a_user() -> None:
    tables = [
        page.name for page in PAGES if re.search(r"^\| (verdict \| )?code \|", page.read_text(encoding="utf-8"), re.M)
    ]
    assert tables == ["measuring.md"]
    for name in USERS_PAGES:
        assert "tests/" not in (ROOT / name).read_text(encoding="utf-8"), name


def test_what_heads_that_differ_cost_is_in_the_documents_and_below_a_third() -> None:
    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    (rate, cpu) = re.findall(r"^\| heads that differ in each response .*?\| (\d+) % \| (\d+) % \|", page, re.M)[0]
    assert 0 < int(rate) < 30
    assert 0 < int(cpu) < 30


@pytest.mark.parametrize(
    "words",
    [
        "latency, in microseconds",
        "at poisson arrivals",
        "measured no answer",
        "late to read answers",
        "is no parquet file",
    ],
)
def test_what_readers_stumbled_over_is_gone(words: str) -> None:
    code = [
        path
        for path in (ROOT / "locust" / "inference_swarm").rglob("*")
        if path.suffix in (".py", ".j2", ".js", ".html")
    ]
    assert not [path for path in (*code, *PAGES) if words in path.read_text(encoding="utf-8").lower()]


def commands() -> list[tuple[str, str]]:
    """(page, command line) of every call of ours in a block of shell."""
    found = []
    for page in PAGES:
        for block in re.findall(r"^```(?:bash|sh|console)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S):
            for line in block.replace("\\\n", " ").splitlines():
                is_ours = re.match(r"\s*(\w+=\S+ )*(scripts/start\.sh|inference-swarm) [a-z]", line)
                found += [(page.name, line.strip())] if is_ours else []
    return found


def own_flags() -> set[str]:
    return {option.flag for option in OPTIONS} | LOCUSTS


def test_every_command_of_the_documents_exists_with_its_options() -> None:
    found = commands()
    assert len(found) > 30
    by_name = {command.name: command for command in COMMANDS}
    for page, line in found:
        words = words_of(re.split(r"scripts/start\.sh |inference-swarm ", line, maxsplit=1)[1])
        words = words[: next((at for at, word in enumerate(words) if word in ("|", "&&", ";", "&", "--)")), len(words))]
        name = words[0].strip('()$"')
        assert name in by_name, f"{page}: {line}"
        flags = {word.partition("=")[0] for word in words if re.match(r"--[a-z]", word)}
        known = own_flags() | flags_of(name)
        assert flags <= known, f"{page}: {line}: {flags - known}"


def words_of(command: str) -> list[str]:
    """Its words; of one that is quoted as a whole, without what follows the quote."""
    try:
        return shlex.split(command, comments=True)
    except ValueError:
        return shlex.split(command.replace('"', " ").replace("'", " "), comments=True)


def flags_of(name: str) -> set[str]:
    """The options of a command of ours, by its help."""
    if name == "locust":  # becomes Locust
        return set()
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.suppress(SystemExit):
        main([name, "--help"])
    return set(re.findall(r"--[a-z][a-z-]*", shown.getvalue()))
