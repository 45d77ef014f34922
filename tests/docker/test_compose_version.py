"""Which Docker Compose is needed: said by the documents, and by an older compose that refuses compose.yaml."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
MIN_VERSION = "2.30"


def services() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    found: dict[str, Any] = document["services"]
    return found


def test_what_an_older_compose_refuses_first_names_the_version() -> None:
    """Of all unknown fields it tells the one whose place has the most parts between dots."""
    places = [f"services.{name}" for name, service in services().items() if "post_start" in service]
    parts = {place: len(place.split(".")) for place in places}
    refused = max(parts, key=lambda place: parts[place])
    assert sorted(parts.values())[-2] < parts[refused], "there must be no tie"
    assert refused == f"services.needs-docker-compose-{MIN_VERSION}-or-newer"


def test_the_service_that_only_names_the_version_is_never_started() -> None:
    assert services()[f"needs-docker-compose-{MIN_VERSION}-or-newer"]["profiles"] == ["never"]


def test_the_documents_name_the_same_version() -> None:
    for name in ("docker/README.md", "compose.yaml"):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert re.findall(r"Docker Compose (\d+\.\d+) or newer", text) == [MIN_VERSION], name
