"""Locust's own statistics as they travel in a report, for its pages, its files and its listeners on the master."""

from __future__ import annotations

import logging

import gevent
from locust.event import EventHook
from locust.rpc.protocol import Message

from inference_swarm.cluster.aside import Telling
from inference_swarm.cluster.protocol import cut
from inference_swarm.config.documents import Document

logger = logging.getLogger(__name__)
MAX_ERROR_TEXT = 2000
# Two reports may wait for it at the end of a load, and the master waits 10 s for the last one.
TELL_S = 4.0
LOCUSTS_OWN = ("stats", "stats_total", "errors", "user_classes_count", "user_count")
_SAID: set[str] = set()  # not once for each report


def _is_plain(value: object) -> bool:
    try:
        Message("stats", value, "").serialize()  # type: ignore[no-untyped-call]
    except Exception:  # a number of numpy's, a set
        return False
    return True


def with_additions(listeners: EventHook, client: str, data: Document) -> Document:
    """Return what Locust counts with what listeners of one's own add to it, in TELL_S at most."""
    added = dict(data)
    telling = Telling.spawn(_tell, listeners, client, added)
    if not gevent.wait([telling], TELL_S):
        telling.kill(block=False)
        logger.error("Listeners of report_to_master have not returned in %.3g s: the report goes as it is.", TELL_S)
    return sendable(dict(added))


def _tell(listeners: EventHook, client: str, data: Document) -> None:
    try:
        listeners.fire(client_id=client, data=data)  # type: ignore[no-untyped-call]
    except (Exception, gevent.Timeout, gevent.GreenletExit):
        logger.exception("A listener of report_to_master failed")


def sendable(data: Document) -> Document:
    """Return the data without what no message can hold, and cut."""
    for key in [key for key, value in data.items() if key not in LOCUSTS_OWN and not _is_plain(value)]:
        del data[key]
        if key not in _SAID:
            _SAID.add(key)
            logger.error("A listener of report_to_master adds %r, which cannot be sent: it is left out", str(key)[:80])
    for entry in data.get("stats", []):
        entry["name"] = cut(str(entry["name"]), MAX_ERROR_TEXT)
        entry["method"] = entry["method"] and cut(str(entry["method"]), MAX_ERROR_TEXT)
    for failure in data.get("errors", {}).values():
        failure["error"] = cut(str(failure["error"]), MAX_ERROR_TEXT)
        failure["name"] = cut(str(failure["name"]), MAX_ERROR_TEXT)
        failure["method"] = failure["method"] and cut(str(failure["method"]), MAX_ERROR_TEXT)
    return data
