"""The settings of when requests are sent: part of the table in options.py."""

from __future__ import annotations

from inference_swarm.config import value_types
from inference_swarm.config.option import Option
from inference_swarm.config.scenarios import SCENARIOS

ARRIVALS = ("closed", "constant", "poisson", "gamma", "trace")
COLUMNS, SAGEMAKER, INFERENCE_TABLE = "columns", "sagemaker-data-capture", "inference-table"
TRACE_FORMATS = (COLUMNS, SAGEMAKER, INFERENCE_TABLE)

LOAD_OPTIONS: tuple[Option, ...] = (
    Option(
        "scenario", "--scenario", "SWARM_SCENARIO", "scenario", value_types.choice(*SCENARIOS), "",
        "presets with MLPerf's rules: single-stream (p90 of one user), multi-stream (p99 of one user, 8 rows a "
        "request), server (Poisson, the highest rate under --slo p99<…), offline (rows per second, in batches of "
        "--batch-size). What is set elsewhere than in config.json wins. docs/scenarios.md",
    ),
    Option(
        "arrival", "--arrival", "SWARM_ARRIVAL", "arrival", value_types.choice(*ARRIVALS), "closed",
        "closed: each user sends its next request after the response to the last one; constant, poisson or gamma: "
        "requests are sent at --rate whatever the server does (open load), by the users; trace: each row at its "
        "instant in --time-column", choices=ARRIVALS,
    ),
    Option(
        "time_column", "--time-column", "SWARM_TIME_COLUMN", "time_column", value_types.TEXT, "",
        "column of the data with the instant of each row, for --arrival trace: timestamps with or without a zone, "
        "ISO 8601, or numbers of s, ms, µs or ns. It is not sent unless --columns names it", in_start_form=False,
    ),
    Option(
        "trace_format", "--trace-format", "SWARM_TRACE_FORMAT", "trace_format", value_types.choice(*TRACE_FORMATS),
        COLUMNS, "what a trace is read from; columns: rows and --time-column; sagemaker-data-capture, inference-table "
        "(Databricks, MLflow): files of such a capture, whose request bodies are sent as they were recorded. "
        "docs/traces.md", choices=TRACE_FORMATS, in_start_form=False,
    ),
    Option(
        "speed", "--speed", "SWARM_SPEED", "speed", value_types.RATE, 1.0,
        "how many times as fast as it was recorded a trace is replayed",
    ),
    Option(
        "loop", "--loop", "SWARM_LOOP", "loop", value_types.FLAG, False,
        "begin the trace again when it is over, until --run-time or --requests ends the run",
    ),
    Option(
        "burstiness", "--burstiness", "SWARM_BURSTINESS", "burstiness", value_types.BURSTINESS, 1.0,
        "shape of the gaps of --arrival gamma: 1 is Poisson, less comes in bursts, more is evenly spaced",
    ),
    Option(
        "rate_rps", "--rate", "SWARM_RATE", "rate", value_types.RATE, None,
        "requests per second of the whole swarm, for --arrival constant, poisson or gamma",
    ),
    Option(
        "stages", "--stages", "SWARM_STAGES", "stages", value_types.TEXT, "",
        "stages of the rate (of the users, if --arrival is closed), after which the run ends: 30s@500,1m@500..2000,"
        "10s->0, 10m@sine(200..800,2m), 5m@steps(100..500,5), 3x(30s@500,10s@2000), or the name of a file with such "
        "stages, one a line",
    ),
    Option(
        "requests", "--requests", "SWARM_REQUESTS", "requests", value_types.COUNT, None,
        "how many requests the whole swarm sends, exactly, such as 100000; with --run-time the run ends with whichever "
        "comes first",
    ),
    Option(
        "max_in_flight", "--max-in-flight", "SWARM_MAX_IN_FLIGHT", "max_in_flight", value_types.USERS, None,
        "open load: maximum concurrent requests; replaces --users and starts that many users at once",
        in_start_form=False,
    ),
    Option(
        "late_after_s", "--late-after", "SWARM_LATE_AFTER", "late_after", value_types.TIMEOUT, 0.01,
        "open load: a request sent this many seconds after its intended instant is counted as late",
        in_start_form=False,
    ),
    Option(
        "drop_after_s", "--drop-after", "SWARM_DROP_AFTER", "drop_after", value_types.TIMEOUT, 60.0,
        "open load: a request for which no user was free for this many seconds is dropped, and counted",
        in_start_form=False,
    ),
)  # fmt: skip
