"""Real swarms against servers that keep their own record of what they did."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

SERVER = Path(__file__).with_name("delay_server.py")
Delays = npt.NDArray[np.int64]


class DelayServer:
    """A process of `delay_server.py`."""

    def __init__(self, folder: Path, *spec: str) -> None:
        self._record = folder / "record.npy"
        self._process = subprocess.Popen(
            [sys.executable, str(SERVER), str(self._record), *spec], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> Delays:
        """Ends the server; when each request was whole and was answered, in ns."""
        self._process.terminate()
        assert self._process.wait(10) == 0
        record: Delays = np.load(self._record)
        return record

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


@pytest.fixture
def delay_server(tmp_path: Path) -> Iterator[Callable[..., DelayServer]]:
    servers: list[DelayServer] = []

    def start(*spec: str) -> DelayServer:
        servers.append(DelayServer(tmp_path, *spec))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Data to send."""
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"n": list(range(300))}), path)
    return path
