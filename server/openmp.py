"""LightGBM's wheel needs the system library libgomp.so.1, which slim images do not have; other wheels bundle it.

Where it is missing, the copy bundled with scikit-learn or XGBoost is loaded under the name LightGBM asks for.
"""

from __future__ import annotations

import ctypes
import os
import sysconfig
from pathlib import Path

from server.errors import SetupError

_SYSTEM_NAME = b"libgomp.so.1"


def load_openmp() -> str:
    """Makes libgomp.so.1 loadable for this process; returns where it came from. Call before `import lightgbm`."""
    if not hasattr(os, "memfd_create"):  # not Linux: those wheels find OpenMP in their own way
        return "not needed"
    try:
        ctypes.CDLL(_SYSTEM_NAME.decode())
        return "system"
    except OSError:
        return load_bundled_openmp()


def load_bundled_openmp() -> str:
    """Loads the wheels' own libgomp as libgomp.so.1; returns its path."""
    for folder in sorted(Path(sysconfig.get_path("platlib")).glob("*.libs")):
        for path in sorted(folder.glob("libgomp-*.so*")):
            ctypes.CDLL(_in_memory_with_system_name(path), mode=ctypes.RTLD_GLOBAL)
            return str(path)
    raise SetupError(
        "LightGBM needs libgomp.so.1, which is not on this machine and not bundled with scikit-learn or XGBoost.",
        action="install it (Debian, Ubuntu: apt-get install libgomp1; Fedora: dnf install libgomp).",
    )


def _in_memory_with_system_name(path: Path) -> str:
    """The loader takes an already loaded library for libgomp.so.1 when its SONAME says so; auditwheel renamed it."""
    bundled_name = path.name.encode()
    library = path.read_bytes().replace(
        bundled_name + b"\0", _SYSTEM_NAME.ljust(len(bundled_name), b"\0") + b"\0"
    )  # same length: no offset in the file moves
    descriptor = os.memfd_create("libgomp.so.1")
    with os.fdopen(os.dup(descriptor), "wb") as file:
        file.write(library)
    return f"/proc/self/fd/{descriptor}"
