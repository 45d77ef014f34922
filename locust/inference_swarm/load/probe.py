"""Asks the server before a run: waits until it is ready, sends it one row. An edge: the network, a clock, files.

The row is the first that this worker holds, and its request that of the run but for its User-Agent, by which a log of
the server can tell it. It is in no number of the run.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from typing import Final, Self

import gevent
import pyarrow as pa

from inference_swarm.apis.body import RequestFormat
from inference_swarm.apis.table import predictions_of
from inference_swarm.config.settings import Settings
from inference_swarm.data.manifest import Manifest
from inference_swarm.data.threads import run_in_pool
from inference_swarm.errors import ExitCode, SwarmError
from inference_swarm.load.one_row import request_of_row
from inference_swarm.load.readiness import wait_ready
from inference_swarm.transport.attempt import describe_status
from inference_swarm.transport.body import first_words
from inference_swarm.transport.check import check_of
from inference_swarm.transport.client import InferenceClient
from inference_swarm.transport.fetch import send_once
from inference_swarm.transport.outcome import ErrorKind
from inference_swarm.transport.refusal import find_refusal, no_http
from inference_swarm.transport.target import parse_headers, request_heads

logger = logging.getLogger(__name__)
USER_AGENT: Final = "inference-swarm (probe)"


@dataclass(frozen=True, slots=True)
class ProbeReply:
    """What came of asking: `code` None: the run may begin, and `text` says what the server did."""

    text: str
    code: ExitCode | None = None
    is_warning: bool = False

    @classmethod
    def of(cls, error: SwarmError) -> Self:
        """The run may not begin, for this reason."""
        return cls(str(error), error.exit_code)


def ask_server(
    settings: Settings, client: InferenceClient, manifest: Manifest, row: int, row_format: RequestFormat
) -> ProbeReply:
    """Do what `--wait-ready` and `--no-probe` leave to be done; blocks the calling greenlet. Raises nothing."""
    try:
        waited_s = wait_ready(settings, client) if settings.wait_ready_s is not None else None
        if settings.no_probe:
            return ProbeReply(f"The server is ready after {waited_s or 0.0:.1f} s.")
        return _send_row(settings, client, manifest, row, row_format)
    except SwarmError as error:
        return ProbeReply.of(error)
    except (pa.ArrowException, OSError, MemoryError) as error:
        return ProbeReply(f"the first row could not be sent: {error}", ExitCode.BAD_CONFIGURATION)
    except Exception as error:
        logger.exception("The server could not be asked")
        return ProbeReply(f"the server could not be asked: {error!r}", ExitCode.BAD_CONFIGURATION)


def _send_row(
    settings: Settings, client: InferenceClient, manifest: Manifest, row: int, row_format: RequestFormat
) -> ProbeReply:
    headers = parse_headers(settings.headers)
    if "user-agent" not in map(str.lower, headers):
        headers["User-Agent"] = USER_AGENT
    head_of = request_heads(client.target, headers, row_format.headers, is_open=row_format.begins_with_headers)
    make = partial(request_of_row, manifest, row, row_format, head_of)
    request, _ = run_in_pool(gevent.get_hub().threadpool.apply, make)
    outcome, body = send_once(client, request)
    error = outcome.error
    if error is not None and error.kind is ErrorKind.PROTOCOL:
        raise no_http(error.detail, outcome.failure_text, client.target.public_url)
    if error is not None and error.kind is not ErrorKind.ANSWER:
        return ProbeReply(f"The server did not answer one row ({error}); the run begins all the same.", is_warning=True)
    refusal = find_refusal(outcome.status, body, client.rules, client.target.public_url, settings.api)
    if refusal is not None:
        raise refusal
    took_ms = outcome.service_ns / 1e6
    text = f"The server answered one row with {describe_status(outcome.status)} in {took_ms:.1f} ms"
    problem = error.detail if error is not None else check_of(predictions_of(settings))(body, 1)
    if problem is None:
        return ProbeReply(f"{text}.")
    said = first_words(body) or "(no text)"
    return ProbeReply(f"{text}; --check-answer would fail it ({problem}): {said}", is_warning=True)
