"""Which links of a Markdown file lead nowhere."""

from __future__ import annotations

from pathlib import Path

import check_links
import pytest

OTHER = """# Other file
## What `--it` does, and why
```
# no heading
```
## Twice
## Twice
## [A link](x) in *it*
"""


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("[a](docs/other.md)", ""),
        ("[a](docs/other.md#what---it-does-and-why)", ""),
        ("[a](docs/other.md#twice) and [b](docs/other.md#twice-1)", ""),
        ("[a](docs/other.md#a-link-in-it)", ""),
        ("[here](#the-title)", ""),
        ('[a](<docs/with%20space.md> "title")', ""),
        ("[a](https://example.com/x#y) [b](mailto:a@b.c)", ""),
        ("`[a](nowhere.md)`", ""),
        ("[![badge](nowhere.svg)](docs/other.md)", "nowhere.svg is not there"),
        ("[a](nowhere.md)", "nowhere.md is not there"),
        ("[a](docs/other.md#no-heading)", "docs/other.md#no-heading has no such heading"),
        ("[a](docs/other.md#twice-2)", "docs/other.md#twice-2 has no such heading"),
        ("[a](../outside.md)", "../outside.md is outside of the repository"),
        ("[here](#elsewhere)", "#elsewhere has no such heading"),
    ],
)
def test_a_link_that_leads_nowhere_is_named_with_its_line(tmp_path: Path, line: str, problem: str) -> None:
    root = tmp_path / "root"
    (root / "docs").mkdir(parents=True)
    (root / "docs" / "other.md").write_text(OTHER, encoding="utf-8")
    (root / "docs" / "with space.md").write_text("")
    (tmp_path / "outside.md").write_text("")
    readme = root / "README.md"
    readme.write_text(f"# The title\n\n```\n[a](in-code.md)\n```\n{line}\n", encoding="utf-8")
    assert check_links.broken_links(readme, root) == ([f"README.md:6: {problem}"] if problem else [])
