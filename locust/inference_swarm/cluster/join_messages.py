"""Messages by which workers come, report and go; docs/protocol.md says when which is sent.

They are checked like those about data, beside which they stand. Locust's own: control_messages.py.
"""

from __future__ import annotations

from inference_swarm.cluster.data_messages import Count, Message, Name, Text


class Welcome(Message):
    """Master → worker: it takes part. `run_id` is the run under way, empty if there is none."""

    type = "swarm_welcome"
    session: Name
    index: Count
    run_id: Text


class Rejoin(Message):
    """Master → worker: it was given up, or belongs to a former master. It stops its users and says hello again."""

    type = "swarm_rejoin"
    reason: Text


class Leaving(Message):
    """Worker → master: it is about to stop its users for good; its last report follows, then Locust's `quit`."""

    type = "swarm_leaving"
    reason: Text


class ReportAck(Message):
    """Master → worker: this report is in the totals, or is known not to belong there; it need not be sent again."""

    type = "report_ack"
    run_id: Name
    sequence: Count
