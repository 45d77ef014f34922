"""docs/protocol.md lists every message with its fields, as the code has them."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from inference_swarm.cluster.protocol import (
    FROM_MASTER,
    FROM_WORKER,
    PROTOCOL_VERSION,
    BlockReport,
    Lease,
    Message,
    Partition,
    RunOffer,
)
from inference_swarm.measure.answers import AnswerCounters, WrongExample
from inference_swarm.measure.counters import AddressCounters, FailureRecord, RequestCounters
from inference_swarm.measure.quality import QualityCounters
from inference_swarm.measure.seconds import SecondCounts
from inference_swarm.measure.snapshot import SNAPSHOT_VERSION, OtherCounts, Slice, Snapshot, WorkerHealth

SNAPSHOT_PARTS: tuple[type, ...] = (
    *(Snapshot, OtherCounts, Slice, RequestCounters),
    *(FailureRecord, AddressCounters, AnswerCounters, WrongExample, QualityCounters, WorkerHealth),
)
ROOT = Path(__file__).resolve().parents[2]
PARTS: tuple[type, ...] = (BlockReport, Lease, RunOffer, Partition)


def documented() -> dict[str, dict[str, list[str]]]:
    """Fields by message, and by the part in braces or of the table of parts, under the heading of its direction."""
    text = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
    found: dict[str, dict[str, list[str]]] = {}
    section = ""
    for line in text.splitlines():
        if line.startswith("#"):
            section = line.lstrip("# ")
        match = re.match(r"\| `(\w+)` \| ([^|]*) \|", line)
        if match:
            found.setdefault(section, {})[match[1]] = re.findall(r"`(\w+)`", match[2])
    return found


@pytest.mark.parametrize(
    ("section", "kinds"),
    [("From a worker to the master", FROM_WORKER), ("From the master to a worker", FROM_MASTER)],
)
def test_the_document_lists_every_message_with_its_fields_in_their_order(
    section: str, kinds: tuple[type[Message], ...]
) -> None:
    wanted = {kind.type: [field.name for field in fields(kind)] for kind in kinds}  # type: ignore[arg-type]
    assert documented()[section] == wanted


def test_the_document_lists_what_messages_are_made_of_and_the_version() -> None:
    wanted = {part.__name__: [field.name for field in fields(part)] for part in PARTS}
    assert documented()["Parts of messages"] == wanted
    assert f"Version {PROTOCOL_VERSION} " in (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")


def test_the_document_lists_what_a_snapshot_is_made_of_and_its_version() -> None:
    wanted = {part.__name__: [field.name for field in fields(part)] for part in SNAPSHOT_PARTS}
    section = "Parts of a snapshot"
    assert documented()[section] == {**wanted, "SecondCounts": list(SecondCounts._fields)}
    assert f"Version {SNAPSHOT_VERSION}, read strictly" in (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
