"""Where the parts beside the package lie, and what its command is called: in a checkout, or installed from a wheel.

A wheel holds the parts inside of the package, in `shipped/`, laid out as in the checkout. A user's own data and results
are never there, but where the command is called.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

_PACKAGE: Final = Path(__file__).resolve().parent
_SHIPPED: Final = _PACKAGE / "shipped"
IS_INSTALLED: Final = _SHIPPED.is_dir()
ROOT: Final = _SHIPPED if IS_INSTALLED else _PACKAGE.parent.parent
PROGRAM: Final = "inference-swarm" if IS_INSTALLED else "scripts/start.sh"
"""What a message tells people to type."""
LOCUSTFILE: Final = ROOT / "locust" / "locustfile.py"
CONFIG_FILE: Final = ROOT / "locust" / "config.json"
_OF_USER: Final = Path() if IS_INSTALLED else ROOT
OWN_SPLITS: Final = _OF_USER / "locust" / "test_files" / "splits"
TRAINED_SPLITS: Final = _OF_USER / "experiment-results" / "splits"
