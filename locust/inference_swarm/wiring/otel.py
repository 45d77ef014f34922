"""Locust's `--otel`, begun in each process after Locust has forked its workers. An edge: Locust's OpenTelemetry.

Locust begins it before: the exporters' threads and queues do not survive the fork, and a worker hangs or ends with
errors.
"""

from __future__ import annotations

import argparse
import os
from importlib.util import find_spec
from typing import Any

from locust.opentelemetry import setup_opentelemetry

from inference_swarm.errors import ConfigError, SettingProblem

_WANTED = "swarm_otel"
WAY_TO_INSTALL = "pip install 'inference-swarm[otel]'"


def postpone_otel(options: argparse.Namespace) -> None:
    """Take `--otel` from Locust. Raises ConfigError when its packages are missing."""
    if not options.otel:
        return
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.sdk") is None:
        problem = SettingProblem(
            "--otel is given, and the OpenTelemetry SDK is not installed",
            expected="the packages of the extra `otel`",
            action=WAY_TO_INSTALL,
        )
        raise ConfigError([problem])
    options.otel = False
    setattr(options, _WANTED, True)


def begin_otel(environment: Any, runner: Any) -> None:
    """Begin it in this process, if it was asked for; called in Locust's event `init`."""
    options = environment.parsed_options
    if not getattr(options, _WANTED, False):
        return
    if find_spec("opentelemetry.exporter.otlp.proto.grpc") is None:  # Locust's default, which our extra leaves out
        os.environ.setdefault("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
    handlers = environment.events.init._handlers
    known = len(handlers)
    setup_opentelemetry(options.locustfile, options.profile)
    for handler in handlers[known:]:  # of the event that is under way: Locust goes on with those it had
        handler(environment=environment, runner=runner)
