"""Are NetworkPolicies enforced? A pod that may reach DNS alone tries to reach the cluster's API, which is always up.

Exit code 0: they are. 1: they are not, the connection was made. 2: nobody can tell. Standard library only.
"""

from __future__ import annotations

import os
import socket
import sys

CONNECT_WITHIN_S = 5.0
ENFORCED, NOT_ENFORCED, UNKNOWN = 0, 1, 2


def main(host: str, port: str) -> tuple[int, str]:
    """Exit code and a sentence."""
    if not host or not port.isdecimal():
        return UNKNOWN, "cannot tell: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT do not name the cluster's API"
    try:
        addresses = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)
    except OSError as error:
        return UNKNOWN, f"cannot tell: {host} cannot be looked up ({error})"
    for *_, address in addresses:
        try:
            socket.create_connection(address[:2], CONNECT_WITHIN_S).close()
        except OSError:
            continue  # dropped or refused: a policy did that
        return NOT_ENFORCED, (
            f"NetworkPolicies are NOT enforced: this pod reached {host}:{port}, which no policy allows.\n"
            "  Fix: use a network plugin that enforces them, or take components/secure-channel and a login."
        )
    return ENFORCED, f"NetworkPolicies are enforced: {host}:{port} cannot be reached from a pod that may not reach it."


if __name__ == "__main__":
    code, sentence = main(os.environ.get("KUBERNETES_SERVICE_HOST", ""), os.environ.get("KUBERNETES_SERVICE_PORT", ""))
    sys.stdout.write(f"{sentence}\n")
    sys.exit(code)
