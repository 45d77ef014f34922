"""The settings of a search for a capacity: part of the table in options.py."""

from __future__ import annotations

from inference_swarm.config import value_types
from inference_swarm.config.option import Option

LOADS = ("rate", "users")

CAPACITY_OPTIONS: tuple[Option, ...] = (
    Option(
        "find_capacity", "--find-capacity", "SWARM_FIND_CAPACITY", "find_capacity", value_types.FLAG, False,
        "find the highest rate at which every --slo is met: the rate is raised until one is missed, closed in on and "
        "confirmed. --rate is where it begins. docs/capacity.md",
    ),
    Option(
        "capacity_by", "--capacity-by", "SWARM_CAPACITY_BY", "capacity_by", value_types.choice(*LOADS), "rate",
        "rate: requests per second of an open load; users: of a closed one", choices=LOADS,
    ),
    Option(
        "precision", "--precision", "SWARM_PRECISION", "precision", value_types.SHARE, 0.05,
        "capacity: how far apart the highest load that is met and the lowest that is missed may be, such as 5%",
    ),
    Option(
        "confirm_s", "--confirm", "SWARM_CONFIRM", "confirm", value_types.TIMEOUT, 60.0,
        "capacity: how long the answer must hold, such as 60s",
    ),
    Option(
        "step_max_s", "--step-max", "SWARM_STEP_MAX", "step_max", value_types.TIMEOUT, 20.0,
        "capacity: how long a step goes on whose outcome is in doubt, such as 20s", in_start_form=False,
    ),
    Option(
        "budget_s", "--budget", "SWARM_BUDGET", "budget", value_types.TIMEOUT, 600.0,
        "capacity: how long the search may take in all, such as 10m",
    ),
    Option(
        "at_least_rps", "--at-least", "SWARM_AT_LEAST", "at_least", value_types.RATE, None,
        "capacity: a search that finds less than this ends with exit code 3", in_start_form=False,
    ),
    Option(
        "target_rate_rps", "--target-rate", "SWARM_TARGET_RATE", "target_rate", value_types.RATE, None,
        "capacity: how many servers like this one carry so many requests per second is part of the answer",
        in_start_form=False,
    ),
    Option(
        "server_metrics", "--server-metrics", "SWARM_SERVER_METRICS", "server_metrics", value_types.TEXTS, "",
        "address of the server's own metrics (Prometheus text), such as http://127.0.0.1:8002/metrics; may be given "
        "several times. The master reads it every second", joined_with="; ", holds_locations=True, in_start_form=False,
    ),
    Option(
        "server_metric", "--server-metric", "SWARM_SERVER_METRIC", "server_metric", value_types.TEXTS, "",
        "a metric of the server to show beside those that are known: NAME or NAME[label=value]; may be given several "
        "times", joined_with="; ", in_start_form=False,
    ),
    Option(
        "server_pid", "--server-pid", "SWARM_SERVER_PID", "server_pid", value_types.COUNT, None,
        "process of a server on the master's machine whose CPU and memory are shown", in_start_form=False,
    ),
)  # fmt: skip
