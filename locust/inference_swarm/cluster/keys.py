"""CurveZMQ keys of the control channel: made by the command `keys`, read from one folder by master and workers.

A folder holds a pair for the master and one for the workers. Only the master's secret can reply to workers, only a
worker's secret is accepted; each side needs its own secret and the public key of the other.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import zmq
import zmq.auth

from inference_swarm.errors import SettingProblem
from inference_swarm.program import PROGRAM

MASTER = "master"
WORKER = "worker"
PUBLIC = ".key"
SECRET = ".key_secret"


@dataclass(frozen=True, slots=True)
class ControlKeys:
    """The keys that one side needs, in Z85 text. `public_of_others`: of all workers, or of the master."""

    secret: bytes
    public: bytes
    public_of_others: tuple[bytes, ...]


def make_keys(folder: Path) -> list[Path]:
    """Make new pairs in an empty or new folder. Raises SettingProblem rather than replace a key that is in use."""
    folder.mkdir(parents=True, exist_ok=True)
    if found := sorted(path.name for path in folder.glob("*.key*")):
        raise SettingProblem(
            f"{folder} holds keys already: {', '.join(found)}",
            expected="a folder without keys, so that none in use is lost",
            action="name another folder, or delete these files first",
        )
    made: list[Path] = []
    for name in (MASTER, WORKER):
        public, secret = zmq.curve_keypair()
        for suffix, mode, own_secret in ((PUBLIC, 0o644, None), (SECRET, 0o600, secret)):
            path = folder / f"{name}{suffix}"
            _write_new(path, mode, _certificate(public, own_secret))
            made.append(path)
    return made


def _certificate(public: bytes, secret: bytes | None) -> str:
    """Return ZeroMQ's certificate format, which zmq.auth.load_certificate reads."""
    lines = ["metadata", "curve", f'    public-key = "{public.decode("ascii")}"']
    if secret is not None:
        lines.append(f'    secret-key = "{secret.decode("ascii")}"')
    return "\n".join(lines) + "\n"


def _write_new(path: Path, mode: int, text: str) -> None:
    """Create the file with its mode: zmq.auth makes secrets that anybody can read until a later chmod."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)


def read_keys(folder: Path, role: str) -> ControlKeys:
    """Read the keys of `role` (MASTER or WORKER). Raises SettingProblem that names the file."""
    own = folder / f"{role}{SECRET}"
    others = sorted(folder.glob(f"{WORKER}*{PUBLIC}")) if role == MASTER else [folder / f"{MASTER}{PUBLIC}"]
    if not others:
        raise _unusable(folder / f"{WORKER}{PUBLIC}", "it does not exist")
    public, secret = _load(own)
    if secret is None:
        raise _unusable(own, "it holds no secret key")
    return ControlKeys(secret, public, tuple(_load(path)[0] for path in others))


def _load(path: Path) -> tuple[bytes, bytes | None]:
    if not os.access(path, os.R_OK):
        raise _unusable(path, "it cannot be read" if path.exists() else "it does not exist")
    try:
        public, secret = zmq.auth.load_certificate(str(path))
    except (OSError, ValueError) as error:
        raise _unusable(path, str(error)) from error
    if len(public) != 40 or (secret is not None and len(secret) != 40):
        raise _unusable(path, "its key is not 40 characters long")
    return public, secret


def _unusable(path: Path, reason: str) -> SettingProblem:
    return SettingProblem(
        f"the key {path} cannot be used: {reason} (--swarm-keys)",
        expected=f"a folder made by `{PROGRAM} keys`, with the same keys on the master and on all workers",
        action="make one, or leave --swarm-keys and SWARM_KEYS out for a control channel that is not encrypted",
    )
