"""The answer of a search in words, and its verdict. Pure."""

from __future__ import annotations

import math

from inference_swarm.judge.capacity.result import CapacityResult, Measured, StepRow
from inference_swarm.judge.capacity.scalability import Estimate, Scalability
from inference_swarm.judge.capacity.search import Outcome
from inference_swarm.judge.verdict import Status, Verdict

# Servers are planned to this part of what one was seen to hold.
HEADROOM = 0.8


def load_words(load: float, *, by_users: bool) -> str:
    """Return `1,840/s` or `16 users`."""
    if by_users:
        return f"{load:,.0f} user{'' if round(load) == 1 else 's'}"
    digits = 0 if load >= 100 else 1 if load >= 10 else 2
    return f"{load:,.{digits}f}/s"


def answer_words(result: CapacityResult) -> str:
    """Return the answer in one sentence or a few, the most important first."""
    parts = [_first(result)]
    if result.answer is not None:
        parts.append(_generator(result, result.answer))
    elif result.outcome is None:
        return parts[0]
    if result.is_at_least and result.answer is not None:
        parts.append(_limit(result))
    if result.target_rps is not None and result.load is not None and not result.by_users:
        parts.append(target_words(result.load, result.target_rps))
    if result.scalability is not None:
        parts.append(scalability_words(result.scalability))
    if result.outcome is Outcome.UNSETTLED and result.why:
        parts.append(f"Not settled: {result.why}.")
    return " ".join(parts)


def search_words(result: CapacityResult) -> str:
    """Return the state of a search that goes on: `step 7: close in at 394/s; between 381/s and 408/s`."""
    if not result.steps:
        return ""
    step, by_users = result.steps[-1], result.by_users
    words = f"step {step.step}: {step.part} at {_words(step.load, by_users)}"
    if result.high is None:
        return words if result.low is None else f"{words}; above {_words(result.low, by_users)}"
    if result.low is None:
        return f"{words}; below {_words(result.high, by_users)}"
    return f"{words}; between {_words(result.low, by_users)} and {_words(result.high, by_users)}"


def _first(result: CapacityResult) -> str:
    by_users, answer = result.by_users, result.answer
    if result.outcome is None:
        return f"Searching, {search_words(result)}." if result.steps else "Searching."
    if answer is None or result.load is None:
        missed = _missed_words(result)
        low = (
            "" if result.low is None else f": {_words(result.low, by_users)} met every objective and was not confirmed"
        )
        begin = "No load was held" if result.outcome is Outcome.NONE_HELD else f"No load was confirmed{low}"
        return f"{begin}{f'; {missed}' if missed else ''}."
    rate = f"{result.load:,.{0 if result.load >= 100 else 1 if result.load >= 10 else 2}f} requests/s"
    load = _words(result.load, True) if by_users else rate
    held = ", ".join(f"{_spaced(one.objective)} ({one.text})" for one in answer.measured)
    if by_users:
        load = f"{load} ({answer.rate_rps:,.0f} requests/s)"
    missed = _missed_words(result)
    return f"Holds {'at least ' if result.is_at_least else ''}{load} at {held}{f'; {missed}' if missed else ''}."


def _words(load: float, by_users: bool) -> str:
    return load_words(load, by_users=by_users)


def _spaced(objective: str) -> str:
    """`p99<50ms` as people write it: `p99 < 50 ms`."""
    for comparator in ("<=", "<"):
        left, found, right = objective.partition(comparator)
        if found:
            number = right.strip().rstrip("usmµμ%").strip()
            unit = right.strip()[len(number) :].strip()
            return f"{left.strip()} {comparator} {number} {unit}".strip()
    return objective


def _missed_words(result: CapacityResult) -> str:
    missed = result.missed
    if missed is None:
        return ""
    at = f"at {_words(missed.load, result.by_users)}"
    if missed.is_overloaded:
        return f"{at} requests queued up without bound"
    failed = [one for one in missed.measured if one.outcome != "pass"] or list(missed.measured)
    return f"{at} " + ", ".join(_was(one) for one in failed)


def _was(one: Measured) -> str:
    metric = one.objective.partition("<")[0].strip()
    return f"{metric} was {one.text}"


def _generator(result: CapacityResult, answer: StepRow) -> str:
    workers = f"{result.workers} worker{'' if result.workers == 1 else 's'}"
    return f"{workers}, {answer.cpu_percent:.0f} % of {'its' if result.workers == 1 else 'their'} CPU."


def _limit(result: CapacityResult) -> str:
    missed = result.missed
    where = "" if missed is None else f" at {_words(missed.load, result.by_users)}"
    if result.workers_needed is not None:
        needed = f"about {result.workers_needed} workers would carry that rate"
        return f"The load generator was the bottleneck{where}: {needed}."
    used = 0.0 if missed is None else missed.cpu_percent
    held_up = f"with {used:.0f} % of its CPU: a quota, or something else on its machine, holds it up"
    return f"The load generator was the bottleneck{where}, {held_up}."


def scalability_words(fit: Scalability) -> str:
    """Return the fit in a sentence."""
    words = f"By the Universal Scalability Law {_plus(fit.one_user_rps, ',.3g')}/s with one user, "
    words += f"contention {_plus(fit.contention, '.2g', 100)} %, coherency {_plus(fit.coherency, '.2g', 100)} %"
    if fit.knee_users is not None:
        words += f"; the knee is at {fit.knee_users:,.3g} users"
    if fit.peak_users is None or fit.peak_rps is None:
        return f"{words}; no peak in sight."
    return f"{words}; the peak at {_plus(fit.peak_users, ',.3g')} users ({fit.peak_rps:,.4g}/s)."


def _plus(one: Estimate, digits: str, factor: float = 1.0) -> str:
    return f"{one.value * factor:{digits}} ± {one.error * factor:.1g}"


def servers_for(load: float, target_rps: float) -> int:
    """Return how many servers that hold `load` each carry the target with headroom."""
    return max(1, math.ceil(target_rps / (load * HEADROOM)))


def target_words(load: float, target_rps: float) -> str:
    """Return the servers for a target, and the arithmetic."""
    count = servers_for(load, target_rps)
    used = target_rps / (count * load)
    words = "server like this one carries" if count == 1 else "servers like this one carry"
    return (
        f"{count} {words} {target_rps:,.0f}/s with {100 * (1 - used):.0f} % headroom "
        f"({target_rps:,.0f} ÷ ({load:,.0f} × {HEADROOM:g}) = {target_rps / (load * HEADROOM):.2f}, rounded up)."
    )


def capacity_verdict(result: CapacityResult, others: Verdict | None = None) -> Verdict:
    """Return the verdict on a search; `others`: that of a run that could not even be one (unreachable, interrupted)."""
    if others is not None:
        return others
    notes = result.notes
    if result.outcome is Outcome.FOUND and result.load is not None:
        wanted = result.at_least_rps
        if wanted is not None and result.load < wanted:
            if result.is_at_least:
                words = (
                    f"{wanted:,.0f}/s was wanted, and the load generator could not show more than {result.load:,.0f}/s"
                )
                return Verdict(Status.INCOMPLETE, (), (words, *notes))
            return Verdict(
                Status.OBJECTIVE_MISSED, (), (f"it holds {result.load:,.0f}/s, {wanted:,.0f}/s was wanted", *notes)
            )
        if result.is_at_least:
            return Verdict(
                Status.GENERATOR_BOUND, (), (_limit(result).rstrip(".") + ": the server may hold more", *notes)
            )
        return Verdict(Status.PASSED, (), notes)
    if result.outcome is Outcome.NONE_HELD:
        return Verdict(Status.OBJECTIVE_MISSED, (), (result.why, *notes))
    if result.outcome is None:
        return Verdict(Status.INCOMPLETE, (), (_first(result), *notes))
    why = result.why or "the search was not over"
    return Verdict(Status.INCOMPLETE, (), (f"not settled: {why}", *notes))
