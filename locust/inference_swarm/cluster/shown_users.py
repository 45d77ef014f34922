"""Users for viewers: those that run and, apart from them, those that drain. Pure: the coordinator's state in.

A worker that leaves ends its requests in flight, and of an open load sends its arrivals until others take them over.
Meanwhile its users run on the others already: together they would be more than were asked for.
"""

from __future__ import annotations

from inference_swarm.cluster.state import Coordinator, Member


class ShownUsers:
    """Remembers how many users each leaving worker had, which reports none as soon as they are told to stop."""

    def __init__(self, state: Coordinator) -> None:
        self._state = state
        self._leaving: dict[str, int] = {}

    def note(self, worker: str) -> None:
        """A message of the worker was handled."""
        member, job = self._state.members.get(worker), self._state.job
        may_report = job is not None and worker in job.waited_for
        if member is not None and member.is_here and member.is_leaving and may_report:
            self._leaving.setdefault(worker, _reported(member))
        else:
            self._leaving.pop(worker, None)

    @property
    def running(self) -> int:
        """The users that run, without those that drain."""
        return sum(self._running(member) for member in self._state.here())

    @property
    def draining(self) -> int:
        """The users that are stopping while others run in their place."""
        return sum(self.of(member) - self._running(member) for member in self._state.here())

    def of(self, member: Member) -> int:
        """Return the users of one worker, draining or not."""
        return self._leaving.get(member.worker, _reported(member)) if member.is_leaving else _reported(member)

    def _running(self, member: Member) -> int:
        if member.is_leaving:
            return 0
        job = self._state.job
        if job is None or job.users is None:
            return _reported(member)
        return min(_reported(member), job.users.users_of(member.worker))


def _reported(member: Member) -> int:
    return sum(member.users.values())
