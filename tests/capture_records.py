"""Records as the documentation of their makers shows them: SageMaker's Data Capture, inference tables of Databricks."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

# "Capture data from real-time endpoint", View Captured Data.
SAGEMAKER_EXAMPLE = (
    r'{"captureData":{"endpointInput":{"observedContentType":"text/csv","mode":"INPUT",'
    r'"data":"69,0,153.7,109,194.0,105,256.1,114,14.1,6,1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,'
    r'0,0,0,0,1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,1,0,1,0,1,0\n",'
    r'"encoding":"CSV"},"endpointOutput":{"observedContentType":"text/csv; charset=utf-8","mode":"OUTPUT",'
    r'"data":"0.0254181120544672","encoding":"CSV"}},'
    r'"eventMetadata":{"eventId":"aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee","inferenceTime":"2022-02-14T17:25:49Z"},'
    r'"eventVersion":"0"}'
)


def sagemaker_record(
    data: str | None, inference_time: str, encoding: str = "CSV", content_type: str | None = "text/csv"
) -> dict[str, Any]:
    """A record as the example, with other values."""
    record: dict[str, Any] = json.loads(SAGEMAKER_EXAMPLE)
    record["captureData"]["endpointInput"] |= {
        "data": data, "encoding": encoding, "observedContentType": content_type,
    }  # fmt: skip
    record["eventMetadata"]["inferenceTime"] = inference_time
    return record


def legacy_row(request: str | None, timestamp_ms: int, status_code: int = 200) -> dict[str, Any]:
    """A row with the columns of "Inference tables for monitoring and debugging models"."""
    return {
        "client_request_id": None, "databricks_request_id": f"id-{timestamp_ms}", "date": "2024-05-01",
        "timestamp_ms": timestamp_ms, "status_code": status_code, "execution_time_ms": 12, "request": request,
        "response": '{"predictions":[0]}', "sampling_fraction": 1.0,
        "request_metadata": {"endpoint_name": "e", "model_name": "m", "model_version": "1"},
    }  # fmt: skip


def gateway_row(request: str | None, request_time: Any, **columns: Any) -> dict[str, Any]:
    """A row with the columns of "Monitor served models using AI Gateway-enabled inference tables"."""
    return {
        "request_date": "2024-05-01", "databricks_request_id": "id", "client_request_id": None,
        "request_time": request_time, "status_code": 200, "sampling_fraction": 1.0, "execution_duration_ms": 12,
        "request": request, "response": '{"predictions":[0]}',
        "logging_error_codes": ["MAX_REQUEST_SIZE_EXCEEDED"] if request is None else [], "served_entity_id": "s",
        "requester": "someone", **columns,
    }  # fmt: skip


def write_lines(path: Path, records: Iterable[dict[str, Any] | str]) -> Path:
    """Write records, or lines as they are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path
