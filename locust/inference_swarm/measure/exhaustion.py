"""What the transport says when this machine, not the server, refused a connection."""

from __future__ import annotations

import errno
import os
from typing import Final

PORTS_EXHAUSTED: Final = os.strerror(errno.EADDRNOTAVAIL)
FILES_EXHAUSTED: Final = (os.strerror(errno.EMFILE), os.strerror(errno.ENFILE))
