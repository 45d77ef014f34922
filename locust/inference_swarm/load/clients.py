"""Settings in, the transport of this process to its target out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from inference_swarm.apis.table import predictions_of
from inference_swarm.config.settings import Settings
from inference_swarm.config.variants import Variant
from inference_swarm.data.manifest import Manifest
from inference_swarm.load.answer_watch import AnswerWatch
from inference_swarm.load.answers import make_answer_watch
from inference_swarm.load.tracing import connection_type
from inference_swarm.transport.check import AnswerChecks, check_of, parse_expected_status
from inference_swarm.transport.client import InferenceClient
from inference_swarm.transport.deadlines import Deadlines
from inference_swarm.transport.rules import AttemptRules
from inference_swarm.transport.source_addresses import parse_source_addresses
from inference_swarm.transport.target import target_of
from inference_swarm.transport.tls import TlsFiles


def make_clients(variants: Sequence[Variant], manifest: Manifest) -> tuple[list[InferenceClient], list[AnswerWatch]]:
    """Make the transport to each variant, and what looks at the answers that it gets; none where nobody looks."""
    made = [make_answer_watch(variant.settings, manifest) for variant in variants]
    clients = [make_client(one.settings, one.name, watch) for one, watch in zip(variants, made, strict=True)]
    watches = [watch for watch in made if watch is not None]
    for client, watch in zip(clients, watches, strict=bool(watches)):
        watch.count_in_flight = client.count_open_lately
    return clients, watches


def make_client(settings: Settings, name: str = "", answers: AnswerChecks | None = None) -> InferenceClient:
    """Make the transport of this process to one target; `name`: what statistics call its requests, if not its path."""
    target = target_of(settings)
    client = InferenceClient(
        replace(target, name=name) if name else target,
        AttemptRules(
            deadlines=Deadlines(
                connect_s=settings.connect_timeout_s,
                send_s=settings.request_timeout_s,
                request_s=settings.request_timeout_s,
            ),
            expected_status=parse_expected_status(settings.expect_status),
            response_check=check_of(predictions_of(settings)) if settings.checks_answers else None,
            connection_lifetime_s=settings.connection_lifetime_s,
            source_addresses=tuple(parse_source_addresses(settings.source_address)),
            answers=answers,
        ),
        tls_files=TlsFiles(
            ca_file=Path(settings.ca_file) if settings.ca_file else None,
            client_cert=Path(settings.client_cert) if settings.client_cert else None,
            client_key=Path(settings.client_key) if settings.client_key else None,
            is_insecure=settings.insecure,
        ),
        row_count=settings.batch_size,
    )
    client.connection_type = connection_type()
    return client
