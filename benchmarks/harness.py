"""What the benchmarks share: a pinned nginx that counts, rows on disk, load generators as processes, medians.

Every rate is taken from nginx's own counter over the same window, so all tools are measured alike.
"""

from __future__ import annotations

import http.client
import os
import re
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from nginx_conf import ANSWER as ANSWER
from nginx_conf import nginx_conf

REPOSITORY = Path(__file__).resolve().parents[1]
LOCUSTFILES = Path(__file__).resolve().parent / "locustfiles"
BODY_BYTES = 713
ROW_GROUP_ROWS = 100_000
MEASURED_ROWS = 5_000
MESH = "/mesh"


@dataclass(frozen=True, slots=True)
class Server:
    """The nginx under load."""

    port: int
    is_tls: bool
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"{'https' if self.is_tls else 'http'}://127.0.0.1:{self.port}"

    def count(self) -> tuple[int, int]:
        """Requests answered so far and connections open now, without the one that asks."""
        if self.is_tls:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                "127.0.0.1", self.port, context=context, timeout=30
            )
        else:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("GET", "/_count")
        text = connection.getresponse().read().decode()
        connection.close()
        open_count = int(re.findall(r"Active connections: (\d+)", text)[0])
        return int(re.findall(r"(\d+) (\d+) (\d+)", text)[0][2]), open_count - 1


@contextmanager
def serve(core: str, *, is_tls: bool = False, first_log: Path | None = None) -> Iterator[Server]:
    """nginx on the given core, answering every POST with a fixed JSON.

    `first_log` gets a line for each connection: the instant, in seconds since 1970, of its first response.
    """
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if nginx is None:
        sys.exit("nginx is not on the PATH (Debian: apt-get install nginx-light)")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        certificate = ""
        if is_tls:
            make_certificate(folder)
            certificate = f"ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;"
        port = free_port()
        conf = folder / "nginx.conf"
        conf.write_text(
            nginx_conf(
                folder, port, tls="ssl" if is_tls else "", certificate=certificate, mesh=MESH, first_log=first_log
            )
        )
        process = subprocess.Popen([*pinned(core), nginx, "-c", str(conf)], stderr=subprocess.DEVNULL)
        server = Server(port, is_tls, process)
        try:
            deadline_s = time.monotonic() + 10
            while not is_listening(server):
                if time.monotonic() > deadline_s:
                    sys.exit("nginx does not answer")
                time.sleep(0.02)
            yield server
        finally:
            process.terminate()
            process.wait()


def free_port() -> int:
    """A port of loopback that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def make_certificate(folder: Path) -> None:
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem"),
        ],
        check=True,
        capture_output=True,
    )


def is_listening(server: Server) -> bool:
    try:
        server.count()
    except OSError:
        return False
    return True


def pinned(core: str) -> list[str]:
    """The start of a command line that runs on one core only."""
    return ["taskset", "-c", core] if shutil.which("taskset") else []


def make_rows(path: Path, rows: int = 20_000, columns: int = 35, body_bytes: float = BODY_BYTES) -> None:
    """A parquet file of floats, integers and strings whose JSON bodies have so many bytes on average.

    A constant column makes up for what the others lack: the other load generators send one body of exactly that length.
    """
    import numpy as np
    import orjson
    import pyarrow as pa
    import pyarrow.parquet as pq

    random = np.random.default_rng(1)

    def column(number: int, count: int) -> pa.Array:
        if number % 7 == 6:
            return pa.array(random.choice(["Private", "Govt_job", "Urban"], count))
        if number % 3 == 2:
            return pa.array(random.integers(0, 1000, count))
        return pa.array(np.round(random.random(count) * 100, 4))

    def table_of(count: int) -> pa.Table:
        return pa.table({f"column_{number:02d}": column(number, count) for number in range(columns)})

    sample = [len(orjson.dumps(row)) for row in table_of(MEASURED_ROWS).to_pylist()]
    padding = "x" * max(0, round(body_bytes - statistics.fmean(sample) - len(',"padding":""')))
    writer: pq.ParquetWriter | None = None
    for first in range(0, rows, ROW_GROUP_ROWS):
        count = min(ROW_GROUP_ROWS, rows - first)
        table = table_of(count).append_column("padding", pa.array([padding] * count))
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


def make_labels(path: Path, rows: int = 20_000) -> None:
    """The label of each row: nginx says 0 to all, and half of that is right."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"label": [row % 2 for row in range(rows)]}), path)


def locust_command(core: str, locustfile: Path, server: Server, users: int, *more: str, prefix: str = "") -> list[str]:
    """A headless Locust process that stops only when it is told to; `prefix` comes before the path of its requests."""
    return [
        *pinned(core),
        *(sys.executable, "-m", "locust", "-f", str(locustfile), "--headless", "--only-summary"),
        *("--host", server.url + prefix, "-u", str(users), "-r", str(users), "-t", "24h", *more),
    ]


class Generator:
    """A load generator as a process."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] | None) -> None:
        self.command = command
        self._output = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the process
        self.process = subprocess.Popen(
            command,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            cwd=tempfile.gettempdir(),
        )

    def output(self) -> str:
        """What it has printed so far."""
        size = os.fstat(self._output.fileno()).st_size
        return os.pread(self._output.fileno(), size, 0).decode(errors="replace")

    def wait_until(self, condition: Callable[[], bool], what: str, timeout_s: float, poll_s: float = 0.05) -> None:
        """Polls; ends the benchmark when the process ends first or the time is over."""
        deadline_s = time.monotonic() + timeout_s
        while not condition():
            if self.process.poll() is not None or time.monotonic() > deadline_s:
                why = "it ended" if self.process.poll() is not None else f"not within {timeout_s:g} s"
                sys.exit(f"{' '.join(self.command)}\n{what}: {why}; its output:\n{self.output()[-3000:]}")
            time.sleep(poll_s)

    def private_bytes(self) -> int:
        """Memory that is the process's own and its children's (USS)."""
        return sum(each.memory_full_info().uss for each in family(self.process.pid))

    def end(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def running(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Iterator[Generator]:
    generator = Generator(command, environment)
    try:
        yield generator
    finally:
        generator.end()


def measure_rate(
    server: Server,
    command: Sequence[str],
    users: int,
    *,
    warmup_s: float,
    window_s: float,
    environment: Mapping[str, str] | None = None,
) -> Measured:
    """What a load generator does in a window that begins when all users are connected and warm."""
    with running(command, environment) as generator:
        generator.wait_until(lambda: server.count()[1] >= users, f"{users} connections", 600, 0.2)
        time.sleep(warmup_s)
        before, before_s, before_cpu_s = server.count()[0], time.monotonic(), cpu_s(generator.process.pid)
        time.sleep(window_s)
        after, after_s, after_cpu_s = server.count()[0], time.monotonic(), cpu_s(generator.process.pid)
        rss_bytes = sum(each.memory_info().rss for each in family(generator.process.pid))
    count = after - before
    return Measured(count / (after_s - before_s), (after_cpu_s - before_cpu_s) / max(count, 1) * 1e6, rss_bytes)


@dataclass(frozen=True, slots=True)
class Measured:
    """Requests a second that nginx answered, µs of CPU that the load generator used for each, its memory at the end.

    The CPU hardly depends on what else the machine does.
    """

    rate_rps: float
    cpu_us: float
    rss_bytes: int


def family(pid: int) -> list[psutil.Process]:
    """A process and its children."""
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def cpu_s(pid: int) -> float:
    """CPU seconds of a process and its children so far."""
    times = [each.cpu_times() for each in family(pid)]
    return float(sum(each.user + each.system for each in times))


def median(values: Sequence[float]) -> float:
    return statistics.median(values)
