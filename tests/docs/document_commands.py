"""Commands of README and documents: those in shell blocks, and those in the text between them.

`commands.txt` has every one of them with the test that runs it, or why none does.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIST = Path(__file__).with_name("commands.txt")
PAGES = sorted(
    [
        *(
            ROOT / name
            for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "docker/README.md", "server/README.md")
        ),
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "k8s").rglob("*.md"),
    ]
)
_BLOCK = re.compile(r"^```(?:bash|sh|console)\n(.*?)^```$", re.M | re.S)
_ANY_BLOCK = re.compile(r"^```.*?^```$", re.M | re.S)
_INLINE = re.compile(
    r"`((?:\w+=\S+ )*(?:scripts/|benchmarks/|\.venv/bin/)?"
    r"(?:start\.sh|test|render|throughput|run_locust_headless\.sh|inference-swarm|docker|kubectl|pip|python|locust|curl)"
    r" [^`\n]+)`"
)


def commands() -> dict[str, str]:
    """Each command and the first page that has it."""
    found: dict[str, str] = {}
    for path in PAGES:
        page = str(path.relative_to(ROOT))
        text = path.read_text(encoding="utf-8")
        for block in _BLOCK.findall(text):
            for line in block.replace("\\\n", " ").splitlines():
                command = _tidy(line)
                if command and not command.startswith("#"):
                    found.setdefault(command, page)
        for command in _INLINE.findall(_ANY_BLOCK.sub("", text)):
            found.setdefault(_tidy(command), page)
    return found


def _tidy(line: str) -> str:
    """Without its comment, with single spaces."""
    return re.sub(r"\s+", " ", re.sub(r"\s+#\s.*$", "", line)).strip()


def listed() -> dict[str, str]:
    """The list: a command, and below it (indented) `run here`, `run by TEST` or `not run: REASON`."""
    entries: dict[str, str] = {}
    command = ""
    for line in LIST.read_text(encoding="utf-8").splitlines():
        if not line.strip() or line.startswith("# "):
            continue
        if line.startswith(" "):
            entries[command] = line.strip()
        else:
            assert line not in entries, f"twice in {LIST.name}: {line}"
            command = line
            entries[command] = ""
    return entries
