"""The settings of what a request is: a part of the table in `options`."""

from __future__ import annotations

from inference_swarm.config import value_types
from inference_swarm.config.option import Option

# `apis/table.py` has an entry for each; this stage comes before it.
APIS = (
    "invocation", "mlflow", "kserve-v1", "open-inference", "sagemaker-csv", "sagemaker-json", "bentoml", "tf-serving",
    "azureml", "seldon-v1", "template",
)  # fmt: skip
BODY_FORMATS = ("row", "instances", "split")

API_OPTIONS: tuple[Option, ...] = (
    Option(
        "api", "--api", "SWARM_API", "api", value_types.choice(*APIS), "invocation",
        "what the server under test speaks; docs/apis.md has a command for each", choices=APIS,
    ),
    Option(
        "path", "--path", "SWARM_PATH", "path", value_types.TEXT, "",
        "path of requests in place of that of --api, below a path of the host; {model} and {version} stand for "
        "--model and --model-version; may have a query", hides_query=True,
    ),
    Option(
        "model_version", "--model-version", "SWARM_MODEL_VERSION", "model_version", value_types.TEXT, "",
        "version of the model, for an --api that has it in its path; empty: not sent",
    ),
    Option(
        "api_params", "--api-param", "SWARM_API_PARAMS", "api_params", value_types.PARAMS, "",
        "key=value to send with every request where --api has a place for it, such as the params of mlflow; may be "
        "given several times (one a line in SWARM_API_PARAMS)", joined_with="\n", in_start_form=False,
    ),
    Option(
        "template", "--template", "SWARM_TEMPLATE", "template", value_types.TEXT, "",
        "--api template: file with the JSON of a request, with {{row}}, {{rows}}, {{column:NAME}} and {{columns}}",
        in_start_form=False,
    ),
    Option(
        "predictions", "--predictions", "SWARM_PREDICTIONS", "predictions", value_types.TEXT, "",
        "--api template: JSONPath of the predictions in a response, such as $.result.scores[*]", in_start_form=False,
    ),
    Option(
        "column_types", "--column-type", "SWARM_COLUMN_TYPES", "column_types", value_types.NAMES, "",
        "--api open-inference: datatypes of columns in place of the server's or the data's, such as age=FP64, with "
        "commas between them", joined_with=",", in_start_form=False,
    ),
    Option(
        "fill_null", "--fill-null", "SWARM_FILL_NULL", "fill_null", value_types.PAIRS, "",
        "what is sent in place of null, NaN and infinity in a column: age=0, with commas between several; a "
        "fractional column may have NaN", joined_with=",", in_start_form=False,
    ),
    Option(
        "binary", "--binary", "SWARM_BINARY", "binary", value_types.FLAG, False,
        "--api open-inference: send the columns in its binary form, not in JSON", in_start_form=False,
    ),
    Option(
        "body_format", "--body-format", "SWARM_BODY_FORMAT", "body_format", value_types.choice(*BODY_FORMATS), "row",
        'of --api invocation; row: {"a":1}; instances: {"instances":[{"a":1}]}; split: {"columns":["a"],"data":[[1]]}',
        choices=BODY_FORMATS,
    ),
)  # fmt: skip
