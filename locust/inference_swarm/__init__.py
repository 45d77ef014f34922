"""Distributed load testing for model servers on Locust's engine; the data flow is drawn in docs/architecture.md.

For locustfiles and scripts of one's own (docs/locustfiles.md): `InferenceUser`, `attach`, `read_run`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inference_swarm.export.run_results import RunResults, read_run
    from inference_swarm.library import attach
    from inference_swarm.load.user import InferenceUser

__version__ = "0.1.0"
__all__ = ["InferenceUser", "RunResults", "__version__", "attach", "read_run"]

_MODULES = {
    "InferenceUser": "inference_swarm.load.user",
    "attach": "inference_swarm.library",
    "RunResults": "inference_swarm.export.run_results",
    "read_run": "inference_swarm.export.run_results",
}


def __getattr__(name: str) -> Any:
    """Import on first use: help pages need none of it, and Locust makes the standard library cooperative."""
    import importlib

    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in ("InferenceUser", "attach"):
        import locust  # noqa: F401 - first: it makes the standard library cooperative
    return getattr(importlib.import_module(_MODULES[name]), name)
