"""The rows that real workers send: disjoint, complete, each once when that is the order, from a disk or a bucket."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest
from recording_server import Recording, answer_bytes
from swarm_processes import Swarm, wait_until

pytestmark = pytest.mark.processes


def write_rows(path: Path, rows: int, row_group_rows: int = 50_000) -> Path:
    pq.write_table(pa.table({"n": list(range(rows))}), path, row_group_size=row_group_rows)
    return path


def sent_rows(recording: Recording) -> list[int]:
    return [json.loads(body)["n"] for body in recording.bodies]


def test_eight_workers_send_disjoint_parts_that_are_complete(
    swarm: Swarm, recording: Recording, tmp_path: Path
) -> None:
    recording.finds_owners = True
    rows = write_rows(tmp_path / "rows.parquet", 4000, 700)
    master = swarm.start_master(
        "--host", recording.url, "--data", str(rows), "--row-order", "sequential", "-u", "16", "-r", "100",
        "--stop-timeout", "5", workers=8,
    )  # fmt: skip
    parent = swarm.start_worker(1, "--processes", "8")
    wait_until(lambda: len(set(recording.bodies)) == 4000, 60, "every row")
    pids = [child.pid for child in psutil.Process(parent.pid).children()]
    master.send_signal(signal.SIGTERM)
    assert master.wait(60) == 0, swarm.log("master")
    parts = [{json.loads(body)["n"] for body in sent} for sent in recording.rows_by_process(pids).values()]
    assert sum(len(part) for part in parts) == len(set.union(*parts)) == 4000
    assert max(map(len, parts)) - min(map(len, parts)) <= 2 * 63  # a block is 4,000 rows / 64
    assert swarm.summary()["requests"] == recording.count
    assert swarm.summary()["failures"] == 0


def test_a_bucket_gives_the_same_rows_as_local_files(swarm: Swarm, recording: Recording, tmp_path: Path) -> None:
    """Two runs of real workers, one from an HTTP endpoint that speaks S3."""
    moto_server = pytest.importorskip("moto.server")
    rows = write_rows(tmp_path / "rows.parquet", 1000)
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true"}
    query = f"?scheme=http&endpoint_override={host}:{port}&region=us-east-1&allow_bucket_creation=true"
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in keys.items():
                patch.setenv(name, value)
            bucket, _ = pafs.FileSystem.from_uri("s3://swarm" + query)
            bucket.create_dir("swarm")
            with bucket.open_output_stream("swarm/data/X_test.parquet") as stream:
                stream.write(rows.read_bytes())
        sent = []
        for source in (str(rows), f"s3://swarm/data/X_test.parquet{query}"):
            start = recording.count
            result = swarm.run(
                "--headless", "--host", recording.url, "--data", source, "--row-order", "once", "-u", "4", "-r", "100",
                "--processes", "2", "--master-bind-port", str(swarm.master_port), "--master-port",
                str(swarm.master_port), "--results", str(swarm.results), env=keys,
            )  # fmt: skip
            assert result.returncode == 0, result.stderr
            sent.append(sorted(recording.bodies[start:]))
        assert sent[0] == sent[1]
        assert len(sent[0]) == 1000
    finally:
        server.stop()


def test_once_sends_every_row_once_and_ends_by_itself(swarm: Swarm, recording: Recording, tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows.parquet", 5000)
    master = swarm.start_master(
        "--host", recording.url, "--data", str(rows), "--row-order", "once", "-u", "8", "-r", "100", workers=2
    )
    swarm.start_worker(1, "--processes", "2")
    assert master.wait(60) == 0, swarm.log("master")
    assert sorted(sent_rows(recording)) == list(range(5000))
    summary = swarm.summary()
    assert summary["requests"] == 5000
    assert summary["once"] == {
        "planned": 5000, "sent": 5000, "maybe_sent": 0, "never_sent": 0, "possible_duplicates": 0,
    }  # fmt: skip


@pytest.mark.parametrize("run_time", ["60s", "1s"])
def test_once_in_a_single_process_counts_what_was_sent(
    swarm: Swarm, recording: Recording, tmp_path: Path, run_time: str
) -> None:
    rows = write_rows(tmp_path / "rows.parquet", 5000)
    recording.delay_s = 0.0 if run_time == "60s" else 0.05
    began_s = time.monotonic()
    result = swarm.run(
        "--headless", "--host", recording.url, "--data", str(rows), "--row-order", "once", "-u", "8", "-r", "100",
        "-t", run_time, "--stop-timeout", "5", "--processes", "0", "--results", str(swarm.results),
    )  # fmt: skip
    assert result.returncode == (0 if run_time == "60s" else 4), result.stderr
    assert time.monotonic() - began_s < 50  # it ends by itself
    sent = sent_rows(recording)
    assert len(sent) == len(set(sent)) == swarm.summary()["requests"]
    assert (len(sent) == 5000) == (run_time == "60s")
    assert swarm.summary()["once"] == {
        "planned": 5000, "sent": len(sent), "maybe_sent": 0, "never_sent": 5000 - len(sent), "possible_duplicates": 0,
    }  # fmt: skip


def test_once_over_four_workers_of_which_one_is_killed_half_way(
    swarm: Swarm, recording: Recording, tmp_path: Path
) -> None:
    recording.delay_s = 0  # for so many rows one by one
    rows = write_rows(tmp_path / "rows.parquet", 40_000)
    master = swarm.start_master(
        "--host", recording.url, "--data", str(rows), "--row-order", "once", "-u", "16", "-r", "100", workers=4
    )
    parent = swarm.start_worker(1, "--processes", "4")
    wait_until(lambda: recording.count > 18_000, 100, "half of the rows")
    psutil.Process(parent.pid).children()[1].kill()
    assert master.wait(150) == 4, swarm.log("master")
    check_once_after_a_loss(swarm, Counter(sent_rows(recording)), 40_000)


def test_once_in_batches_over_four_workers_of_which_one_is_killed_with_batches_in_flight(
    swarm: Swarm, recording: Recording, tmp_path: Path
) -> None:
    rows = write_rows(tmp_path / "rows.parquet", 100_000)
    recording.delay_s = 0.05
    master = swarm.start_master(
        "--host", recording.url, "--data", str(rows), "--row-order", "once", "-u", "16", "-r", "100",
        "--batch-size", "64", workers=4,
    )  # fmt: skip
    parent = swarm.start_worker(1, "--processes", "4")
    wait_until(lambda: recording.count > 45_000 / 64, 100, "half of the rows")
    psutil.Process(parent.pid).children()[1].kill()
    assert master.wait(150) == 4, swarm.log("master")
    sizes = Counter(len(json.loads(body)) for body in recording.bodies)
    assert max(sizes) == 64
    assert sizes[64] > 0.95 * recording.count
    check_once_after_a_loss(swarm, Counter(row["n"] for body in recording.bodies for row in json.loads(body)), 100_000)
    summary = swarm.summary()
    assert summary["requests"] <= recording.count <= summary["requests"] + summary["possibly_uncounted"]
    assert summary["possibly_uncounted"] < 1000  # requests: in rows it is 64 times that


def test_once_in_batches_sends_every_row_once_and_counts_rows_and_requests(
    swarm: Swarm, recording: Recording, tmp_path: Path
) -> None:
    rows = write_rows(tmp_path / "rows.parquet", 5000)
    recording.answer = lambda body: answer_bytes(body=b'{"predictions":[%b]}' % b",".join([b"0"] * body.count(b'"n"')))
    master = swarm.start_master(
        "--host", recording.url, "--data", str(rows), "--row-order", "once", "-u", "8", "-r", "100",
        "--batch-size", "300", "--check-answer", workers=2,
    )  # fmt: skip
    swarm.start_worker(1, "--processes", "2")
    assert master.wait(60) == 0, swarm.log("master")
    assert sorted(row["n"] for body in recording.bodies for row in json.loads(body)) == list(range(5000))
    assert [len(json.loads(body)) for body in recording.bodies].count(300) >= 14
    summary = swarm.summary()
    assert (summary["rows"], summary["requests"]) == (5000, recording.count)
    assert summary["rows_per_s"] / summary["rate_rps"] == pytest.approx(5000 / recording.count, rel=1e-4)
    assert summary["once"]["sent"] == 5000


def check_once_after_a_loss(swarm: Swarm, times_sent: Counter[int], rows: int) -> None:
    """Every row was sent, and what was sent twice is admitted."""
    once = swarm.summary()["once"]
    assert once["planned"] == once["sent"] == rows
    assert once["maybe_sent"] == once["never_sent"] == 0
    assert set(times_sent) == set(range(rows))
    twice = sum(count - 1 for count in times_sent.values())
    assert twice <= once["possible_duplicates"]
    assert once["possible_duplicates"] < rows / 5
    assert swarm.summary()["complete"] is False


def test_once_stopped_early_says_how_many_rows_were_never_sent(
    swarm: Swarm, recording: Recording, tmp_path: Path
) -> None:
    rows = write_rows(tmp_path / "rows.parquet", 5000)
    recording.delay_s = 0.05
    master = swarm.start_master(
        "--host", recording.url, "--data", str(rows), "--row-order", "once", "-u", "4", "-r", "100", "-t", "2s",
        "--stop-timeout", "5", workers=2,
    )  # fmt: skip
    swarm.start_worker(1, "--processes", "2")
    assert master.wait(60) == 4, swarm.log("master")
    assert "rows were never sent" in " ".join(swarm.summary()["reasons"])
    once = swarm.summary()["once"]
    assert once["sent"] == recording.count == len(set(recording.bodies)) < 5000
    assert once["never_sent"] == 5000 - recording.count
    assert once["maybe_sent"] == 0


def test_a_worker_that_leaves_during_once_gives_its_rows_back(
    swarm: Swarm, recording: Recording, tmp_path: Path
) -> None:
    rows = write_rows(tmp_path / "rows.parquet", 6000)
    recording.delay_s = 0.01
    master = swarm.start_master(
        "--host", recording.url, "--data", str(rows), "--row-order", "once", "-u", "12", "-r", "100",
        "--stop-timeout", "5", workers=3,
    )  # fmt: skip
    parent = swarm.start_worker(1, "--processes", "3")
    wait_until(lambda: recording.count > 1500, 60, "a part of the rows")
    psutil.Process(parent.pid).children()[0].terminate()
    assert master.wait(90) == 0, swarm.log("master")
    assert sorted(sent_rows(recording)) == list(range(6000))
    assert swarm.summary()["once"]["possible_duplicates"] == 0
    assert swarm.summary()["complete"] is True


def test_a_file_that_changes_during_the_run_is_named_and_the_run_is_incomplete(
    swarm: Swarm, recording: Recording, tmp_path: Path
) -> None:
    rows = write_rows(tmp_path / "rows.parquet", 60_000, 10_000)
    recording.delay_s = 0.001
    # So little memory that blocks are read all the time.
    master = swarm.start_master(
        "--host", recording.url, "--data", str(rows), "--row-order", "sequential", "--row-memory", "64KiB", "-u", "4",
        "-r", "100", "-t", "10m", "--stop-timeout", "2", workers=1,
    )  # fmt: skip
    swarm.start_worker(1)
    wait_until(lambda: recording.count > 100, 60, "requests")
    write_rows(rows, 60_001, 10_000)
    wait_until(lambda: "has failed: " in swarm.log("master"), 60, "that the change is noticed")
    master.send_signal(signal.SIGTERM)
    assert master.wait(60) == 4
    log = swarm.log("master")
    assert "rows.parquet" in log
    assert swarm.summary()["complete"] is False


def test_loading_shows_how_far_it_is(swarm: Swarm, recording: Recording, tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows.parquet", 3000)
    master = swarm.start_master("--host", recording.url, "--data", str(rows), "-u", "2", "-t", "1s", workers=2)
    swarm.start_worker(1, "--processes", "2")
    assert master.wait(60) == 0
    assert "Loaded: 2 of 2 workers ready, 3,000 of 3,000 rows" in swarm.log("master")


def test_more_workers_than_blocks_leaves_some_without_users(swarm: Swarm, recording: Recording, tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows.parquet", 2)
    master = swarm.start_master(
        "--host", recording.url, "--data", str(rows), "-u", "6", "-r", "100", "-t", "1s", workers=3
    )
    swarm.start_worker(1, "--processes", "3")
    started_s = time.monotonic()
    assert master.wait(60) == 0, swarm.log("master")
    assert time.monotonic() - started_s < 30
    summary = swarm.summary()
    assert summary["complete"] is True
    assert summary["requests"] == recording.count > 0
    assert set(sent_rows(recording)) == {0, 1}
