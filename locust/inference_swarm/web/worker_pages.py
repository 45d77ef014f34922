"""All workers one by one, a page at a time: those of the route `swarm/workers`. Pure.

The order is that of their names, which does not change with what happens to them: a page begins after a name, so that
workers who come and go between two pages hide no other.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter

from inference_swarm.config.documents import Document
from inference_swarm.errors import SettingProblem
from inference_swarm.web.worker_rows import WorkerState, host_of, single_row

DEFAULT_LIMIT = 100
MAX_LIMIT = 500
MAX_SHOWN = 60
_ARGUMENTS = ("after", "host", "limit")


@dataclass(frozen=True, slots=True)
class PageWanted:
    """Up to `limit` workers whose names come after `after`; of all hosts when `host` is empty."""

    after: str = ""
    limit: int = DEFAULT_LIMIT
    host: str = ""


def parse_page(arguments: Mapping[str, str]) -> PageWanted:
    """Return what the arguments of the route ask for. Raises SettingProblem."""
    for name in arguments:
        if name not in _ARGUMENTS:
            raise SettingProblem(
                f"{name[:MAX_SHOWN]!r} is not an argument of swarm/workers",
                expected="after=WORKER, limit=NUMBER or host=HOST",
                action="correct its name in the address, or leave it out",
            )
    text = arguments.get("limit", str(DEFAULT_LIMIT))
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(MAX_LIMIT)) and 1 <= int(text) <= MAX_LIMIT):
        raise SettingProblem(
            f"limit in the address is {text[:MAX_SHOWN]!r}",
            expected=f"a whole number from 1 to {MAX_LIMIT}",
            action="read further pages with after=, which `next` of each page has",
        )
    return PageWanted(arguments.get("after", ""), int(text), arguments.get("host", ""))


class WorkerPages:
    """The workers at one instant, sorted once for any number of pages."""

    def __init__(self, workers: Sequence[WorkerState]) -> None:
        self._all = sorted(workers, key=attrgetter("id"))
        self._by_host: dict[str, list[WorkerState]] = {}
        for worker in self._all:
            self._by_host.setdefault(host_of(worker.id), []).append(worker)

    def page(self, wanted: PageWanted) -> Document:
        """Return the document: `next` is what the next page is after, null on the last one."""
        found = self._by_host.get(wanted.host, []) if wanted.host else self._all
        place = bisect_right(found, wanted.after, key=attrgetter("id"))
        shown = found[place : place + wanted.limit]
        return {
            "workers": [single_row(worker) for worker in shown],
            "worker_count": len(found),
            "before": place,
            "next": shown[-1].id if place + len(shown) < len(found) else None,
        }
