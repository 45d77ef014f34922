"""Runs the pods of rendered manifests on a Docker engine, the way a kubelet would: command, arguments, environment,
user, file system, volumes, limits and probes as written. Services become names in a Docker network, which lead to the
address that their pod has at the moment.
"""

from __future__ import annotations

import ipaddress
import re
import secrets
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from running_pod import RunningPod, docker
from suite import shared

from manifests.objects import Item, Workload, environment, of_kind, workloads

TRIES = 5
MEMORY = {"Mi": "m", "Gi": "g"}


@dataclass(slots=True)
class DockerKubelet:
    """All of one set of manifests. `secret_files`: for each Secret a folder with a file for each key.

    `gives_addresses`: pods may be replaced by others, with other addresses.
    """

    items: list[Item]
    image_tag: str
    secret_files: Mapping[str, Path] = field(default_factory=dict)
    prefix: str = field(default_factory=lambda: f"swarm-k8s-{secrets.token_hex(3)}")
    pods: list[RunningPod] = field(default_factory=list)
    volumes: set[str] = field(default_factory=set)
    gives_addresses: bool = False
    _addresses: Iterator[ipaddress.IPv4Address] = field(default_factory=lambda: iter(()))

    def __post_init__(self) -> None:
        # For a session that is interrupted, and does not come to `close`.
        remove = 'docker ps -aq --filter "name=$0" | xargs -r docker rm -fv; docker network rm "$0"'
        shared.run_at_end(["sh", "-c", remove, self.prefix])
        docker("network", "create", self.prefix)
        if self.gives_addresses:
            self._make_network_with_addresses()

    def start(self, workload_name: str) -> list[RunningPod]:
        """All pods of a workload, as many as it wants."""
        workload = next(w for w in workloads(self.items) if w.name == workload_name)
        spec = workload.item["spec"]
        started = [self._run(workload) for _ in range(spec.get("replicas", spec.get("parallelism", 1)))]
        self.pods += started
        return started

    def replace(self, pod: RunningPod) -> RunningPod:
        """Makes the pod that follows a deleted one, at an address that no pod has had before."""
        made = self._run(pod.workload, str(next(self._addresses)))
        self.remove(pod)
        self.pods.append(made)
        return made

    def read(self, pod: RunningPod, path: str, volume: str) -> str:
        """A file of a volume, also after the pod has ended; `path` may hold wildcards."""
        image = pod.inspected["Config"]["Image"]
        code = f"import glob; print(open(sorted(glob.glob('/v/{path}'))[-1]).read())"
        mount = f"type=volume,src={self.prefix}-{volume},dst=/v,readonly"
        return docker("run", "--rm", "--mount", mount, "--entrypoint", "python", image, "-c", code)

    def remove(self, *pods: RunningPod) -> None:
        """Removes containers, not what they left in volumes."""
        for pod in pods:
            subprocess.run(["docker", "rm", "--force", "--volumes", pod.name], capture_output=True, check=False)
            self.pods.remove(pod)

    def close(self) -> None:
        """Removes everything."""
        self.remove(*self.pods)
        for volume in self.volumes:
            subprocess.run(["docker", "volume", "rm", "--force", volume], capture_output=True, check=False)
        subprocess.run(["docker", "network", "rm", self.prefix], capture_output=True, check=False)

    def _make_network_with_addresses(self) -> None:
        """Docker lets a container choose its address only in a network that was given its subnet: the one it had."""
        form = "{{(index .IPAM.Config 0).Subnet}}"
        for _ in range(TRIES):
            subnet = docker("network", "inspect", "--format", form, self.prefix)
            docker("network", "rm", self.prefix)
            command = ["docker", "network", "create", "--subnet", subnet, self.prefix]
            if subprocess.run(command, capture_output=True, check=False).returncode == 0:
                network = ipaddress.IPv4Network(subnet)
                self._addresses = (network[-2 - number] for number in range(network.num_addresses // 2))
                return
            docker("network", "create", self.prefix)  # another network has got it meanwhile
        raise AssertionError("no subnet could be kept")

    def _run(self, workload: Workload, address: str = "") -> RunningPod:
        (container,) = workload.containers
        name = f"{self.prefix}-{container['name']}-{len(self.pods)}-{secrets.token_hex(2)}"
        image = f"{container['image'].rpartition(':')[0]}:{self.image_tag}"
        arguments = ["--name", name, "--network", self.prefix, "--hostname", name]
        if address:
            arguments += ["--ip", address]
        for service in of_kind(self.items, "Service"):
            if service["spec"]["selector"].items() <= workload.labels.items():
                arguments += ["--network-alias", service["metadata"]["name"]]
                for port in service["spec"]["ports"]:
                    assert port["port"] == workload.ports[port["targetPort"]], "Docker cannot change a port's number"
        for key, value in self._environment(container).items():
            arguments += ["--env", f"{key}={value}"]
        arguments += self._security(workload, container, image)
        arguments += self._resources(container)
        arguments += self._mounts(workload, container, image)
        command = [*container.get("command", ()), *container.get("args", ())]
        if "command" in container:
            arguments += ["--entrypoint", command.pop(0)]
        # A kubelet does not know the health checks of images.
        docker("run", "--detach", "--no-healthcheck", *arguments, image, *command)
        return RunningPod(name, workload, container)

    def _environment(self, container: Item) -> dict[str, str]:
        values = {key: value for key, value in environment(self.items, container).items() if value is not None}
        for entry in container.get("env", ()):
            reference = entry.get("valueFrom", {}).get("secretKeyRef")
            if reference:
                values[entry["name"]] = (self.secret_files[reference["name"]] / reference["key"]).read_text()
        return values

    @staticmethod
    def _security(workload: Workload, container: Item, image: str) -> list[str]:
        pod_security, security = workload.pod["securityContext"], container["securityContext"]
        arguments = []
        user = str(pod_security.get("runAsUser", ""))
        if user:
            arguments += ["--user", user]
        if pod_security["runAsNonRoot"]:  # the kubelet refuses an image whose user is root or a name
            actual = user or docker("image", "inspect", "--format", "{{.Config.User}}", image)
            assert re.fullmatch(r"[1-9]\d*(:\d+)?", actual), f"{image} runs as {actual!r}"
        if "fsGroup" in pod_security:
            arguments += ["--group-add", str(pod_security["fsGroup"])]
        for entry in pod_security.get("sysctls", ()):
            arguments += ["--sysctl", f"{entry['name']}={entry['value']}"]
        if security["readOnlyRootFilesystem"]:
            arguments.append("--read-only")
        if not security["allowPrivilegeEscalation"]:
            arguments += ["--security-opt", "no-new-privileges"]
        for capability in security["capabilities"]["drop"]:
            arguments += ["--cap-drop", capability]
        return arguments

    @staticmethod
    def _resources(container: Item) -> list[str]:
        limits = container["resources"]["limits"]
        cpus = limits["cpu"]
        cpus = str(int(cpus[:-1]) / 1000) if cpus.endswith("m") else cpus
        memory = limits["memory"][:-2] + MEMORY[limits["memory"][-2:]]
        return ["--cpus", cpus, "--memory", memory, "--memory-swap", memory]

    def _mounts(self, workload: Workload, container: Item, image: str) -> list[str]:
        volumes = {volume["name"]: volume for volume in workload.pod.get("volumes", ())}
        group = workload.pod["securityContext"].get("fsGroup", 0)
        arguments = []
        for mount in container.get("volumeMounts", ()):
            volume, path = volumes[mount["name"]], mount["mountPath"]
            if "emptyDir" in volume:
                size = volume["emptyDir"]["sizeLimit"]
                arguments += ["--tmpfs", f"{path}:mode=1777,size={size[:-2]}{MEMORY[size[-2:]]}"]
            elif "persistentVolumeClaim" in volume:
                name = self._claim(volume["persistentVolumeClaim"]["claimName"], group, image)
                read_only = ",readonly" if mount.get("readOnly") else ""
                arguments += ["--mount", f"type=volume,src={name},dst={path},volume-nocopy{read_only}"]
            else:
                secret = volume["secret"]
                for item in secret["items"]:
                    source = self.secret_files[secret["secretName"]] / item["key"]
                    arguments += ["--mount", f"type=bind,src={source},dst={path}/{item['path']},readonly"]
        return arguments

    def _claim(self, claim: str, group: int, image: str) -> str:
        """A volume as the kubelet hands it over: root's, opened to the pod's fsGroup."""
        name = f"{self.prefix}-{claim}"
        if name not in self.volumes:
            self.volumes.add(name)
            code = f"import os; os.chown('/v', 0, {group}); os.chmod('/v', 0o2775)"
            mount = f"type=volume,src={name},dst=/v,volume-nocopy"
            run = ("run", "--rm", "--user", "0", "--mount", mount, "--entrypoint", "python")
            docker(*run, image, "-c", code)
        return name
