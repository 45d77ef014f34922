"""What is said when this machine, not the server, refuses a connection; by this it is counted apart."""

from __future__ import annotations

import errno
import os
from typing import Final

PORTS_EXHAUSTED: Final = (
    f"{os.strerror(errno.EADDRNOTAVAIL)}: all local ports are in use (--source-address, workers on other machines)"
)
FILES_EXHAUSTED: Final = tuple(
    f"{os.strerror(code)} ({action})"
    for code, action in ((errno.EMFILE, "ulimit -n, more workers"), (errno.ENFILE, "fs.file-max, other machines"))
)


def describe_own_error(code: int, *, are_ports_in_use: bool = False) -> str:
    """Return the words for an error of a connect, with what to do when something of this machine is used up."""
    if code == errno.EADDRNOTAVAIL and are_ports_in_use:
        return PORTS_EXHAUSTED
    if code in (errno.EMFILE, errno.ENFILE):
        return FILES_EXHAUSTED[code == errno.ENFILE]
    return os.strerror(code)
