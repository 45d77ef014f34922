"""The tables of decisions are total: they say what follows from whatever may happen at any time, and no more."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

import pytest

from inference_swarm.cluster import agent, coordinator, protocol
from inference_swarm.cluster.agent_events import AgentEvent
from inference_swarm.cluster.agent_state import RunStage
from inference_swarm.cluster.events import Event, Received
from inference_swarm.cluster.state import Phase

# A message with a report reaches the coordinator as the event `Reported`; all others inside of `Received`.
NOT_IN_TABLE = {Received.__name__, protocol.Report.__name__}


def names(kinds: Iterable[type]) -> set[str]:
    # A dataclass with slots is made twice, and its base may know both of them: names are what counts.
    return {kind.__name__ for kind in kinds}


OF_COORDINATOR = names((*Event.__subclasses__(), *protocol.FROM_WORKER)) - NOT_IN_TABLE
OF_AGENT = names((*AgentEvent.__subclasses__(), *protocol.FROM_MASTER))


@pytest.mark.parametrize(
    ("table", "events", "stages"),
    [(coordinator.TABLE, OF_COORDINATOR, Phase), (agent.TABLE, OF_AGENT, RunStage)],
    ids=["coordinator", "agent"],
)
def test_every_event_has_a_handler_in_every_stage_and_there_are_no_others(
    table: dict[Any, dict[StrEnum, Any]], events: set[str], stages: type[StrEnum]
) -> None:
    assert names(table) == events
    for event, row in table.items():
        assert set(row) == set(stages), event.__name__
        assert all(callable(handler) for handler in row.values()), event.__name__
