"""What the users of this process get from the settings of a run."""

from __future__ import annotations

from typing import Any

from inference_swarm.config.settings import Settings
from inference_swarm.load.user import Assignment, InferenceUser, no_wait
from locust import between


def assign_users(settings: Settings, assignment: Assignment) -> None:
    """Before the first user is spawned. A wait time that a subclass chose for itself stays."""
    InferenceUser.assignment = assignment
    is_waiting = settings.wait_max_s > 0
    wait_time: Any = between(settings.wait_min_s, settings.wait_max_s) if is_waiting else no_wait
    InferenceUser.wait_time = wait_time


def release_users() -> None:
    """The run is over: its rows need not be kept in memory."""
    InferenceUser.assignment = None
