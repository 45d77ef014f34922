"""Every bad request gets its 4xx and a sentence that says what was found and what was expected."""

from __future__ import annotations

import asyncio
import gzip
import json
import math
import re
import time
import weakref
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message

from server.app import create_app
from server.bodies import BODIES_AT_ONCE, Bodies
from server.catalog import Catalog
from server.errors import RequestError
from server.rows import parse_json, read_rows
from tests.server.conftest import Trained

URL = "/invocation?dataset=triple&model=lgbm"
ROW = {"amount [€]": 1.5, "count": 3, "word": "rot"}
ALL_THREE = "expected exactly these 3: 'amount [€]', 'count', 'word'."


@pytest.mark.parametrize(
    ("url", "status", "sentence"),
    [
        ("/invocation?dataset=triple&model=lgmb", 404, "Unknown model 'lgmb' (did you mean 'lgbm'?); expected one of"),
        ("/invocation?dataset=tripel&model=lgbm", 404, "Unknown dataset 'tripel' (did you mean 'triple'?); expected"),
        (f"{URL}&method=predictproba", 422, "Unknown method 'predictproba' (did you mean 'predict_proba'?); expected"),
        ("/invocation?dataset=triple", 422, "3 loaded models fit this request; expected the query parameter model="),
        (
            "/invocation",
            422,
            "6 loaded models fit this request; expected the query parameters dataset=kinds|triple and model=",
        ),
    ],
)
def test_names_that_are_not_loaded(client: TestClient, url: str, status: int, sentence: str) -> None:
    _expect(client, url, json.dumps(ROW), status, sentence)


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        ("", 400, "The body is empty; expected JSON: one row"),
        ("  \n", 400, "The body is empty; expected JSON: one row"),
        ("word=rot&count=3", 400, 'it begins with "word=rot&count=3"; expected one row'),
        ('{"count": 3', 400, "The body is not JSON (unexpected end of data"),
        (b"\xff\xfe{}", 400, "The body is not JSON ("),
        (gzip.compress(b"{}", mtime=0), 415, "The body is compressed with gzip; expected plain JSON"),
        ('{"count": NaN', 400, "The body is not JSON ("),
        ('{"count": Nan}', 400, "The body is not JSON ("),
        ('{"count": +Infinity}', 400, "The body is not JSON ("),
        ('{"count": "NaN}', 400, "The body is not JSON ("),
        ("[" * 5000, 400, "The body is not JSON ("),
        ("17", 422, "The body is the number 17; expected one row"),
        ('"rot"', 422, 'The body is the string "rot"; expected one row'),
        ("null", 422, "The body is null; expected one row"),
        ("[]", 422, "The body is an empty list; expected at least one row."),
        ("[[1, 2, 3]]", 422, "Row 0 of the body is a list; expected an object of columns."),
        ('{"instances": []}', 422, '"instances" is an empty list; expected at least one row.'),
        ('{"instances": 5}', 422, '"instances" is the number 5; expected a list of rows.'),
        ("{}", 422, f"Row 0 lacks the columns 'amount [€]', 'count', 'word'; {ALL_THREE}"),
    ],
)
def test_bodies_that_are_no_rows(client: TestClient, body: str | bytes, status: int, sentence: str) -> None:
    _expect(client, URL, body, status, sentence)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"amount [€]": 1, "count": 3}, f"Row 0 lacks the column 'word'; {ALL_THREE}"),
        (ROW | {"label": 1}, f"Row 0 has the unknown column 'label'; {ALL_THREE}"),
        (
            {"amount [€]": 1, "cuont": 3, "word": "rot"},
            f"Row 0 lacks the column 'count' and has the unknown column 'cuont' (did you mean 'count'?); {ALL_THREE}",
        ),
        ([ROW, {"word": "rot"}], f"Row 1 lacks the columns 'amount [€]', 'count'; {ALL_THREE}"),
        ({"columns": ["word", "word", "count"], "data": [["a", "b", 1]]}, "\"columns\" lacks the column 'amount [€]'"),
        ({"columns": "word", "data": []}, '"columns" is the string "word"; expected a list of column names.'),
        ({"columns": list(ROW), "data": []}, '"data" is an empty list; expected at least one row.'),
        ({"columns": list(ROW), "data": 1}, '"data" is the number 1; expected a list of rows'),
        ({"columns": list(ROW), "data": [[1, 2]]}, 'Row 0 of "data" has 2 values; expected a list of 3 values.'),
    ],
)
def test_missing_and_extra_columns(client: TestClient, body: Any, sentence: str) -> None:
    _expect(client, URL, json.dumps(body), 422, sentence)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"amount [€]": "12"}, "Column 'amount [€]' of row 1 is the string \"12\"; expected a number or null."),
        ({"amount [€]": True}, "Column 'amount [€]' of row 1 is the boolean true; expected a number or null."),
        ({"count": 3.5}, "Column 'count' of row 1 is the number 3.5; expected a whole number or null."),
        ({"count": []}, "Column 'count' of row 1 is a list; expected a whole number or null."),
        ({"flag": 1}, "Column 'flag' of row 1 is the number 1; expected true or false or null."),
        ({"word": 5}, "Column 'word' of row 1 is the number 5; expected a string (a category) or null."),
        ({"word": {}}, "Column 'word' of row 1 is an object; expected a string (a category) or null."),
        ({"group": "3"}, "Column 'group' of row 1 is the string \"3\"; expected a whole number (a category) or null."),
        ({"at": "yesterday"}, "Column 'at' of row 1 is the string \"yesterday\"; expected an ISO 8601 string such as"),
        ({"at": 1709251567}, "Column 'at' of row 1 is the number 1709251567; expected an ISO 8601 string such as"),
        ({"at": "9999-12-31T23:59:59-12:00"}, "Column 'at' of row 1 is the string"),
    ],
)
@pytest.mark.parametrize("model", ["catboost", "lgbm", "xgboost"])
def test_wrong_types(client: TestClient, trained: Trained, change: dict[str, Any], sentence: str, model: str) -> None:
    row = trained.catalog.models["kinds", model].schema.example
    _expect(client, f"/invocation?dataset=kinds&model={model}", json.dumps([row, row | change]), 422, sentence)


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity", " NaN "])
@pytest.mark.parametrize("model", ["catboost", "lgbm", "xgboost"])
def test_the_literals_that_pandas_writes_are_missing_values(client: TestClient, literal: str, model: str) -> None:
    url = f"/invocation?dataset=triple&model={model}&method=predict_proba"
    with_null = client.post(url, content='[{"amount [€]": null, "count": null, "word": null}]')
    text = f'[{{"amount [€]": {literal}, "count":{literal}, "word": {literal}}}]'
    answer = client.post(url, content=text)
    assert (answer.status_code, answer.json()) == (200, with_null.json())


def test_a_string_that_reads_nan_stays_a_string() -> None:
    body = rb'{"a": "NaN", "b": "\" NaN, \\", "c": NaN, "NaN": [-Infinity, "Infinity"]}'
    assert parse_json(body) == {"a": "NaN", "b": '" NaN, \\', "c": None, "NaN": [None, "Infinity"]}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)


def without_constants(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_constants(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [without_constants(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@given(JSON)
def test_what_python_writes_is_read_with_its_constants_as_missing(value: Any) -> None:
    assert parse_json(json.dumps(value).encode()) == without_constants(value)


@pytest.mark.parametrize(
    ("columns", "body"),
    [
        (("columns", "data"), {"columns": 1, "data": "x"}),
        (("columns", "data", "index"), {"columns": 1, "data": None, "index": 2}),
        (("instances",), {"instances": 5}),
    ],
)
def test_columns_may_be_called_like_the_parts_of_a_wrapper(columns: tuple[str, ...], body: dict[str, Any]) -> None:
    row = [body[name] for name in columns]
    assert read_rows(json.dumps(body).encode(), columns) == [row]
    assert read_rows(json.dumps([body]).encode(), columns) == [row]
    assert read_rows(json.dumps({"instances": [body]}).encode(), columns) == [row]
    split = {"columns": list(columns), "data": [row]}
    assert read_rows(json.dumps(split).encode(), columns) == [row]


def test_no_answer_is_as_long_as_the_name_that_it_refuses(client: TestClient) -> None:
    name = "n" * 50_000
    _expect(client, f"/invocation?dataset={name}", "{}", 404, f"Unknown dataset '{'n' * 80}… (50,000 characters)'; ")
    _expect(client, f"/invocation?dataset=triple&model={name}", "{}", 404, "Unknown model 'nnn")
    _expect(client, f"{URL}&method={name}", "{}", 422, "Unknown method 'nnn")
    _expect(client, URL, json.dumps({name: 1}), 422, "has the unknown column 'nnn")
    _expect(client, URL, json.dumps({"columns": [name, name], "data": []}), 422, "has 'nnn")
    _expect(client, URL, json.dumps(name), 422, "The body is the string")
    for body in ({name: 1}, {"columns": [name, name], "data": []}, name):
        assert len(client.post(URL, json=body).content) < 1_000


@pytest.mark.timeout(60)
@pytest.mark.parametrize("shape", ["object", "columns"])
def test_a_body_of_very_many_columns_is_refused_in_the_time_that_reading_it_takes(shape: str) -> None:
    """The square of 300,000 would take hours; the limit only tells the two apart."""
    names = [f"c{number}" for number in range(300_000)]
    document: Any = dict.fromkeys(names, 1) if shape == "object" else {"columns": names, "data": []}
    with pytest.raises(RequestError) as caught:
        read_rows(json.dumps(document).encode(), ("amount", "count"))
    assert "and 299992 more" in caught.value.sentence


def test_all_bodies_together_have_a_limit() -> None:
    """Half-sent requests of many senders would fill the memory as well as one that is too long."""

    async def scenario() -> None:
        bodies = Bodies(max_body_bytes=1_000)

        async def receive_half() -> Message:
            return {"type": "http.request", "body": b"x" * 900, "more_body": not is_last}

        async with AsyncExitStack() as stack:
            is_last = True
            for _ in range(BODIES_AT_ONCE):
                await stack.enter_async_context(bodies.read({"headers": []}, receive_half))
            assert bodies.held_bytes == 900 * BODIES_AT_ONCE
            with pytest.raises(RequestError) as caught:
                await stack.enter_async_context(bodies.read({"headers": []}, receive_half))
            assert caught.value.status == 503
            assert bodies.held_bytes == 900 * BODIES_AT_ONCE, "a refused one is not held"
        assert bodies.held_bytes == 0

    asyncio.run(scenario())


def test_large_bodies_are_worked_on_one_at_a_time(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    at_once: list[int] = []
    running = 0

    def read(body: bytes, names: tuple[str, ...]) -> list[list[Any]]:
        nonlocal running
        running += 1
        at_once.append(running)
        time.sleep(0.02)  # stands in for work
        running -= 1
        raise RequestError(422, "No rows.")

    monkeypatch.setattr("server.models.read_rows", read)

    async def scenario() -> None:
        transport = httpx.ASGITransport(create_app(trained.catalog))
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            answers = await asyncio.gather(*(client.post(URL, content=b" " * 100_000) for _ in range(6)))
        assert [answer.status_code for answer in answers] == [422] * 6

    asyncio.run(scenario())
    assert at_once == [1] * 6


def test_nothing_of_a_refused_body_is_held_while_others_wait_for_their_turn(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A traceback holds what was parsed: eight refusals in a row took eight times the memory of one."""

    class Document:
        """Of a kind that can be referred to weakly."""

    alive: weakref.WeakSet[Document] = weakref.WeakSet()
    at_once: list[int] = []

    def read(body: bytes, names: tuple[str, ...]) -> list[list[Any]]:
        document = Document()
        alive.add(document)
        at_once.append(len(alive))
        raise RequestError(422, "No rows.")

    monkeypatch.setattr("server.models.read_rows", read)

    async def scenario() -> None:
        transport = httpx.ASGITransport(create_app(trained.catalog))
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            await asyncio.gather(*(client.post(URL, content=b" " * 100_000) for _ in range(6)))

    asyncio.run(scenario())
    assert at_once == [1] * 6


def test_too_large_bodies_with_and_without_an_announced_length(client: TestClient) -> None:
    limit = "expected at most 200,000 bytes: send fewer rows at a time or start the server with a larger --max-body-mb."
    _expect(client, URL, b" " * 200_001, 413, f"The body has 200,001 bytes; {limit}")

    def chunks() -> Iterator[bytes]:
        for _ in range(5):
            yield b" " * 50_000

    answer = client.post(URL, content=chunks())
    assert answer.status_code == 413
    assert answer.json()["detail"] == f"The body has more than 200,000 bytes; {limit}"


def test_other_methods_are_not_allowed(client: TestClient) -> None:
    assert client.get("/invocation").status_code == 405


def test_names_may_be_left_out_when_that_leaves_one_model(trained: Trained) -> None:
    models = trained.catalog.models
    one_dataset = Catalog(model for (dataset, _), model in models.items() if dataset == "triple")
    one_model = Catalog(model for (_, key), model in models.items() if key == "xgboost")
    single = Catalog([models["triple", "catboost"]])
    for catalog, url in (
        (one_dataset, "/invocation?model=lgbm"),
        (one_model, "/invocation?dataset=triple"),
        (single, "/invocation"),
        (single, "/invocation?dataset=&model=&method="),
    ):
        with TestClient(create_app(catalog)) as client:
            assert client.post(url, json=ROW).status_code == 200
    uneven = Catalog([models["triple", "catboost"], models["kinds", "lgbm"]])
    with TestClient(create_app(uneven)) as client:
        _expect(
            client,
            URL,
            json.dumps(ROW),
            404,
            "Model 'lgbm' of dataset 'triple' is not loaded; expected one of kinds/lgbm, triple/catboost.",
        )


def test_a_failing_library_is_answered_logged_and_counted(
    trained: Trained, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(rows: object) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr(trained.catalog.models["triple", "lgbm"], "_predictor", fail)
    with TestClient(create_app(trained.catalog)) as client:
        _expect(client, URL, json.dumps(ROW), 500, "The prediction failed inside the server; its log has the reason.")
        assert client.get("/stats").json()["by_status"] == {"500": 1}
    assert "boom" in caplog.text


def _expect(client: TestClient, url: str, body: str | bytes, status: int, sentence: str) -> None:
    answer = client.post(url, content=body)
    assert list(answer.json()) == ["detail"]
    found = answer.json()["detail"]
    assert (answer.status_code, sentence in found) == (status, True), f"{answer.status_code}: {found}"
    assert re.fullmatch(r"[\"A-Z0-9].*\.", found, re.DOTALL), found
