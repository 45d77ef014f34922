"""`attach` for locustfiles of one's own. Outside of the stages: what it needs is imported when it is called."""

from __future__ import annotations

import gc
from pathlib import Path

import locust

# A file that is not there has no values.
_WITHOUT = Path(__file__).parent / "no config.json"


def attach(config_file: Path | str | None = None) -> None:
    """Make `locust -f` with this locustfile a member of a swarm: our options, shards, results and web UI.

    `config_file` gives defaults, as `locust/config.json` does; SWARM_CONFIG names another. Call it once, at the end.
    """
    gc.disable()  # what is imported is no garbage; wiring.attach enables it
    from inference_swarm import wiring  # all stages: it takes longer than everything else in a locustfile

    wiring.attach(locust.events, config_file=_WITHOUT if config_file is None else Path(config_file))
