"""The wheel in an empty environment on the Python of the images, in a container: `pip check`, and the demo passes."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import sys
from pathlib import Path

import pytest
from suite import shared

pytestmark = [pytest.mark.docker, pytest.mark.timeout(1800)]

DOCKERFILE = """
FROM python:3.13-slim
ARG PIP_INDEX_URL
ENV PATH=/opt/user/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1
COPY constraints.txt *.whl /tmp/
RUN --mount=type=cache,target=/root/.cache/pip --mount=type=secret,id=ca \\
    if [ -s /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi; \\
    python -m venv /opt/user && pip install --quiet -c /tmp/constraints.txt "$(ls /tmp/*.whl)[server]" && pip check
WORKDIR /user
"""


def test_on_the_python_of_the_images_the_wheel_installs_and_its_demo_passes(
    docker_engine: None, checkout: Path, tmp_path: Path
) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path], cwd=checkout, check=True
    )
    locked = (checkout / "requirements" / "dev.txt").read_text(encoding="utf-8").splitlines()
    names = [line.removesuffix(" \\").strip() for line in locked if line[:1].isalnum()]
    (tmp_path / "constraints.txt").write_text("\n".join(names), encoding="utf-8")
    (tmp_path / "Dockerfile").write_text(DOCKERFILE, encoding="utf-8")
    tag = f"inference-swarm-package:test-{secrets.token_hex(4)}"
    shared.run_at_end(["docker", "image", "rm", "--force", tag])
    ca = os.environ.get("BUILD_CA", str(checkout / "docker" / "no-ca.pem"))
    build = [
        "docker",
        "build",
        "--quiet",
        "--build-arg",
        "PIP_INDEX_URL",
        "--secret",
        f"id=ca,src={ca}",
        "-t",
        tag,
        ".",
    ]
    built = subprocess.run(build, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    ran = subprocess.run(
        ["docker", "run", "--rm", tag, "inference-swarm", "demo", "--seconds", "5", "--workers", "1"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    found = re.search(r"^requests\s+([\d,]+), 0 failed \(0 %\)", ran.stdout + ran.stderr, re.M)
    assert found is not None, ran.stdout + ran.stderr
    assert int(found[1].replace(",", "")) > 50
