"""The wheel in an empty environment on the Python of the images, in a container: `pip check`, and the demo passes."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from suite import shared
from swarm_processes import ROOT

pytestmark = pytest.mark.docker

IMAGE = "python:3.13-slim"
# pip is offered the locked packages and no index; uv brings them (4 s, of which pip makes 50 s).
SCRIPT = """
set -eu
if [ -s /given/ca.pem ]; then export SSL_CERT_FILE=/given/ca.pem PIP_CERT=/given/ca.pem; fi
python3 -m pip install --quiet --target /opt/tools "uv==$UV_VERSION"
/opt/tools/bin/uv venv --quiet --seed --python python3 /opt/user
/opt/tools/bin/uv pip install --quiet --python /opt/user -r /given/swarm.txt -r /given/server.txt
export PATH=/opt/user/bin:$PATH
pip install --quiet --no-index "$(ls /given/*.whl)[server]"
pip check
python --version
mkdir /opt/work
cd /opt/work
inference-swarm demo --seconds 3 --users 4 --workers 1
"""


def test_on_the_python_of_the_images_the_wheel_installs_and_its_demo_passes(
    docker_engine: None, tmp_path: Path
) -> None:
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path], cwd=ROOT, check=True)
    for name in ("swarm.txt", "server.txt"):
        (tmp_path / name).write_bytes((ROOT / "requirements" / name).read_bytes())
    (tmp_path / "ca.pem").write_bytes(Path(os.environ.get("BUILD_CA", ROOT / "docker" / "no-ca.pem")).read_bytes())
    (tmp_path / "script.sh").write_text(SCRIPT, encoding="utf-8")
    index = os.environ.get("PIP_INDEX_URL")
    settings = {
        "PIP_ROOT_USER_ACTION": "ignore", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "UV_CACHE_DIR": "/opt/cache",
        "UV_VERSION": version("uv"),
        **({"PIP_INDEX_URL": index, "UV_DEFAULT_INDEX": index} if index else {}),
    }  # fmt: skip
    # In memory: to write and to delete a gigabyte takes a disk longer than everything else here.
    name = f"inference-swarm-package-{secrets.token_hex(4)}"
    shared.run_at_end(["docker", "rm", "--force", name])  # of a session that is interrupted
    command = ["docker", "run", "--rm", "--name", name, "--tmpfs", "/opt:exec", "--volume", f"{tmp_path}:/given:ro"]
    command += [word for key, value in settings.items() for word in ("--env", f"{key}={value}")]
    ran = subprocess.run([*command, IMAGE, "sh", "/given/script.sh"], capture_output=True, text=True, check=False)
    said = ran.stdout + ran.stderr
    assert ran.returncode == 0, said
    assert "No broken requirements found." in ran.stdout
    assert "Python 3.13." in ran.stdout
    found = re.search(r"^requests\s+([\d,]+), 0 failed \(0 %\)", said, re.M)
    assert found is not None, said
    assert int(found[1].replace(",", "")) > 50
