"""`k8s-secrets`: makes the Secrets that the manifests need in the cluster: keys and login."""

from __future__ import annotations

import argparse
import secrets
import sys
import tempfile
from pathlib import Path

from inference_swarm.cli.command_line import command_parser
from inference_swarm.cli.kubectl import Kubectl
from inference_swarm.cli.processes import CommandError
from inference_swarm.cluster.keys import make_keys
from inference_swarm.program import PROGRAM

KEYS = "swarm-keys"
LOGIN = "swarm-ui-login"
PASSWORD_BYTES = 18


def make_parser(name: str = "k8s-secrets") -> argparse.ArgumentParser:
    """Return the parser."""
    parser = command_parser(
        name,
        f"Makes the Secret {KEYS} (k8s/components/secure-channel) and the Secret {LOGIN} "
        "(k8s/components/ingress) with new keys and a new password, which is shown once. What exists stays as it is.",
        f"{PROGRAM} k8s-secrets --namespace inference-swarm",
    )
    parser.add_argument("--namespace", default="inference-swarm")
    parser.add_argument("--context", default="", help="of kubectl")
    parser.add_argument("--user", default="swarm", help="name for the login")
    return parser


def make_secrets(kubectl: Kubectl, user: str) -> None:
    """Makes what is missing. Raises KubectlError."""
    if not kubectl.exists("namespace", kubectl.namespace):
        kubectl.run("create", "namespace", kubectl.namespace)
    with tempfile.TemporaryDirectory(prefix="swarm-secrets-") as name:
        folder = Path(name)
        if kubectl.exists("secret", KEYS):
            print(f"Secret {KEYS}: it exists and stays as it is")
        else:
            files = make_keys(folder / "keys")
            kubectl.run("create", "secret", "generic", KEYS, *(f"--from-file={path.name}={path}" for path in files))
            print(f"Secret {KEYS}: made")
        if kubectl.exists("secret", LOGIN):
            print(f"Secret {LOGIN}: it exists and stays as it is")
        else:
            password = secrets.token_urlsafe(PASSWORD_BYTES)
            for key, value in (("user", user), ("password", password)):
                (folder / key).write_text(value, encoding="utf-8")
            files = [folder / "user", folder / "password"]
            kubectl.run("create", "secret", "generic", LOGIN, *(f"--from-file={path.name}={path}" for path in files))
            print(f"Secret {LOGIN}: made; user {user}, password {password}")


def main(args: list[str] | None = None) -> int:
    """Entry point."""
    options = make_parser().parse_args(args)
    try:
        make_secrets(Kubectl(options.context, options.namespace), options.user)
    except CommandError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
