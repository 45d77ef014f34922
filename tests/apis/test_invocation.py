"""`--api invocation`: bodies byte for byte, and where requests go."""

from __future__ import annotations

import pyarrow as pa
import pytest

from inference_swarm.apis.table import predictions_of, request_format, request_path
from tests.apis.sent_bodies import bodies_of, settings_of

TABLE = pa.table({"a": [1, 2, None], 'b"é': ["x", None, "\n"]})


@pytest.mark.parametrize(
    ("body_format", "bodies"),
    [
        ("row", ['{"a":1,"b\\"é":"x"}', '{"a":2,"b\\"é":null}', '{"a":null,"b\\"é":"\\n"}']),
        (
            "instances",
            [
                '{"instances":[{"a":1,"b\\"é":"x"}]}',
                '{"instances":[{"a":2,"b\\"é":null}]}',
                '{"instances":[{"a":null,"b\\"é":"\\n"}]}',
            ],
        ),
        (
            "split",
            [
                '{"columns":["a","b\\"é"],"data":[[1,"x"]]}',
                '{"columns":["a","b\\"é"],"data":[[2,null]]}',
                '{"columns":["a","b\\"é"],"data":[[null,"\\n"]]}',
            ],
        ),
    ],
)
def test_one_row_to_a_request_byte_for_byte(body_format: str, bodies: list[str]) -> None:
    assert bodies_of(TABLE, body_format=body_format) == [body.encode() for body in bodies]
    assert request_format(settings_of(body_format=body_format), TABLE.schema).join is None


def test_a_batch_is_a_list_and_the_last_may_be_short() -> None:
    assert bodies_of(TABLE, 2) == [
        '[{"a":1,"b\\"é":"x"},{"a":2,"b\\"é":null}]'.encode(), '[{"a":null,"b\\"é":"\\n"}]'.encode(),
    ]  # fmt: skip
    split = bodies_of(TABLE, 2, body_format="split")
    assert split[0] == '{"columns":["a","b\\"é"],"data":[[1,"x"],[2,null]]}'.encode()


def test_the_query_holds_what_is_set_in_a_fixed_order_and_escaped() -> None:
    settings = settings_of(pred_method="predict", dataset_name="UNSW_NB15_merged", model="cat boost&co")
    assert request_path(settings) == "/invocation?method=predict&dataset=UNSW_NB15_merged&model=cat%20boost%26co"
    assert request_path(settings_of(dataset_name="d", model="")) == "/invocation?dataset=d"
    assert request_path(settings_of(model="")) == "/invocation"
    assert request_path(settings_of(path="x/y?a=b")) == "/x/y?a=b&model=m"


def test_predictions_are_under_a_usual_name_or_the_body_itself() -> None:
    found = predictions_of(settings_of())
    assert found.paths == (
        ("predictions",), ("prediction",), ("outputs",), ("instances",), ("result",), ("results",), (),
    )  # fmt: skip
    assert found.may_be_scalar
