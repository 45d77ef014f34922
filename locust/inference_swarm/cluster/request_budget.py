"""The master's side of `--requests`: who may send how many of them, and what nobody can know. Pure bookkeeping.

A grant is a limit of all that a worker sends in the run. The limits add up to the number asked for at most, and no
worker sends beyond its own: so no more are sent than were asked for, whatever is lost. What a worker gives up, or has
left in its final report, is granted to others; what a lost worker had left it may have sent.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from inference_swarm.load.allowance import RequestUse


@dataclass(slots=True)
class _Account:
    """One worker. `number` and `limit` are those of its last grant, but for what it has given up since."""

    number: int = -1
    limit: int = 0
    wanted: int = 0
    ended: int = 0
    reported_s: float = 0.0
    knows: int = -1  # the number of the last grant that its reports know
    is_final: bool = False

    @property
    def is_idle(self) -> bool:
        """True when all that it may and wants to send has ended."""
        return self.is_final or (self.ended >= self.limit and self.knows == self.number)


@dataclass(frozen=True, slots=True)
class Grant:
    """A worker may send so many in all; a later number replaces an earlier one."""

    number: int
    limit: int


class RequestBudget:
    """The requests of one run."""

    def __init__(self, requests: int, *, is_open: bool) -> None:
        """`is_open`: workers know which arrivals are theirs, and are given what they want."""
        self.requests = requests
        self._is_open = is_open
        self._free = requests
        self._accounts: dict[str, _Account] = {}

    def report(self, worker: str, use: RequestUse, now_s: float) -> Grant | None:
        """Take in what a worker says; returns its last grant if it does not know that one."""
        account = self._accounts.setdefault(worker, _Account())
        account.ended = max(account.ended, min(use.ended, account.limit))
        account.reported_s = now_s
        account.knows = max(account.knows, min(use.number, account.number))
        if use.number != account.number:
            return Grant(account.number, account.limit) if use.number < account.number else None
        account.wanted = use.wanted
        kept = max(account.ended, use.started, use.limit)
        if kept < account.limit:
            self._free += account.limit - kept
            account.limit = kept
        return None

    def final(self, worker: str, use: RequestUse) -> None:
        """The worker sends no more: what it had left is free."""
        account = self._accounts.setdefault(worker, _Account())
        if account.is_final:
            return
        sent = min(use.started, account.limit)
        self._free += account.limit - sent
        account.limit = account.ended = account.wanted = sent
        account.is_final = True

    def take_grants(self, workers: Collection[str]) -> list[tuple[str, Grant]]:
        """Grant what is free to those of these workers that want more; in a closed load to nobody all of it.

        The last requests are for whoever comes to them first: half of what is free is shared out at a time.
        """
        grants = []
        for worker in workers:
            account = self._accounts.get(worker)
            if account is None or account.is_final or account.wanted <= account.limit or not self._free:
                continue
            if account.knows != account.number and account.number >= 0:
                continue  # what it wants it wanted without its last grant
            most = self._free if self._is_open else math.ceil(self._free / (2 * len(workers)))
            granted = min(account.wanted - account.limit, most, self._free)
            self._free -= granted
            account.limit += granted
            account.number += 1
            grants.append((worker, Grant(account.number, account.limit)))
        return grants

    def is_done(self, live: Collection[str]) -> bool:
        """Return whether everything was sent that can be: nothing is free, and what was granted to `live` has ended."""
        if self._free:
            return False
        busy = [worker for worker, account in self._accounts.items() if not account.is_idle]
        return not any(worker in live for worker in busy) and (not busy or bool(live))

    def unsent(self) -> int:
        """Return how many requests were not sent, as far as is known."""
        return self._free + sum(account.limit - account.ended for account in self._accounts.values())

    def is_idle_since(self, instant_s: float, live: Iterable[str], now_s: float) -> bool:
        """Open load: return whether these workers have said since then that they have nothing to send any more."""
        accounts = [account for worker in live if (account := self._accounts.get(worker)) is not None]
        return (
            now_s >= instant_s
            and bool(accounts)
            and all(
                account.is_final
                or (account.is_idle and account.reported_s >= instant_s and account.wanted <= account.ended)
                for account in accounts
            )
        )

    def possibly_sent(self, worker: str) -> int | None:
        """Return how many requests the worker may have sent in the run, at most; None: nothing was granted to it."""
        account = self._accounts.get(worker)
        return None if account is None else account.limit
