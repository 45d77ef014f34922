"""GET /health, /models, /stats and the documentation."""

from __future__ import annotations

from fastapi.testclient import TestClient

from tests.server.conftest import Trained


def test_health_names_the_loaded_models_and_their_classes(client: TestClient) -> None:
    answer = client.get("/health").json()
    assert answer["status"] == "ok"
    assert {(one["dataset"], one["model"]): (one["classes"], one["columns"]) for one in answer["models"]} == {
        **{("kinds", key): (["no", "yes"], 9) for key in ("catboost", "lgbm", "xgboost")},
        **{("triple", key): ([1, 2, 3], 3) for key in ("catboost", "lgbm", "xgboost")},
    }
    assert answer["invocations"]["answered"] == 0


def test_stats_count_every_answer_once_by_status_and_model(client: TestClient, trained: Trained) -> None:
    row = trained.catalog.models["kinds", "lgbm"].schema.example
    for _ in range(3):
        client.post("/invocation?dataset=kinds&model=lgbm", json=row)
    client.post("/invocation?dataset=kinds&model=xgboost", json=[row] * 5)
    client.post("/invocation?dataset=kinds&model=xgboost", json={})
    client.post("/invocation?dataset=none&model=xgboost", json=row)
    client.get("/health")
    stats = client.get("/stats").json()
    assert stats["answered"] == 6
    assert stats["by_status"] == {"200": 4, "404": 1, "422": 1}
    assert stats["by_model"] == {"kinds/lgbm": 3, "kinds/xgboost": 1}
    assert stats["predicted_rows"] == 8
    assert client.get("/health").json()["invocations"]["by_status"] == stats["by_status"]


def test_models_tell_columns_with_kinds_and_categories_in_order(client: TestClient) -> None:
    schema = client.get("/models").json()["models"][0]
    assert (schema["dataset"], schema["algorithm"], schema["target"]) == ("kinds", "catboost", "answer")
    assert [(column["name"], column["kind"], column["categories"]) for column in schema["columns"]] == [
        ("amount [€]", "number", []),
        ("count", "integer", []),
        ("big", "integer", []),
        ("flag", "boolean", []),
        ("word", "category", ["a,b", "grün", 'q"uote', "rot"]),
        ("group", "category", [3, 11, 200]),
        ("kind", "category", ["x", "y"]),
        ("at", "timestamp", []),
        ("day", "timestamp", []),
    ]


def test_documentation_has_the_invocation_with_choices_and_an_example_that_works(client: TestClient) -> None:
    assert "swagger" in client.get("/docs").text
    operation = client.get("/openapi.json").json()["paths"]["/invocation"]["post"]
    choices = {one["name"]: one["schema"]["enum"] for one in operation["parameters"]}
    assert choices == {
        "dataset": ["kinds", "triple"],
        "model": ["catboost", "lgbm", "xgboost"],
        "method": ["predict", "predict_proba"],
    }
    example = operation["requestBody"]["content"]["application/json"]["examples"]["kinds"]["value"]
    assert client.post("/invocation?dataset=kinds&model=catboost", json=example).status_code == 200


def test_the_metrics_are_read_by_prometheus_own_parser(client: TestClient) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    response = client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    found = {
        sample.name: sample.value for one in text_string_to_metric_families(response.text) for sample in one.samples
    }
    assert found["process_cpu_seconds_total"] > 0
    assert found["process_resident_memory_bytes"] > 1_000_000
    assert "inference_rows_total" in found
