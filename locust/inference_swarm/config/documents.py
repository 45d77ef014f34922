"""The types of plain documents, which become JSON or msgpack: text keys, and values of whatever the document defines.

What a document holds is said where it is made and in docs/; readers of files and messages check it there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Document = dict[str, Any]
"""A document that is being made."""
ReadDocument = Mapping[str, Any]
"""A document that is only read."""
SettingValues = dict[str, Any]
"""Values by the names of settings, as their value types parsed them."""
ReadSettingValues = Mapping[str, Any]
"""The same, where they are only read."""


def in_utf8(text: str) -> str:
    """Return the text with question marks for what UTF-8 cannot hold (lone surrogates)."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
