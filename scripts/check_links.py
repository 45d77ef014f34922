"""Follows the links of our Markdown files to other files of the repository and to headings; asks no network."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).resolve().parent.parent
FENCE = re.compile(r"^\s*(```|~~~)")
HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$")
LINK = re.compile(r"\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
CODE = re.compile(r"(`+)(?:(?!\1).)+\1")
ELSEWHERE = re.compile(r"^[a-z][a-z0-9+.-]*:", re.IGNORECASE)


def prose(text: str) -> list[tuple[int, str]]:
    """(number, line) of all lines outside of blocks of code."""
    lines, is_code = [], False
    for number, line in enumerate(text.splitlines(), 1):
        if FENCE.match(line):
            is_code = not is_code
        elif not is_code:
            lines.append((number, line))
    return lines


def anchors(text: str) -> set[str]:
    """The names by which GitHub links to the headings; a repeated one has a number behind it."""
    found: dict[str, int] = {}
    names = set()
    for _, line in prose(text):
        if heading := HEADING.match(line):
            plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading[1].replace("`", "").replace("*", ""))
            name = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
            times = found.get(name, 0)
            found[name] = times + 1
            names.add(f"{name}-{times}" if times else name)
    return names


def broken_links(file: Path, root: Path = ROOT) -> list[str]:
    """One line for each link of the file that leads nowhere."""
    broken = []
    for number, line in prose(file.read_text(encoding="utf-8")):
        for target in LINK.findall(CODE.sub("", line)):
            if ELSEWHERE.match(target):
                continue
            path, _, anchor = unquote(target).partition("#")
            there = (file.parent / path).resolve() if path else file
            if not there.exists():
                problem = "is not there"
            elif not there.is_relative_to(root.resolve()):
                problem = "is outside of the repository"
            elif anchor and there.suffix == ".md" and anchor not in anchors(there.read_text(encoding="utf-8")):
                problem = "has no such heading"
            else:
                continue
            broken.append(f"{file.relative_to(root)}:{number}: {target} {problem}")
    return broken


def main() -> int:
    """The exit code."""
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True)
    files = [ROOT / name for name in listed.stdout.splitlines()]
    found = [problem for file in files if file.exists() for problem in broken_links(file)]
    for problem in found:
        print(problem, file=sys.stderr)
    print(f"links: {len(found)} broken in {len(files)} files")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
