"""Images are built once a session from a copy of the checkout; each module has a compose project of its own."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from suite import shared

sys.path.insert(0, str(Path(__file__).resolve().parent))

from compose_project import Project, copy_checkout

NO_DOCKER = "no Docker engine with compose answers: these tests build images and start containers"


def has_docker() -> bool:
    """Whether engine and compose plugin answer."""
    if not shutil.which("docker"):
        return False
    commands = (["docker", "info"], ["docker", "compose", "version"])
    return all(subprocess.run(command, capture_output=True, check=False).returncode == 0 for command in commands)


@pytest.fixture(scope="session")
def docker_engine() -> None:
    """Skips without Docker, but never in CI."""
    if not has_docker():
        if os.environ.get("CI") == "true":
            pytest.fail(NO_DOCKER)
        pytest.skip(NO_DOCKER)


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a clone has; tests may change it."""
    return copy_checkout(tmp_path_factory.mktemp("clone"))


@pytest.fixture(scope="session")
def image_tag(docker_engine: None, checkout: Path) -> str:
    """The tag of both images, built from `checkout` by the first process of pytest that needs them."""

    def build() -> str:
        tag = f"test-{secrets.token_hex(4)}"
        for name in ("inference-swarm", "inference-swarm-server"):
            shared.run_at_end(["docker", "image", "rm", "--force", f"{name}:{tag}"])
        Project(checkout, "inference-swarm-build", tag).must("build", "master", "inference-server", timeout_s=900)
        return tag

    return shared.once("image-tag", build)


@pytest.fixture(scope="module")
def project(image_tag: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A compose project without containers yet."""
    made = Project(copy_checkout(tmp_path_factory.mktemp("project")), f"swarm-{secrets.token_hex(4)}", image_tag)
    yield made
    print(made.compose("logs", "--no-color").stdout)  # noqa: T201 - pytest shows it (with -rP) when it is wanted
    made.close()
