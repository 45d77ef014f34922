"""Key files: who may read them from their first byte on, and that they are read back."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq
import zmq.auth

from inference_swarm.cluster.keys import MASTER, WORKER, make_keys, read_keys
from inference_swarm.errors import SettingProblem


@pytest.fixture
def open_umask() -> Iterator[None]:
    """As on a machine where everybody may read new files."""
    before = os.umask(0o000)
    yield
    os.umask(before)


def test_secrets_are_made_with_0600_and_never_changed_to_it(
    tmp_path: Path, open_umask: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a mode that is changed later was another one before")

    for name in ("chmod", "fchmod"):
        monkeypatch.setattr(os, name, refuse)
    modes = {path.name: path.stat().st_mode & 0o777 for path in make_keys(tmp_path / "keys")}
    assert modes == {
        "master.key": 0o644,
        "master.key_secret": 0o600,
        "worker.key": 0o644,
        "worker.key_secret": 0o600,
    }


def test_each_side_reads_its_pair_and_the_public_key_of_the_other(tmp_path: Path) -> None:
    make_keys(tmp_path)
    master, worker = read_keys(tmp_path, MASTER), read_keys(tmp_path, WORKER)
    for keys in (master, worker):
        assert zmq.curve_public(keys.secret) == keys.public
    assert master.public_of_others == (worker.public,)
    assert worker.public_of_others == (master.public,)


def test_pyzmq_reads_the_files_too(tmp_path: Path) -> None:
    make_keys(tmp_path)
    public, secret = zmq.auth.load_certificate(tmp_path / "master.key_secret")
    assert secret is not None
    assert zmq.curve_public(secret) == public
    assert zmq.auth.load_certificate(tmp_path / "master.key") == (public, None)


def test_keys_that_are_there_are_not_replaced(tmp_path: Path) -> None:
    make_keys(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(SettingProblem, match="holds keys already"):
        make_keys(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
