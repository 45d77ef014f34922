"""Copies the results of a job out of its volume: a small pod beside the volume, a tar stream, the local folder."""

from __future__ import annotations

import json
import tarfile
import tempfile
from pathlib import Path
from typing import IO, Any

from inference_swarm.cli.k8s_pods import reader_pod
from inference_swarm.cli.kubectl import Kubectl, KubectlError

CLAIM = "swarm-results"
READER = "swarm-results-reader"
RUN_TABLE = "run_table.csv"
# Python in the image packs the files: neither tar nor a shell is needed there.
PACK = (
    "import os, sys, tarfile\n"
    "os.chdir('/results')\n"
    "with tarfile.open(fileobj=sys.stdout.buffer, mode='w|gz') as tar:\n"
    "    for name in ('runs', 'run_table.csv'):\n"
    "        if os.path.exists(name):\n"
    "            tar.add(name)\n"
)


def copy_results(kubectl: Kubectl, master: dict[str, Any], results: Path) -> list[Path]:
    """The run folders that are now in `results`. Raises KubectlError."""
    kubectl.run("apply", "-f", "-", text=json.dumps(reader_pod(master, CLAIM)))
    try:
        kubectl.run("wait", "--for=condition=Ready", f"pod/{READER}", "--timeout=180s", timeout_s=200)
        with tempfile.TemporaryFile() as packed:
            code = kubectl.start("exec", READER, "--", "python", "-I", "-c", PACK, stdout=packed).wait()
            if code:
                raise KubectlError(f"the results could not be read from the volume {CLAIM} (code {code})", exit_code=4)
            packed.seek(0)
            return unpack(packed, results)
    finally:
        kubectl.run("delete", "pod", READER, "--ignore-not-found", "--wait=false")


def unpack(packed: IO[bytes], results: Path) -> list[Path]:
    """Adds run folders and the lines of the run table to `results`; returns the folders. Overwrites no run."""
    (results / "runs").mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=packed) as tar:
        members = [member for member in tar.getmembers() if member.isfile() or member.isdir()]
        runs = sorted({parts[1] for m in members if (parts := Path(m.name).parts)[0] == "runs" and len(parts) > 1})
        new = [name for name in runs if not (results / "runs" / name).exists()]
        wanted = [m for m in members if (parts := Path(m.name).parts)[0] == "runs" and parts[1:2] and parts[1] in new]
        if hasattr(tarfile, "data_filter"):  # Python before 3.11.4 may lack it
            tar.extraction_filter = tarfile.data_filter
        tar.extractall(results, members=wanted)
        if any(member.name == RUN_TABLE for member in members) and new:
            table = tar.extractfile(RUN_TABLE)
            assert table is not None
            append_lines(results / RUN_TABLE, table.read().decode("utf-8"), new)
    return [results / "runs" / name for name in runs]


def append_lines(path: Path, table: str, runs: list[str]) -> None:
    """The lines of these runs, below the headers."""
    headers, *lines = table.splitlines()
    with path.open("a", encoding="utf-8") as file:
        if file.tell() == 0:
            file.write(headers + "\n")
        file.writelines(f"{line}\n" for line in lines if line.split(",")[0].strip('"') in runs)
