"""Build step: takes out of /opt/venv what never runs in that image: test suites, headers, plotting, Arrow's RPC.

tests/docker shows that all models answer and that whole runs work without them.
"""

from __future__ import annotations

import shutil
import sys
import sysconfig
from importlib.metadata import distributions
from pathlib import Path

# CatBoost requires them for notebooks; serving also needs no parquet.
NOT_SERVED = {
    "contourpy", "cycler", "fonttools", "graphviz", "kiwisolver", "matplotlib", "pillow", "plotly", "pyarrow",
    "pyparsing",
}  # fmt: skip
NOT_SWARMED = ("pyarrow/*flight*",)
EVERYWHERE = ("*/tests", "*/*/tests", "*/include", "*/*/include", "pyarrow/src", "*/*.pyx", "*/*.pxd", "*/*.pxi")


def main(image: str) -> None:
    """Removes in place."""
    packages = Path(sysconfig.get_path("purelib"))
    if image == "server":
        for distribution in distributions(path=[str(packages)]):
            if distribution.metadata["Name"].lower() in NOT_SERVED:
                for file in distribution.files or ():
                    (packages / file).unlink(missing_ok=True)
        for top in ("_plotly_utils", "PIL", "fontTools", "mpl_toolkits", "pillow.libs", *NOT_SERVED):
            remove(packages / top)
    patterns = EVERYWHERE + (NOT_SWARMED if image == "swarm" else ())
    for pattern in patterns:
        for path in packages.glob(pattern):
            remove(path)


def remove(path: Path) -> None:
    """A file or a whole folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


if __name__ == "__main__":
    main(sys.argv[1])
