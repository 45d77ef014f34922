"""Settings of a run in a pipeline: what it is compared with, what it leaves for other programs, where it is watched."""

from __future__ import annotations

from inference_swarm.config import value_types
from inference_swarm.config.option import Option

PIPELINE_OPTIONS: tuple[Option, ...] = (
    Option(
        "baseline", "--baseline", "SWARM_BASELINE", "baseline", value_types.TEXT, "",
        "a run to compare with: its folder, or its name below RESULTS/runs; goes with --max-regression",
        in_start_form=False,
    ),
    Option(
        "max_regression", "--max-regression", "SWARM_MAX_REGRESSION", "max_regression", value_types.TEXTS, "",
        "how much worse than --baseline the run, or with --ab B than A, may be, such as p99:10%,rate:5%: an objective "
        "is missed (exit code 3) when it is worse by more with the confidence of a comparison. docs/ci.md",
        joined_with=",", in_start_form=False,
    ),
    Option(
        "junit", "--junit", "SWARM_JUNIT", "junit", value_types.TEXT, "",
        "file for the verdict and each objective as test cases (JUnit XML)", in_start_form=False,
    ),
    Option(
        "markdown", "--markdown", "SWARM_MARKDOWN", "markdown", value_types.TEXT, "",
        "file for a summary in Markdown; in GitHub Actions a headless run also adds it to the job's summary",
        in_start_form=False,
    ),
    Option(
        "metrics_port", "--metrics-port", "SWARM_METRICS_PORT", "metrics_port", value_types.PORT, None,
        "headless: port at which Prometheus reads /metrics while the run goes on, on loopback unless --web-host says "
        "otherwise; 0: a free one, which is logged", in_start_form=False,
    ),
)  # fmt: skip
