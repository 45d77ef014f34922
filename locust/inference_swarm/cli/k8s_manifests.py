"""What `k8s-job` applies to a cluster: its options in, manifests out. Talks to no cluster."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from pathlib import Path
from urllib.parse import urlsplit

from inference_swarm.cli.command_line import command_parser
from inference_swarm.cli.kustomize import K8S, BuildError, kustomize_overlay, overlay
from inference_swarm.cli.processes import CommandError
from inference_swarm.cli.runs import default_results
from inference_swarm.config.value_types import URL
from inference_swarm.program import PROGRAM

NAMESPACE = "inference-swarm-job"
_NAMESPACE = re.compile(r"(?=.{1,63}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_VARIABLE = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")


@dataclass(frozen=True, slots=True)
class Rendered:
    """Manifests as text, and what has to be known of them."""

    text: str
    namespace: str
    workers: int
    secrets: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> Rendered:
        """Reads kustomize's output, whose keys are sorted."""
        namespace = re.search(r"^kind: Namespace\nmetadata:\n(?:  .*\n)*?  name: (\S+)", text, re.M)
        workers = re.search(r'^  workers: "(\d+)"', text, re.M)
        if namespace is None or workers is None or "kind: Job\n" not in text:
            raise CommandError(
                "The manifests hold no Namespace, no swarm-cluster or no Job.\n"
                "  Fix: put components/job and components/cluster-values into the overlay."
            )
        names = re.findall(r"secretName: (\S+)", text)
        names += re.findall(r"secret(?:Key)?Ref:\n(?: +key: .*\n)? +name: (\S+)", text)
        # a namespace that YAML would take for a number stands in quotes
        return cls(text, namespace[1].strip('"'), int(workers[1]), tuple(sorted(set(names))))

    def removable(self) -> str:
        """All but the Namespace and the volume with the user's data."""
        kept = re.compile(r"^kind: Namespace$|^kind: PersistentVolumeClaim\n(?:.*\n)*?  name: swarm-data$", re.M)
        return "---\n".join(part for part in self.text.split("---\n") if not kept.search(part))


def make_parser(name: str = "k8s-job") -> argparse.ArgumentParser:
    """Return the parser."""
    parser = command_parser(
        name,
        "Runs one test on the cluster that kubectl points at: renders and applies the manifests, follows "
        "the log, copies the results out, removes all that it made, and ends with the verdict's exit code. Ctrl-C "
        "drains the run and still copies its results. Without HOST the reference server is tested.",
        f"{PROGRAM} k8s-job http://model.models.svc:8000 200 50 2m --workers 8",
        f"{PROGRAM} k8s-job http://model.models.svc:8000 200 50 2m --set SWARM_SLO='p99<50ms' --keep",
    )
    parser.add_argument("host", metavar="HOST", nargs="?", help="such as http://model.models.svc:8000")
    parser.add_argument("users", metavar="USERS", nargs="?")
    parser.add_argument("spawn_rate", metavar="SPAWN_RATE", nargs="?", help="users started per second")
    parser.add_argument("duration", metavar="DURATION", nargs="?", help="such as 30s or 15m")
    parser.add_argument("log_level", metavar="LOGLEVEL", nargs="?")
    parser.add_argument("--workers", type=int, help="worker pods")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting by its "
                        "environment variable (docs/settings.md), such as SWARM_SLO='p99<50ms'")  # fmt: skip
    parser.add_argument("--component", action="append", default=[], metavar="NAME", help="another of k8s/components")
    parser.add_argument("--overlay", type=Path, help="an overlay of your own that holds the job, instead of ours")
    parser.add_argument("--image", action="append", default=[], metavar="NAME=NEW", help="where the cluster finds an "
                        "image, such as inference-swarm=registry.example.com/inference-swarm")  # fmt: skip
    parser.add_argument("--target-cidr", help="addresses that the workers may send to; default: HOST if it is one, "
                        "else any")  # fmt: skip
    parser.add_argument("--context", default="", help="of kubectl")
    parser.add_argument("--namespace", help=f"default: the overlay's, else {NAMESPACE}")
    parser.add_argument("--results", type=Path, default=default_results(), help="folder for results")
    parser.add_argument("--start-timeout", type=float, default=600, metavar="SECONDS", help="for the master to start")
    parser.add_argument("--keep", action="store_true", help="leave everything in the cluster")
    return parser


def parse_arguments(args: list[str] | None = None) -> argparse.Namespace:
    """Parse the options, and refuse half a load."""
    parser = make_parser()
    options = parser.parse_args(args)
    is_search = any(text.startswith("SWARM_FIND_CAPACITY=") for text in options.set)
    if options.host and not options.duration and not is_search:
        parser.error("HOST needs USERS SPAWN_RATE DURATION, or --set SWARM_FIND_CAPACITY=true and an objective")
    return options


def render(options: argparse.Namespace) -> Rendered:
    """The manifests of this run. Raises CommandError."""
    settings: dict[str, str] = {}
    _check(options)
    if options.host:
        names = ("LOCUST_HOST", "LOCUST_USERS", "LOCUST_SPAWN_RATE", "LOCUST_RUN_TIME", "LOGLEVEL")
        values = (options.host, options.users, options.spawn_rate, options.duration, options.log_level)
        settings |= {name: value for name, value in zip(names, values, strict=True) if value}
    settings |= _pairs(options.set, "--set")
    _require(next((name for name in settings if not _VARIABLE.fullmatch(name)), ""), "--set names", "a variable's name")
    cluster = {"workers": str(options.workers)} if options.workers else {}
    if options.host:
        cluster |= way_to_target(options.host, options.target_cidr)
    if options.overlay:
        bases = [options.overlay.resolve()]
        components = [*options.component, "cluster-values"]
    else:
        bases = [K8S / "base"]
        target = "external-target" if options.host else "reference-server"
        components = [target, *options.component, "job", "cluster-values"]
    document = overlay(
        bases,
        [K8S / "components" / name for name in components],
        namespace=options.namespace or (None if options.overlay else NAMESPACE),
        settings=settings,
        cluster=cluster,
        images=_pairs(options.image, "--image"),
    )
    try:
        return Rendered.of(kustomize_overlay(document))
    except FileNotFoundError:
        raise CommandError("No kubectl was found on the PATH.\n  Fix: install it.") from None
    except BuildError as error:
        raise CommandError(f"The manifests cannot be built: {error}") from None


def _check(options: argparse.Namespace) -> None:
    """Raises CommandError for what no cluster would take, or would take as something else."""
    if options.host:
        try:
            options.host = URL.parse(options.host)
        except ValueError:
            _require(options.host, "HOST is", URL.expected)
    if options.target_cidr:
        try:
            options.target_cidr = str(ip_network(options.target_cidr, strict=False))
        except ValueError:
            _require(options.target_cidr, "--target-cidr is", "an address or a network, such as 10.0.0.0/8")
    if options.namespace and not _NAMESPACE.fullmatch(options.namespace):
        _require(options.namespace, "--namespace is", "at most 63 small letters, digits and hyphens")
    if options.workers is not None and options.workers < 1:
        _require(str(options.workers), "--workers is", "a whole number above zero")
    if not 0 < options.start_timeout < float("inf"):
        _require(str(options.start_timeout), "--start-timeout is", "seconds above zero")
    known = sorted(path.parent.name for path in (K8S / "components").glob("*/kustomization.yaml"))
    unknown = next((name for name in options.component if name not in known), "")
    _require(unknown, "--component is", f"one of {', '.join(known)}")
    if options.overlay and not options.overlay.is_dir():
        _require(str(options.overlay), "--overlay is", "a folder with a kustomization.yaml")


def _require(wrong: str, what: str, expected: str) -> None:
    if wrong:
        raise CommandError(f"{what} {wrong!r}.\n  Expected: {expected}.")


def way_to_target(host: str, cidr: str | None) -> dict[str, str]:
    """What the network policy has to let through: port, addresses and, for a Service's name, its namespace."""
    parts = urlsplit(host)
    name = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    way = {"target-port": str(port), "target-cidr": cidr or "0.0.0.0/0"}
    try:
        address = ip_address(name)
        way["target-cidr"] = cidr or f"{address}/{address.max_prefixlen}"
    except ValueError:
        labels = name.split(".")
        if len(labels) == 2 or labels[2:3] == ["svc"]:
            way["target-namespace"] = labels[1]
    return way


def _pairs(texts: list[str], option: str) -> dict[str, str]:
    pairs = [text.partition("=") for text in texts]
    wrong = [text for text, (name, equals, _) in zip(texts, pairs, strict=True) if not (name and equals)]
    if wrong:
        raise CommandError(f"{option} is {wrong[0]!r}.\n  Expected: NAME=VALUE.")
    return {name: value for name, _, value in pairs}
