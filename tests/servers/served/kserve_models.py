"""Serves the pipeline with KServe as two models, `stroke` and `stroke-proba`: a KServe model has one method.

    python kserve_models.py FOLDER --http_port P --enable_grpc false

Rows are objects, `{"instances": [{"age": 67.0, ...}]}`, or the tensors of the Open Inference protocol.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import kserve
import pandas as pd
import uvicorn
from kserve.utils.utils import get_predict_input, get_predict_response


class PipelineModel(kserve.Model):  # type: ignore[misc]
    def __init__(self, name: str, method: Any) -> None:
        super().__init__(name)
        self._method = method
        self.ready = True

    def predict(self, payload: Any, headers: Any = None, response_headers: Any = None) -> Any:
        rows = pd.DataFrame(payload["instances"]) if isinstance(payload, dict) else get_predict_input(payload)
        return get_predict_response(payload, self._method(rows), self.name)


def main(folder: Path) -> None:
    pipeline = joblib.load(folder / "model.joblib")
    # KServe has no option for it, and listens on all interfaces.
    kserve.protocol.rest.server.uvicorn.Config = partial(_config, uvicorn.Config)
    kserve.ModelServer().start(
        [PipelineModel("stroke", pipeline.predict), PipelineModel("stroke-proba", pipeline.predict_proba)]
    )


def _config(make: Any, *arguments: Any, **options: Any) -> Any:
    return make(*arguments, **{**options, "host": "127.0.0.1"})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
