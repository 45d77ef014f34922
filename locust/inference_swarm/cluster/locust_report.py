"""Locust's own statistics as they travel in a report, for its pages, its files and its listeners on the master."""

from __future__ import annotations

from typing import Any

from inference_swarm.cluster.protocol import cut
from inference_swarm.config.documents import Document

MAX_ERROR_TEXT = 2000


def locust_report(environment: Any, runner: Any) -> Document:
    """Return everything since the last report, as Locust's `report_to_master` listeners assemble it."""
    data: Document = {}
    environment.events.report_to_master.fire(client_id=runner.client_id, data=data)
    for entry in data.get("stats", []):
        entry["name"] = cut(str(entry["name"]), MAX_ERROR_TEXT)
        entry["method"] = entry["method"] and cut(str(entry["method"]), MAX_ERROR_TEXT)
    for failure in data.get("errors", {}).values():
        failure["error"] = cut(str(failure["error"]), MAX_ERROR_TEXT)
        failure["name"] = cut(str(failure["name"]), MAX_ERROR_TEXT)
        failure["method"] = failure["method"] and cut(str(failure["method"]), MAX_ERROR_TEXT)
    return data
