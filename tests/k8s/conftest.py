"""The images of tests/docker, for running what the manifests say."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

_spec = importlib.util.spec_from_file_location("docker_test_fixtures", HERE.parent / "docker" / "conftest.py")
assert _spec is not None
assert _spec.loader is not None
_fixtures = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_fixtures)

docker_engine = _fixtures.docker_engine
checkout = _fixtures.checkout
image_tag = _fixtures.image_tag
