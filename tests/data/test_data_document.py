"""docs/data.md names a test for each type and layout: they exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_test_that_the_document_names_is_there() -> None:
    text = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    known = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests" / "data").glob("test_*.py"))
    named = set(re.findall(r"`(test_[a-z0-9_]+)…", text))
    assert len(named) > 40
    assert {name for name in named if f"def {name}" not in known} == set()
    for file in re.findall(r"`(tests/[a-z_/]+\.py)`", text):
        assert (ROOT / file).is_file(), file
