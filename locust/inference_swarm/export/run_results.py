"""The results of a run for a script or a notebook: typed values, and pandas frames. An edge: files.

Imports neither Locust nor gevent; pandas only for a frame.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from inference_swarm.config.documents import ReadDocument
from inference_swarm.export.saved_run import SavedRun, merge_intervals
from inference_swarm.export.saved_run import read_run as read_saved_run
from inference_swarm.measure.histogram import HIGHEST_IN_BUCKET_US, LOWEST_IN_BUCKET_US, Histogram

if TYPE_CHECKING:
    import pandas as pd

_TIMES = {
    "latency": "latency_us",
    "service": "service_us",
    "failed_latency": "failed_latency_us",
    "failed_service": "failed_service_us",
}


@dataclass(frozen=True, slots=True)
class RunResults:
    """One run; times in µs, rates per second. `summary` is all of summary.json (docs/results.md)."""

    folder: Path
    run: str
    verdict: str
    exit_code: int
    reasons: tuple[str, ...]
    duration_s: float
    requests: int
    succeeded: int
    failed: int
    error_rate: float
    rate_rps: float
    latency_us: Mapping[str, float]
    """`p50`, `p75`, `p90`, `p95`, `p99`, `p99_9`, `p99_99`, `mean`, `min`, `max` of successes."""
    summary: ReadDocument
    saved: SavedRun

    @property
    def intervals(self) -> pd.DataFrame:
        """The run over time, a row for each interval: the columns of intervals.csv."""
        import pandas as pd

        return pd.DataFrame([asdict(row) for row in self.saved.rows])

    @property
    def percentiles(self) -> pd.DataFrame:
        """Times by request name and kind; the name is empty for all requests together."""
        import pandas as pd

        names: dict[str, ReadDocument] = {"": self.summary, **self.summary["names"]}
        rows = [
            {"name": name, "kind": kind, **counters[key]}
            for name, counters in names.items()
            for kind, key in _TIMES.items()
        ]
        return pd.DataFrame(rows).set_index(["name", "kind"])

    @property
    def histogram(self) -> pd.DataFrame:
        """Latencies of successes: a row for each bucket that is not empty, from `low_us` to `high_us`."""
        import pandas as pd

        merged: Histogram = merge_intervals(self.saved.latency)
        filled = merged.counts.nonzero()[0]
        return pd.DataFrame(
            {
                "low_us": LOWEST_IN_BUCKET_US[filled],
                "high_us": HIGHEST_IN_BUCKET_US[filled],
                "count": merged.counts[filled],
            }
        )

    @property
    def failures(self) -> pd.DataFrame:
        """The most frequent kinds of failure, with an example of each."""
        import pandas as pd

        columns = ["error", "kind", "status", "count", "first_s", "last_s", "explanation", "row"]
        return pd.DataFrame(list(self.summary["failed"]), columns=columns)


def read_run(folder: Path | str) -> RunResults:
    """Read the folder of a run that has ended. Raises DataError that names the file."""
    saved = read_saved_run(Path(folder))
    summary = saved.summary
    return RunResults(
        folder=saved.folder,
        run=summary["run"],
        verdict=summary["verdict"],
        exit_code=summary["exit_code"],
        reasons=tuple(summary["reasons"]),
        duration_s=summary["duration_s"],
        requests=summary["requests"],
        succeeded=summary["succeeded"],
        failed=summary["failures"],
        error_rate=summary["error_rate"],
        rate_rps=summary["rate_rps"],
        latency_us=summary["latency_us"],
        summary=summary,
        saved=saved,
    )
