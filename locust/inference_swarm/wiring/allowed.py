"""Which servers may be tested: the target and the patterns of `--allow-host` in, TargetError out."""

from __future__ import annotations

from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from inference_swarm.errors import TargetError

DEFAULT_PORTS = {"http": 80, "https": 443}


def check_allowed(url: str, allowed: str, where: str) -> None:
    """Raises TargetError unless the server of `url` is like one of the patterns, or there are none."""
    patterns = [pattern.strip().lower() for pattern in allowed.split(";") if pattern.strip()]
    if not patterns:
        return
    parts = urlsplit(url)
    name = (parts.hostname or "").lower()
    port = parts.port or DEFAULT_PORTS.get(parts.scheme, 0)
    address = f"[{name}]" if ":" in name else name
    if any(fnmatchcase(candidate, pattern) for pattern in patterns for candidate in (name, f"{address}:{port}")):
        return
    raise TargetError(
        f"{address}:{port} may not be tested: {where} allows only {', '.join(patterns)} (--allow-host)",
        expected="a server that one of these patterns names",
        action="test one of them, or add this one with --allow-host or SWARM_ALLOW_HOST on the master and all workers",
    )
