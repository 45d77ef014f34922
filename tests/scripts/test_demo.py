"""What the demo asks the reference server for, by API: its models have other names in each."""

from __future__ import annotations

import pytest

from inference_swarm.apis.table import request_path
from inference_swarm.cli.demo import APIS, GENERATED, chosen_dataset, parse_arguments, swarm_arguments
from inference_swarm.config.options import OPTIONS
from inference_swarm.config.settings import Settings
from server.train.datasets import RECIPES

PATHS = {
    "invocation": "/invocation?method=predict&dataset=my%20data&model=lgbm",
    "mlflow": "/invocations?dataset=my%20data&model=lgbm",
    "kserve-v1": "/v1/models/my%20data-lgbm:predict",
    "open-inference": "/v2/models/my%20data-lgbm/infer",
}


def test_the_demo_speaks_every_api_of_the_reference_server() -> None:
    assert set(PATHS) == set(APIS)


@pytest.mark.parametrize("api", APIS)
def test_requests_of_the_demo_go_where_the_reference_server_has_the_model(api: str) -> None:
    options = parse_arguments(["--api", api, "--dataset", "my data", "--model", "lgbm"])
    arguments = swarm_arguments(options, "http://127.0.0.1:1")
    given = dict(zip(arguments[::2], arguments[1::2], strict=True))
    values = {option.name: option.default for option in OPTIONS} | {
        "api": given["--api"],
        "model": given["--model"],
        "path": given.get("--path", ""),
        "dataset_name": given["--dataset-name"],
        "pred_method": given["--pred-method"],
    }
    settings = Settings(**values)
    assert request_path(settings) == PATHS[api]


def test_a_demo_trains_the_dataset_that_it_tests_and_for_the_web_ui_all() -> None:
    assert set(GENERATED) == set(RECIPES)
    assert chosen_dataset(parse_arguments([])) == ["--dataset", "healthcare-dataset-stroke"]
    assert chosen_dataset(parse_arguments(["--dataset", "diabetic"])) == ["--dataset", "diabetic"]
    assert chosen_dataset(parse_arguments(["--ui"])) == []
    assert chosen_dataset(parse_arguments(["--dataset", "of my own"])) == []
