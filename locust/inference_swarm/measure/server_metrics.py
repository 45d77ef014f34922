"""The server's own metrics beside those of the client: Prometheus text in, chosen series over the run out. Pure.

Counters become rates; samples of one metric with different labels are added up, and so are several servers. What could
not be read is a gap. Names that are known (of Python's process, Starlette exporters, Triton, MLServer, BentoML) are
taken by themselves; `--server-metric NAME` or `NAME[label=value,…]` takes others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

from inference_swarm.errors import SettingProblem

MAX_ROWS = 20_000
MAX_SERIES = 40
_CHOICE = re.compile(r"(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)\s*(?:\[(?P<labels>[^\]]*)\])?")


@dataclass(frozen=True, slots=True)
class Choice:
    """A metric by name and labels, under a title; `factor` turns its values into `unit`."""

    title: str
    name: str
    unit: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    factor: float = 1.0


# Of each title the first name that a server has is taken.
KNOWN: tuple[Choice, ...] = (
    Choice("CPU", "process_cpu_seconds_total", "% of a core", factor=100.0),
    Choice("CPU", "nv_cpu_utilization", "%", factor=100.0),
    Choice("GPU", "nv_gpu_utilization", "%", factor=100.0),
    Choice("memory", "process_resident_memory_bytes", "MiB", factor=2.0**-20),
    Choice("memory", "nv_cpu_memory_used_bytes", "MiB", factor=2.0**-20),
    Choice("in flight", "rest_server_requests_in_progress"),
    Choice("in flight", "bentoml_service_request_in_progress"),
    Choice("in flight", "starlette_requests_in_progress"),
    Choice("in flight", "http_requests_inprogress"),
    Choice("in flight", "inference_requests_in_progress"),
    Choice("queue", "nv_inference_pending_request_count"),
)
PROCESS_CPU, PROCESS_MEMORY = "CPU of the process", "memory of the process"
PROCESS_UNITS = {PROCESS_CPU: "% of a core", PROCESS_MEMORY: "MiB"}


@dataclass(frozen=True, slots=True)
class Reading:
    """One chosen series at one instant: its value so far if it is a counter, its value now if not."""

    title: str
    unit: str
    value: float
    is_counter: bool


def split_sources(text: str) -> list[str]:
    """Return the parts of a setting that holds several."""
    return [part.strip() for part in re.split(r"[;\n]", text) if part.strip()]


def parse_choice(text: str) -> Choice:
    """Read `NAME` or `NAME[label=value,…]`. Raises SettingProblem."""
    found = _CHOICE.fullmatch(text.strip())
    pairs = [part.partition("=") for part in (found["labels"] or "").split(",") if part.strip()] if found else []
    if found is None or any(not equals for _, equals, _ in pairs):
        raise SettingProblem(
            f"--server-metric is {text!r}",
            expected="the name of a metric, such as nv_inference_count or nv_inference_count[model=iris]",
        )
    labels = tuple((name.strip(), value.strip().strip('"')) for name, _, value in pairs)
    return Choice(text.strip(), found["name"], labels=labels)


def read_metrics(text: str, wanted: Sequence[Choice]) -> list[Reading]:
    """Return what was chosen of a server's metrics. Raises ValueError for text in another format."""
    samples: dict[str, list[tuple[Mapping[str, str], float]]] = {}
    counters: set[str] = set()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            samples.setdefault(sample.name, []).append((sample.labels, float(sample.value)))
            is_untyped = family.type in ("unknown", "untyped")
            may_only_grow = family.type in ("histogram", "summary") or is_untyped
            if family.type == "counter" or (may_only_grow and sample.name.endswith(("_total", "_count", "_sum"))):
                counters.add(sample.name)
    found: list[Reading] = []
    for choice in (*wanted, *KNOWN):
        # The library calls every counter …_total, whatever the server does.
        name = choice.name if choice.name in samples else f"{choice.name}_total"
        values = [
            value
            for labels, value in samples.get(name, ())
            if all(labels.get(key) == wanted_value for key, wanted_value in choice.labels)
        ]
        if values and choice.title not in {reading.title for reading in found}:
            is_counter = name in counters
            unit = choice.unit or ("/s" if is_counter else "")
            found.append(Reading(choice.title, unit, sum(values) * choice.factor, is_counter))
    return found


@dataclass(slots=True)
class ServerSeries:
    """All that was read over a run: a row for each instant, in seconds since the run began, gaps left out."""

    units: dict[str, str] = field(default_factory=dict)
    rows: list[tuple[float, dict[str, float]]] = field(default_factory=list)
    failures: int = 0
    last_failure: str = ""
    _before: dict[tuple[str, str], tuple[float, float]] = field(default_factory=dict)

    def add(self, at_s: float, readings: Mapping[str, Iterable[Reading]]) -> None:
        """Take in what each source has said at about one instant; a counter that fell has begun again."""
        row: dict[str, float] = {}
        for source, found in readings.items():
            for reading in found:
                value: float | None = reading.value
                if reading.is_counter:
                    value = self._rate(source, reading, at_s)
                if value is None or (reading.title not in self.units and len(self.units) >= MAX_SERIES):
                    continue
                self.units.setdefault(reading.title, reading.unit)
                row[reading.title] = row.get(reading.title, 0.0) + value
        if row:
            self.rows.append((at_s, row))
        if len(self.rows) > MAX_ROWS:
            self.rows = self.rows[::2]

    def fail(self, why: str) -> None:
        """A source could not be read: a gap."""
        self.failures += 1
        self.last_failure = why

    def _rate(self, source: str, reading: Reading, at_s: float) -> float | None:
        key = (source, reading.title)
        before = self._before.get(key)
        self._before[key] = (at_s, reading.value)
        if before is None or at_s <= before[0] or reading.value < before[1]:
            return None
        return (reading.value - before[1]) / (at_s - before[0])

    def between(self, start_s: float, end_s: float) -> dict[str, float]:
        """Return the mean of each series in a stretch of time."""
        values: dict[str, list[float]] = {}
        for at_s, row in self.rows:
            if start_s <= at_s <= end_s:
                for title, value in row.items():
                    values.setdefault(title, []).append(value)
        return {title: sum(found) / len(found) for title, found in values.items()}
