"""One exit code for a run: which reason outweighs which."""

from __future__ import annotations

import numpy as np
import pytest

from inference_swarm.errors import ExitCode
from inference_swarm.judge.conclusion import conclude
from inference_swarm.judge.objectives import parse_objective
from inference_swarm.measure.snapshot import RequestTally

MS = 1_000_000


def tally(succeeded: int = 10_000, failed: int = 0, connects: int = 10, ms: float = 5.0) -> RequestTally:
    result = RequestTally(sent=succeeded + failed, succeeded=succeeded, connects=connects)
    result.latency.record_ns(np.full(succeeded + failed, int(ms * MS)))
    if failed:
        result.count_failure("status", failed)
    return result


@pytest.mark.parametrize(
    ("given", "slo", "owed", "code"),
    [
        (tally(), "", [], ExitCode.PASSED),
        (tally(), "p99<6ms", [], ExitCode.PASSED),
        (tally(failed=1), "", [], ExitCode.REQUESTS_FAILED),
        (tally(failed=1), "p99<6ms", [], ExitCode.REQUESTS_FAILED),
        (tally(failed=1), "error_rate<1%", [], ExitCode.PASSED),
        (tally(failed=1), "error_rate{POST /x}<1%", [], ExitCode.REQUESTS_FAILED),
        (tally(failed=5000), "error_rate<1%", [], ExitCode.OBJECTIVE_MISSED),
        (tally(), "p99<4ms", [], ExitCode.OBJECTIVE_MISSED),
        (tally(), "p99<4ms", ["worker a: never reported"], ExitCode.OBJECTIVE_MISSED),
        (tally(), "p99<6ms", ["worker a: never reported"], ExitCode.INCOMPLETE),
        (tally(failed=1), "", ["worker a: never reported"], ExitCode.INCOMPLETE),
        (tally(succeeded=50), "p99<6ms", [], ExitCode.INCOMPLETE),
        (tally(succeeded=0, failed=50, connects=0), "p99<6ms", ["x"], ExitCode.TARGET_UNREACHABLE),
        (tally(succeeded=0, failed=50, connects=0), "error_rate<50%", [], ExitCode.TARGET_UNREACHABLE),
        (tally(succeeded=0, failed=50, connects=3), "", [], ExitCode.REQUESTS_FAILED),
    ],
)
def test_the_first_reason_that_holds_is_the_code(
    given: RequestTally, slo: str, owed: list[str], code: ExitCode
) -> None:
    objectives = [parse_objective(slo)] if slo else []
    conclusion = conclude({"POST /x": given}, 10.0, objectives, incomplete_because=owed)
    assert conclusion.code is code
    assert conclusion.word == code.name.lower().replace("_", " ")


def test_reasons_say_what_is_missing_and_how_much_failed() -> None:
    assert conclude({"a": tally(failed=25)}, 1.0, []).reasons == ("25 of 10,025 requests failed",)
    unreachable = conclude({"a": tally(succeeded=0, failed=7, connects=0)}, 1.0, [])
    assert unreachable.reasons == ("none of 7 requests got a connection (status 7)",)
    few = conclude({"a": tally(succeeded=50)}, 1.0, [parse_objective("p99<6ms")])
    assert few.reasons == ("p99<6ms: incomplete, measured 5 ms (50 samples; p99 needs 662 to mean something)",)
