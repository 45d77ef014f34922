"""Runs are made of the same made-up records as in the tests of what they leave."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "export"))
