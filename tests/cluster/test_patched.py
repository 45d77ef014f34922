"""Cases that need Locust in the process, which patches it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.patched import run_cases


@pytest.mark.processes
def test_a_worker_says_what_it_cannot_use() -> None:
    run_cases(Path(__file__).with_name("worker_adapter_cases.py"))


@pytest.mark.processes
def test_threads_end_before_their_process() -> None:
    run_cases(Path(__file__).with_name("ending_cases.py"))


@pytest.mark.processes
def test_long_texts_of_locusts_messages_are_cut() -> None:
    run_cases(Path(__file__).with_name("control_message_cases.py"))


@pytest.mark.processes
def test_the_sockets_of_master_and_workers() -> None:
    run_cases(Path(__file__).with_name("channel_cases.py"))
