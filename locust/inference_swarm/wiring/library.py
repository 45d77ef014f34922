"""`attach` for locustfiles of one's own."""

from __future__ import annotations

from pathlib import Path

import locust
from inference_swarm import wiring

# A file that is not there has no values.
_WITHOUT = Path(__file__).parent / "no config.json"


def attach(config_file: Path | str | None = None) -> None:
    """Make `locust -f` with this locustfile a member of a swarm: our options, shards, results and web UI.

    `config_file` gives defaults, as `locust/config.json` does; SWARM_CONFIG names another. Call it once, at the end.
    """
    wiring.attach(locust.events, config_file=Path(config_file) if config_file is not None else _WITHOUT)
