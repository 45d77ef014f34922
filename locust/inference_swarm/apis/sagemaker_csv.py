"""SageMaker containers that take CSV, such as XGBoost's: the cells of a row on a line, without a header line.

Null is an empty cell. The answer is CSV as well: a line a row.
"""

from __future__ import annotations

from inference_swarm.apis.api import Api, Layout, Predictions, Readiness, RequestContext
from inference_swarm.apis.body import Body, Rows
from inference_swarm.config.settings import Settings
from inference_swarm.data.csv_cells import csv_texts_of


def frame(context: RequestContext) -> Body:
    """`67,28.1,"a ""quoted"" text"`, and a newline between two rows."""
    commas = (b",",) * (len(context.names) - 1)
    return Body((Rows((b"", *commas, b""), between=b"\n"),), csv_texts_of)


def predictions(settings: Settings) -> Predictions:
    """`0.1` and a newline, a row."""
    return Predictions(Layout.LINES)


SAGEMAKER_CSV = Api(
    name="sagemaker-csv",
    summary="SageMaker containers that take CSV",
    path="/invocations",
    frame=frame,
    predictions=predictions,
    ready=Readiness("/ping"),
    content_type="text/csv",
    accept="text/csv",
)
