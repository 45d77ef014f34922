"""A single process: what one end says the other hears."""

from __future__ import annotations

from inference_swarm.cluster.memory_channel import MemoryChannel
from inference_swarm.cluster.protocol import EndWorker, Envelope, Goodbye


def test_each_end_hears_the_other_and_nobody_hears_what_is_for_another_worker() -> None:
    channel = MemoryChannel("w")
    up: list[tuple[str, Envelope]] = []
    down: list[Envelope] = []
    channel.send_to_master(Envelope(1, Goodbye()))  # nobody is there yet
    channel.to_master, channel.to_worker = lambda worker, envelope: up.append((worker, envelope)), down.append
    channel.send_to_master(Envelope(2, Goodbye()))
    channel.send_to_worker("w", Envelope(3, EndWorker("over")))
    channel.send_to_worker("other", Envelope(4, EndWorker("over")))
    assert up == [("w", Envelope(2, Goodbye()))]
    assert down == [Envelope(3, EndWorker("over"))]
