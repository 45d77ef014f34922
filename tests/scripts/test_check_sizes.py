"""What is too long for a module or a function, and that the repository has none of it."""

from __future__ import annotations

from pathlib import Path

import check_sizes

SHORT = "def short():\n" + "    x = 1\n" * 49
LONG = "class Some:\n    @staticmethod\n    async def long():\n" + "        x = 1\n" * 50


def test_a_function_that_is_too_long_is_named_with_its_place_and_length() -> None:
    assert list(check_sizes.excesses(Path("a.py"), SHORT)) == []
    assert list(check_sizes.excesses(Path("a.py"), LONG)) == ["a.py:3: long has 51 lines, at most 50"]


def test_a_module_that_is_too_long_is_named() -> None:
    assert list(check_sizes.excesses(Path("a.py"), "x = 1\n" * 300)) == []
    assert list(check_sizes.excesses(Path("a.py"), "x = 1\n" * 301)) == ["a.py: 301 lines, at most 300"]


def test_nothing_here_is_too_long() -> None:
    assert check_sizes.main() == 0
