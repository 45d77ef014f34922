"""scripts/start.sh k8s-job against a kubectl that records and plays a script: there is no cluster here."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from inference_swarm.cli.k8s_job import HOPELESS_FOR_S, LOOK_PERIOD_S
from inference_swarm.cli.k8s_manifests import parse_arguments, render, way_to_target
from inference_swarm.cli.k8s_pods import hopeless
from inference_swarm.cli.kubectl import problem_words
from inference_swarm.cli.processes import CommandError
from manifests.agreement import Code, check_agreement
from manifests.build import parse
from manifests.objects import config_map, find
from manifests.policy import check_policy

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
KUBECTL = shutil.which("kubectl")
pytestmark = [pytest.mark.processes, pytest.mark.needs("kubectl", "for kustomize; scripts/render installs one")]

# A shell that runs the tests in the background makes its children deaf to Ctrl-C.
QUICK = (
    "import os, signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "import inference_swarm.cli.k8s_job as job; job.LOOK_PERIOD_S, job.HOPELESS_FOR_S = 0.02, 0.1; "
    "job.WORKERS_LOOK_PERIOD_S = float(os.environ.get('WORKERS_LOOK_PERIOD_S', 60)); sys.exit(job.main(sys.argv[1:]))"
)
TABLE = "run,dataset\nearlier,a\nnew-run,a\n"


def pod(component: str, state: dict[str, Any], phase: str = "Running") -> dict[str, Any]:
    return {
        "metadata": {
            "name": f"swarm-{component}-x",
            "labels": {"app.kubernetes.io/component": component},
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": {
            "nodeSelector": {"pool": "load"},
            "securityContext": {"runAsNonRoot": True},
            "containers": [{"name": component, "image": "r/inference-swarm:1", "securityContext": {"x": 1}}],
        },
        "status": {"phase": phase, "containerStatuses": [{"name": component, "state": state}]},
    }


RUNNING = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}


def ended(code: int, reason: str = "Error") -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": reason}}


def pods(*answers: list[dict[str, Any]]) -> dict[str, Any]:
    return {"words": ["get", "pods"], "answers": [{"out": json.dumps({"items": answer})} for answer in answers]}


class Cluster:
    """The fake and what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        bin_folder = folder / "bin"
        bin_folder.mkdir()
        kubectl = bin_folder / "kubectl"
        kubectl.write_text(f"#!{sys.executable}\n" + (HERE / "fake_kubectl.py").read_text())
        kubectl.chmod(kubectl.stat().st_mode | stat.S_IXUSR)
        run = folder / "volume" / "runs" / "new-run"
        run.mkdir(parents=True)
        (run / "summary.json").write_text('{"requests": 7}')
        (folder / "volume" / "run_table.csv").write_text(TABLE)
        self.results = folder / "results"
        self.environment = {
            **os.environ,
            "PATH": f"{bin_folder}:{os.environ['PATH']}",
            "FAKE_KUBECTL": str(folder),
            "REAL_KUBECTL": str(KUBECTL),
            "PYTHONPATH": f"{ROOT / 'scripts'}:{ROOT / 'locust'}",
        }

    def script(self, *rules: dict[str, Any]) -> None:
        packs = {"words": ["exec"], "answers": [{"runs": True}]}
        (self.folder / "rules.json").write_text(json.dumps([*rules, packs]))

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", QUICK, "--results", str(self.results), *arguments],
            env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, *arguments: str) -> tuple[int, str, str]:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=30)
        return process.returncode, out, err

    @property
    def calls(self) -> list[str]:
        return [" ".join(call["arguments"]) for call in self._calls()]

    def stdin(self, *words: str) -> str:
        return next(str(call["stdin"]) for call in self._calls() if set(words) <= set(call["arguments"]))

    def _calls(self) -> list[dict[str, Any]]:
        path = self.folder / "calls.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    return Cluster(tmp_path)


@pytest.mark.parametrize("verdict", [0, 3])
def test_the_exit_code_is_the_masters_and_the_results_are_here(cluster: Cluster, verdict: int) -> None:
    waiting = pod("master", {"waiting": {"reason": "ContainerCreating"}}, "Pending")
    cluster.script(
        pods([], [waiting], [pod("master", RUNNING), pod("worker", RUNNING)], [pod("master", RUNNING)],
             [pod("master", ended(verdict))]),
        {"words": ["logs"], "answers": [{"out": "50 users on 2 workers"}]},
    )  # fmt: skip
    code, out, err = cluster.run()
    assert (code, err) == (verdict, "")
    assert "50 users on 2 workers" in out
    assert "master pending; 0 of 2 workers run" in out
    assert "master running; 1 of 2 workers run" in out
    assert json.loads((cluster.results / "runs" / "new-run" / "summary.json").read_text()) == {"requests": 7}
    assert (cluster.results / "run_table.csv").read_text() == "run,dataset\nnew-run,a\n"
    assert cluster.calls[-1] == (
        "-n inference-swarm-job delete namespace inference-swarm-job --ignore-not-found --timeout=180s"
    )
    assert "kind: Job" in cluster.stdin("apply")


def test_the_pod_that_reads_the_results_is_like_the_master(cluster: Cluster) -> None:
    cluster.script(pods([pod("master", RUNNING)], [pod("master", RUNNING)], [pod("master", ended(0))]))
    assert cluster.run()[0] == 0
    applied = [call["stdin"] for call in cluster._calls() if "apply" in call["arguments"]]
    reader = json.loads(applied[1])
    assert reader["spec"]["nodeSelector"] == {"pool": "load"}
    assert reader["spec"]["securityContext"] == {"runAsNonRoot": True}
    assert reader["spec"]["containers"][0]["image"] == "r/inference-swarm:1"
    assert "-n inference-swarm-job delete pod swarm-results-reader --ignore-not-found --wait=false" in cluster.calls


def test_a_namespace_that_was_there_stays(cluster: Cluster) -> None:
    cluster.script(
        {"words": ["get", "namespace"], "answers": [{"out": "namespace/inference-swarm-job"}]},
        pods([pod("master", RUNNING)], [pod("master", RUNNING)], [pod("master", ended(0))]),
    )
    assert cluster.run()[0] == 0
    assert not [call for call in cluster.calls if "delete namespace" in call]
    removed = cluster.stdin("delete", "-f")
    assert "kind: Job" in removed
    assert "kind: Namespace" not in removed
    assert len(removed.split("---\n")) == len(cluster.stdin("apply").split("---\n")) - 1


def test_ctrl_c_stops_the_run_and_still_copies_its_results(cluster: Cluster) -> None:
    cluster.script(
        {"words": ["delete", "job"], "answers": [{"touches": "stopped"}]},
        pods([pod("master", RUNNING), pod("worker", RUNNING)]),
        {"words": ["logs"], "answers": [{"out": "the run goes on", "waits_for": "stopped"}]},
    )
    process = cluster.start()
    assert process.stdout is not None
    while "the run goes on" not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert (cluster.results / "runs" / "new-run" / "summary.json").exists()
    verbs = [call.split()[2] for call in cluster.calls]
    assert verbs[-1] == "delete"
    assert "delete job swarm-master --cascade=foreground --wait" in " ".join(cluster.calls)


def test_ctrl_c_before_the_master_runs_removes_everything(cluster: Cluster) -> None:
    cluster.script(pods([]))
    process = cluster.start()
    assert process.stdout is not None
    while "not made yet" not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert "delete namespace inference-swarm-job" in cluster.calls[-1]
    assert not cluster.results.exists()


def test_an_image_that_is_not_there_ends_the_wait(cluster: Cluster) -> None:
    state = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
    cluster.script(pods([pod("master", state, "Pending")]))
    code, _, err = cluster.run()
    assert code == 2
    assert "ImagePullBackOff: no such image" in err
    assert "--image" in err
    assert "delete namespace" in cluster.calls[-1]


def test_an_image_that_is_tried_again_and_again_is_named_all_the_same(cluster: Cluster) -> None:
    """The kubelet says ErrImagePull and ImagePullBackOff by turns; each alone lasts too short to be believed."""
    turns = [
        [pod("master", {"waiting": {"reason": reason, "message": "manifest unknown"}}, "Pending")]
        for reason in ("ErrImagePull", "ImagePullBackOff") * 40
    ]
    cluster.script(pods(*turns))
    code, _, err = cluster.run("--start-timeout", "60")
    assert code == 2
    assert "manifest unknown" in err
    assert HOPELESS_FOR_S + LOOK_PERIOD_S < 30


@pytest.mark.parametrize(
    "reason",
    ["ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError",
     "RegistryUnavailable", "SignatureValidationFailed", "CreateContainerConfigError", "CreateContainerError"],
)  # fmt: skip
@pytest.mark.parametrize("part", ["containerStatuses", "initContainerStatuses"])
def test_each_way_of_not_starting_is_told_with_the_image(reason: str, part: str) -> None:
    waiting = pod("worker", {"waiting": {"reason": reason}}, "Pending")
    statuses = waiting["status"].pop("containerStatuses")
    waiting["status"][part] = statuses
    assert hopeless([pod("master", RUNNING), waiting]).startswith(
        f"Pod swarm-worker-x cannot start: {reason}: r/inference-swarm:1\n  Fix: "
    )


def test_workers_that_cannot_start_are_named_while_the_master_waits_for_them(cluster: Cluster) -> None:
    bad = pod("worker", {"waiting": {"reason": "ErrImagePull", "message": "no such image"}}, "Pending")
    cluster.script(
        pods([pod("master", RUNNING), bad], [pod("master", RUNNING), bad], [pod("master", RUNNING), bad],
             [pod("master", ended(4)), bad]),
        {"words": ["logs"], "answers": [{"out": "waiting for workers", "waits_for": "enough"}]},
    )  # fmt: skip
    cluster.environment["WORKERS_LOOK_PERIOD_S"] = "0.05"
    process = cluster.start()
    assert process.stdout is not None
    said = ""
    while "swarm-worker-x cannot start: ErrImagePull: no such image" not in said:
        line = process.stdout.readline()
        assert line, said
        said += line
    (cluster.folder / "enough").touch()
    process.communicate(timeout=30)
    assert process.returncode == 4


NO_CLUSTER = """\
E1126 08:00:43.629997   22007 memcache.go:265] "Unhandled Error" err="couldn't get current server API group list"
E1126 08:00:43.630997   22007 memcache.go:265] "Unhandled Error" err="couldn't get current server API group list"
The connection to the server localhost:8080 was refused - did you specify the right host or port?"""
NO_RIGHTS = (
    'Error from server (Forbidden): namespaces "inference-swarm-job" is forbidden: User "ci" cannot get resource '
    '"namespaces" in API group "" in the namespace "inference-swarm-job"'
)


@pytest.mark.parametrize(
    ("said", "line"),
    [
        (
            NO_CLUSTER,
            "No cluster answers: The connection to the server localhost:8080 was refused - did you specify the right "
            "host or port?. Fix: choose one with --context.",
        ),
        (
            "error: current-context must exist in order to minify\nerror: no configuration has been provided",
            "No cluster answers: error: no configuration has been provided. Fix: choose one with --context.",
        ),
        (
            NO_RIGHTS,
            'The cluster refuses: namespaces "inference-swarm-job" is forbidden: User "ci" cannot get resource '
            '"namespaces" in API group "" in the namespace "inference-swarm-job". '
            "Fix: ask for the right, or choose a --namespace.",
        ),
    ],
)
def test_no_cluster_and_no_rights_are_one_line(cluster: Cluster, said: str, line: str) -> None:
    cluster.script({"words": ["get"], "answers": [{"err": said, "code": 1}]})
    code, _, err = cluster.run()
    assert (code, err) == (2, f"{line}\n")
    assert len(cluster.calls) == 1


def test_other_words_of_kubectl_come_without_its_log_lines() -> None:
    refusal = "Error from server (Forbidden): quota"
    said = f"W1126 08:00:43.1 1 x.go:1] deprecated\n{refusal}\n{refusal}"
    assert problem_words(["apply", "-f", "-"], said) == "kubectl apply -f -: Error from server (Forbidden): quota"
    assert problem_words(["get", "pods"], "") == "kubectl get pods: "


def test_a_master_that_does_not_start_in_time_is_incomplete(cluster: Cluster) -> None:
    unschedulable = pod("master", {}, "Pending")
    unschedulable["status"]["conditions"] = [
        {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": "0/1 nodes are available: cpu",
        }
    ]
    cluster.script(pods([unschedulable]))
    code, _, err = cluster.run("--start-timeout", "0.3")
    assert code == 4
    assert "pending (Unschedulable: 0/1 nodes are available)" in err


def test_a_missing_secret_is_named_before_anything_is_applied(cluster: Cluster) -> None:
    cluster.script(pods([]))
    code, _, err = cluster.run("--component", "secure-channel")
    assert code == 2
    assert "no Secret swarm-keys" in err
    assert not [call for call in cluster.calls if "apply" in call or "delete" in call]


@pytest.mark.parametrize("kind", ["job", "deployment"])
def test_a_swarm_that_is_there_is_left_alone(cluster: Cluster, kind: str) -> None:
    cluster.script(
        {"words": ["get", "namespace"], "answers": [{"out": "namespace/x"}]},
        {"words": ["get", kind], "answers": [{"out": f"{kind}/swarm-master"}]},
    )
    code, _, err = cluster.run()
    assert code == 2
    assert f"holds a {kind} swarm-master already" in err
    assert not [call for call in cluster.calls if "apply" in call or "delete" in call]


def test_the_users_data_is_never_removed() -> None:
    text = render(parse_arguments(["--component", "data-volume"])).removable()
    kinds = [(item["kind"], item["metadata"]["name"]) for item in parse(text)]
    assert ("PersistentVolumeClaim", "swarm-results") in kinds
    assert ("PersistentVolumeClaim", "swarm-data") not in kinds
    assert "Namespace" not in [kind for kind, _ in kinds]


def test_what_the_cluster_refuses_is_said_and_removed(cluster: Cluster) -> None:
    cluster.script({"words": ["apply"], "answers": [{"err": "Error from server (Forbidden): quota", "code": 1}]})
    code, _, err = cluster.run()
    assert code == 2
    assert "Error from server (Forbidden): quota" in err
    assert "delete namespace" in cluster.calls[-1]


def test_a_cluster_that_does_not_answer_is_not_touched(cluster: Cluster) -> None:
    cluster.script({"words": ["get"], "answers": [{"err": "Unable to connect to the server", "code": 1}]})
    code, _, err = cluster.run()
    assert code == 2
    assert "Unable to connect to the server" in err
    assert len(cluster.calls) == 1


@pytest.mark.parametrize(
    ("master", "words"),
    [
        (pod("master", ended(137, "OOMKilled")), "OOMKilled, code 137"),
        ({**pod("master", {}), "status": {"phase": "Failed", "reason": "Evicted", "message": "disk"}}, "Evicted disk"),
    ],
)
def test_an_end_from_outside_is_incomplete(cluster: Cluster, master: dict[str, Any], words: str) -> None:
    cluster.script(pods([pod("master", RUNNING)], [pod("master", RUNNING)], [master]))
    code, _, err = cluster.run()
    assert code == 4
    assert words in err


def test_a_broken_log_is_followed_again(cluster: Cluster) -> None:
    cluster.script(
        pods(*[[pod("master", RUNNING)]] * 3, [pod("master", ended(0))]),
        {"words": ["logs"], "answers": [{"out": "first", "code": 1}, {"out": "second"}]},
    )
    code, out, _ = cluster.run()
    assert code == 0
    assert out.index("first") < out.index("second")
    assert "--since=2s" in [call for call in cluster.calls if "logs" in call][1]


def test_a_passed_run_without_its_files_is_incomplete(cluster: Cluster) -> None:
    cluster.script(
        pods([pod("master", RUNNING)], [pod("master", RUNNING)], [pod("master", ended(0))]),
        {"words": ["wait"], "answers": [{"err": "timed out waiting for the condition", "code": 1}]},
    )
    code, _, err = cluster.run()
    assert code == 4
    assert "timed out waiting" in err
    assert "delete namespace" in cluster.calls[-1]


def test_a_run_that_is_here_already_is_not_overwritten(cluster: Cluster) -> None:
    mine = cluster.results / "runs" / "new-run" / "summary.json"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    cluster.script(pods([pod("master", RUNNING)], [pod("master", RUNNING)], [pod("master", ended(0))]))
    assert cluster.run()[0] == 0
    assert mine.read_text() == "mine"


def test_keep_leaves_all_in_the_cluster(cluster: Cluster) -> None:
    cluster.script(pods([pod("master", RUNNING)], [pod("master", RUNNING)], [pod("master", ended(0))]))
    assert cluster.run("--keep", "--context", "kind-kind")[0] == 0
    assert not [call for call in cluster.calls if "delete namespace" in call or "delete -f" in call]
    assert all(call.startswith("--context kind-kind -n inference-swarm-job ") for call in cluster.calls)


def test_arguments_reach_the_manifests() -> None:
    rendered = render(
        parse_arguments(
            ["http://model.models.svc:8080", "400", "40", "2m", "DEBUG", "--workers", "6",
             "--set", "SWARM_SLO=p99<50ms", "--image", "inference-swarm=r.example/inference-swarm",
             "--namespace", "mine"]
        )
    )  # fmt: skip
    items = parse(rendered.text)
    assert check_policy(items) + check_agreement(items, Code.read()) == []
    assert (rendered.namespace, rendered.workers, rendered.secrets) == ("mine", 6, ())
    master, worker = find(items, "Job", "swarm-master"), find(items, "Job", "swarm-worker")
    assert master is not None
    assert worker is not None
    assert worker["spec"]["parallelism"] == 6
    container = master["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == "r.example/inference-swarm:0.1.0"
    settings = config_map(items, container["envFrom"][0]["configMapRef"]["name"])
    wanted = {
        "LOCUST_HOST": "http://model.models.svc:8080", "LOCUST_USERS": "400", "LOCUST_SPAWN_RATE": "40",
        "LOCUST_RUN_TIME": "2m", "LOGLEVEL": "DEBUG", "SWARM_SLO": "p99<50ms",
    }  # fmt: skip
    assert wanted.items() <= settings.items()
    policy = find(items, "NetworkPolicy", "swarm-worker-to-external-target")
    assert policy is not None
    (rule,) = policy["spec"]["egress"]
    assert rule["ports"] == [{"port": 8080, "protocol": "TCP"}]
    assert rule["to"][1]["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "models"}


HOST = ("http://model.models.svc:8000", "1", "1", "10s")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("http://h:99999", *HOST[1:]), "HOST is 'http://h:99999'.\n  Expected: an address that begins with http"),
        (("http://[::1", *HOST[1:]), "HOST is 'http://[::1'"),
        (("model:8000", *HOST[1:]), "HOST is 'model:8000'"),
        ((*HOST, "--workers", "0"), "--workers is '0'.\n  Expected: a whole number above zero"),
        ((*HOST, "--workers", "-3"), "--workers is '-3'"),
        ((*HOST, "--set", "A B=c"), "--set names 'A B'.\n  Expected: a variable's name"),
        ((*HOST, "--namespace", "Bad_NS"), "--namespace is 'Bad_NS'"),
        ((*HOST, "--namespace", "x" * 64), "at most 63 small letters, digits and hyphens"),
        ((*HOST, "--component", "data_s3"), "--component is 'data_s3'.\n  Expected: one of autoscale, "),
        ((*HOST, "--overlay", "/dev/null"), "--overlay is '/dev/null'.\n  Expected: a folder"),
        ((*HOST, "--target-cidr", "everything"), "--target-cidr is 'everything'"),
        ((*HOST, "--start-timeout", "nan"), "--start-timeout is 'nan'.\n  Expected: seconds above zero"),
    ],
)
def test_arguments_that_no_cluster_would_take_are_refused_before_it_is_asked(
    arguments: tuple[str, ...], words: str
) -> None:
    with pytest.raises(CommandError) as caught:
        render(parse_arguments(list(arguments)))
    assert words in str(caught.value)


def test_values_of_settings_reach_the_cluster_as_they_are_given() -> None:
    values = {
        "LOCUST_TAGS": "'x'", "SWARM_COLUMNS": '"a,b"', "SWARM_SLO": " p99<50ms ", "SWARM_RUN_NAME": "é😀 # $(A): [",
        "SWARM_HEADERS": "A: b\nC: 'd'\n", "SWARM_LABELS": "", "SWARM_SEED": "007",
    }  # fmt: skip
    options = [text for name, value in values.items() for text in ("--set", f"{name}={value}")]
    rendered = render(parse_arguments([*HOST, "--namespace", "123", "--target-cidr", "10.1.2.3/8", *options]))
    assert rendered.namespace == "123"
    items = parse(rendered.text)
    (settings,) = (
        item["data"]
        for item in items
        if item["kind"] == "ConfigMap" and item["metadata"]["name"].startswith("swarm-settings")
    )
    assert {name: settings[name] for name in values} == values
    assert "cidr: 10.0.0.0/8" in rendered.text


def test_an_overlay_of_ones_own_gets_the_arguments_too() -> None:
    options = parse_arguments(["--overlay", str(ROOT / "k8s" / "overlays" / "job"), "--workers", "5"])
    rendered = render(options)
    assert (rendered.namespace, rendered.workers) == ("inference-swarm-job", 5)
    assert check_policy(parse(rendered.text)) == []


@pytest.mark.parametrize(
    ("host", "way"),
    [
        ("http://10.1.2.3:8000", {"target-port": "8000", "target-cidr": "10.1.2.3/32"}),
        ("http://[2001:db8::1]", {"target-port": "80", "target-cidr": "2001:db8::1/128"}),
        ("https://model.example.com", {"target-port": "443", "target-cidr": "0.0.0.0/0"}),
        (
            "http://model.serving.svc.cluster.local:81",
            {"target-port": "81", "target-cidr": "0.0.0.0/0", "target-namespace": "serving"},
        ),
        ("http://model.serving", {"target-port": "80", "target-cidr": "0.0.0.0/0", "target-namespace": "serving"}),
    ],
)
def test_the_network_policy_lets_the_workers_out_to_the_host_alone(host: str, way: dict[str, str]) -> None:
    assert way_to_target(host, None) == way


def test_start_sh_knows_the_command() -> None:
    done = subprocess.run(
        [ROOT / "scripts" / "start.sh", "k8s-job", "http://x", "5"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "HOST needs USERS SPAWN_RATE DURATION" in done.stderr


def test_secrets_are_made_once_and_never_replaced(cluster: Cluster) -> None:
    cluster.script({"words": ["get", "secret", "swarm-keys"], "answers": [{"out": "secret/swarm-keys"}]})
    done = subprocess.run(
        [sys.executable, "-m", "inference_swarm.cli.k8s_secrets", "--user", "me"],
        env=cluster.environment, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Secret swarm-keys: it exists and stays as it is" in done.stdout
    assert "Secret swarm-ui-login: made; user me, password " in done.stdout
    password = done.stdout.split("password ")[1].strip()
    assert len(password) >= 24
    made = [call for call in cluster.calls if "create secret" in call]
    assert len(made) == 1
    assert "swarm-ui-login --from-file=user=" in made[0]
    assert password not in made[0], "a password on the command line is seen by everybody on the machine"
