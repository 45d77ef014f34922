from __future__ import annotations

import pytest

from inference_swarm.judge.self_check import MASTER, SelfCheck, is_generator_bottleneck
from inference_swarm.measure.snapshot import WorkerHealth

CALM = WorkerHealth(loop_lag_p99_ms=1, scheduling_lag_p99_ms=1, cpu_percent=70, open_files=50, open_files_limit=1000)


def check(who: str, *healths: WorkerHealth) -> SelfCheck:
    found = SelfCheck()
    for health in healths:
        found.observe(who, health)
    return found


def test_a_calm_generator_gives_no_warning() -> None:
    assert check("w1", CALM, WorkerHealth()).warnings() == []
    assert not is_generator_bottleneck([])


@pytest.mark.parametrize(
    ("health", "sentence", "marks"),
    [
        (
            WorkerHealth(cpu_percent=97.4),
            "Worker w1 used 97 % of a core (limit 90 %): add workers or lower the load, in 1 of 1 reports.",
            True,
        ),
        (
            WorkerHealth(loop_lag_p99_ms=12.34),
            "Worker w1 was 12.3 ms late to read responses (p99 of an interval, limit 10 ms), in 1 of 1 reports.",
            True,
        ),
        (
            WorkerHealth(scheduling_lag_p99_ms=10),
            "Worker w1 sent requests 10.0 ms late (p99 of an interval, limit 10 ms), in 1 of 1 reports.",
            True,
        ),
        (
            WorkerHealth(ports_exhausted=1200),
            "Worker w1 ran out of local ports 1,200 times: "
            "give several addresses of its machine with --source-address, widen net.ipv4.ip_local_port_range, "
            "use fewer users or add workers on other machines.",
            True,
        ),
        (
            WorkerHealth(files_exhausted=1, open_files=1000, open_files_limit=1000),
            "Worker w1 ran out of file descriptors 1 times: raise `ulimit -n`.",
            True,
        ),
        (
            WorkerHealth(open_files=950, open_files_limit=1000),
            "Worker w1 has 950 of 1,000 file descriptors open: raise `ulimit -n` before adding users.",
            False,
        ),
    ],
)
def test_each_metric_has_its_sentence(health: WorkerHealth, sentence: str, marks: bool) -> None:
    warnings = check("w1", health).warnings()
    assert [warning.sentence for warning in warnings] == [sentence]
    assert is_generator_bottleneck(warnings) is marks


@pytest.mark.parametrize(("busy", "marks"), [(1, False), (2, True)])
def test_a_short_peak_is_told_and_does_not_mark_the_run(busy: int, marks: bool) -> None:
    healths = [WorkerHealth(cpu_percent=95)] * busy + [CALM] * (20 - busy)
    (warning,) = check("w1", *healths).warnings()
    assert f"in {busy} of 20 reports" in warning.sentence
    assert warning.is_bottleneck is marks


def test_a_busy_master_is_told_first_and_does_not_mark_the_run() -> None:
    found = check(MASTER, WorkerHealth(cpu_percent=99))
    assert not is_generator_bottleneck(found.warnings())
    found.observe("a", WorkerHealth(cpu_percent=99))
    assert [warning.who for warning in found.warnings()] == [MASTER, "a"]
    assert found.warnings()[0].sentence.startswith("The master used 99 % of a core")
