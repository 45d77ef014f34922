"""What the pods of a job say of themselves: JSON of `kubectl get` in, a line for people, an end or a problem out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

Pod = Mapping[str, Any]
COMPONENT = "app.kubernetes.io/component"
HOPELESS = {
    "ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError",
    "RegistryUnavailable", "SignatureValidationFailed",
    "CreateContainerConfigError", "CreateContainerError", "RunContainerError",
}  # fmt: skip
"""The kubelet tries an image again and again, and says ErrImagePull and ImagePullBackOff by turns."""
KNOWN_CODES = range(6)
INCOMPLETE = 4


def of_component(pods: Sequence[Pod], component: str) -> list[Pod]:
    """Newest last."""
    mine = [pod for pod in pods if pod["metadata"].get("labels", {}).get(COMPONENT) == component]
    return sorted(mine, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")))


def progress(pods: Sequence[Pod], workers: int) -> str:
    """Such as `master pending (Unschedulable: 0/3 nodes are available); 3 of 8 workers run`."""
    masters = of_component(pods, "master")
    words = describe(masters[-1]) if masters else "not made yet"
    states = Counter(describe(pod) for pod in of_component(pods, "worker"))
    running = states.pop("running", 0)
    others = "".join(f", {count} {state}" for state, count in sorted(states.items()))
    return f"master {words}; {running} of {workers} workers run{others}"


def describe(pod: Pod) -> str:
    """Its state in a few words."""
    status = pod.get("status", {})
    waiting = waiting_reason(pod)
    if waiting:
        return f"waiting ({waiting})"
    if status.get("phase") == "Pending":
        for condition in status.get("conditions", ()):
            if condition["type"] == "PodScheduled" and condition["status"] == "False":
                return f"pending ({condition.get('reason', '')}: {condition.get('message', '').split(': ')[0]})"
    return str(status.get("phase", "unknown")).lower()


def waiting_reason(pod: Pod) -> str:
    """Why its container does not run; empty when nothing out of the ordinary is said."""
    return _waiting(pod)[0]


def _waiting(pod: Pod) -> tuple[str, str]:
    """Reason and message of the first container that waits for something out of the ordinary."""
    status = pod.get("status", {})
    for container in (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())):
        waiting = container.get("state", {}).get("waiting", {})
        reason = waiting.get("reason", "")
        if reason not in ("", "ContainerCreating", "PodInitializing"):
            return str(reason), str(waiting.get("message", ""))
    return "", ""


def hopeless(pods: Sequence[Pod]) -> str:
    """What will not fix itself, an image that is not there or a missing Secret; empty when there is no such thing."""
    for pod in pods:
        reason, message = _waiting(pod)
        if reason in HOPELESS:
            words = " ".join(message.split())
            image = next((container.get("image", "") for container in pod["spec"]["containers"]), "")
            return (
                f"Pod {pod['metadata']['name']} cannot start: {reason}: {words or image}\n"
                "  Fix: make the image or the Secret known to the cluster (docs/kubernetes.md); a registry is "
                "named with --image NAME=REGISTRY/NAME."
            )
    return ""


def exit_code(master: Pod) -> tuple[int, str] | None:
    """The master's exit code and a word on an end that is not a verdict; None while it has not ended."""
    status = master.get("status", {})
    for container in status.get("containerStatuses", ()):
        ended = container.get("state", {}).get("terminated")
        if ended:
            code = int(ended["exitCode"])
            if code in KNOWN_CODES and ended.get("reason") != "OOMKilled":
                return code, ""
            return INCOMPLETE, f"the master was ended from outside: {ended.get('reason', '')}, code {code}"
    if status.get("phase") == "Failed":
        return INCOMPLETE, f"the master's pod failed: {status.get('reason', '')} {status.get('message', '')}".rstrip()
    return None


def reader_pod(master: Pod, claim: str) -> dict[str, Any]:
    """A pod that does nothing beside the results volume, as restricted as the master."""
    spec = master["spec"]
    container = spec["containers"][0]
    same = ("imagePullSecrets", "nodeSelector", "tolerations", "securityContext")
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "swarm-results-reader", "labels": {"app.kubernetes.io/part-of": "inference-swarm"}},
        "spec": {
            **{key: spec[key] for key in same if key in spec},
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 0,
            "activeDeadlineSeconds": 900,
            "containers": [
                {
                    "name": "reader",
                    "image": container["image"],
                    "command": ["python", "-I", "-S", "-c", "import time; time.sleep(900)"],
                    "resources": {
                        "requests": {"cpu": "50m", "memory": "64Mi"},
                        "limits": {"cpu": "1", "memory": "128Mi"},
                    },
                    "securityContext": container["securityContext"],
                    "volumeMounts": [{"name": "results", "mountPath": "/results", "readOnly": True}],
                }
            ],
            "volumes": [{"name": "results", "persistentVolumeClaim": {"claimName": claim, "readOnly": True}}],
        },
    }
