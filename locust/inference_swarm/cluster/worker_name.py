"""What a worker is called in logs, results and pages: its host, and enough to tell it from others there. Pure."""

from __future__ import annotations

KEY_DIGITS = 8


def short_name(given: str) -> str:
    """Return Locust's name, `<host>_<32 hexadecimal digits>`, with the host's first label and 8 digits."""
    host, _, key = given.rpartition("_")
    return f"{host.partition('.')[0]}_{key[:KEY_DIGITS]}" if host else given
