"""Reads the trace of a run before it begins, in the thread pool, and says what it is."""

from __future__ import annotations

import logging
from functools import partial

import gevent

from inference_swarm.data.numpy_values import leave_pandas_out
from inference_swarm.data.threads import run_in_pool
from inference_swarm.run.plan import RunPlan
from inference_swarm.run.trace_plan import cut_words, with_trace

logger = logging.getLogger(__name__)


def plan_trace(plan: RunPlan) -> RunPlan:
    """Return the plan with the schedule of its trace, if it has one. Raises DataError."""
    leave_pandas_out()
    planned, trace = with_trace(plan, partial(run_in_pool, gevent.get_hub().threadpool.apply))
    if trace is not None:
        length_s = planned.load.length_s
        logger.info("Trace: %s%s", trace.describe(), "" if length_s is None else f"; replayed in {length_s:,.3f} s")
        if cut := cut_words(planned, trace):
            logger.warning("%s", cut)
    return planned
