"""Public files that tests use and that are no part of the product: beside the checkout, or in TEST_DATA_FOLDER."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = Path(os.environ.get("TEST_DATA_FOLDER") or Path(__file__).resolve().parents[2] / "shared" / "data")
