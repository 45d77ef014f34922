"""The search for a capacity: raise the load until an objective is missed, close in on the bound, confirm.

Looks at a step go in, at about one a second; orders for the next load come out. No clock, no socket: time is in the
looks. A step is decided as soon as its outcome is beyond doubt (`evidence.py`), or when its time is over by what is
likely. All steps together say between which loads the capacity lies (`levels.py`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum

from inference_swarm.judge.capacity import drain
from inference_swarm.judge.capacity.drain import Drain, State
from inference_swarm.judge.capacity.evidence import Evidence, Finding
from inference_swarm.judge.capacity.levels import Bracket, bracket_of
from inference_swarm.judge.capacity.plan import SearchPlan
from inference_swarm.judge.capacity.raising import at_half_s, raised
from inference_swarm.judge.capacity.steps import MIN_BATCHES, MIN_JUDGED_S, Look, Part, Step

# While the load is raised a step that looks well is left after this long: closing in looks at it again.
RAISE_S = 2.0
RAISE_REQUESTS = 20
LOWER_FACTOR = 4.0
# In a step of the longest duration fewer requests than this say nothing: the search does not go below.
MIN_REQUESTS = 20
MAX_CONFIRMATIONS = 2


class Outcome(StrEnum):
    """How a search has ended."""

    FOUND = "found"
    NONE_HELD = "no load held"
    UNSETTLED = "not settled"


@dataclass(frozen=True, slots=True)
class Order:
    """The load is to be this, from as soon as it can be; what is intended in the first `settle_s` is not judged."""

    step: int
    part: Part
    load: float
    settle_s: float


@dataclass(slots=True)
class Search:
    """One search. Feed it `begin`, then `begun` for each order and a `look` a second."""

    plan: SearchPlan
    steps: list[Step] = field(default_factory=list)
    levels: dict[float, Evidence] = field(default_factory=dict)
    outcome: Outcome | None = None
    answer: Step | None = None
    """The confirmation that has held."""
    why: str = ""
    """What could not be settled, and why."""
    notes: list[str] = field(default_factory=list)
    _pending: Order | None = None
    _after_drain: tuple[Part, float] | None = None
    _not_held: set[float] = field(default_factory=set)
    _retested: set[float] = field(default_factory=set)
    _drain: Drain = field(init=False)
    _began_s: float = 0.0

    def __post_init__(self) -> None:
        self._drain = Drain(self.plan.bound_s)

    @property
    def usual_s(self) -> float:
        """How long requests take at loads that are met, at least on average; 0 before any."""
        return self._drain.usual_s

    # what happens

    def begin(self) -> Order:
        """Return the first order."""
        return self._order(Part.RAISE, self.plan.start)

    def begun(self, start_s: float) -> None:
        """The load of the last order holds from this instant on."""
        order = self._pending
        assert order is not None
        if not self.steps:
            self._began_s = start_s
        self._pending = None
        settled_s = start_s + order.settle_s
        self.steps.append(Step(order.step, order.part, order.load, start_s, settled_s, self.plan.allowed))

    def look(self, look: Look) -> Order | None:
        """Take in what has become known; returns the next order when the step is over and there is one."""
        if self.outcome is not None or self._pending is not None or not self.steps:
            return None
        step = self.steps[-1]
        if look.step != step.number or look.now_s <= step.start_s:
            return None
        step.take(look)
        if step.part is Part.DRAIN:
            return self._drained(step, look)
        finding = self._decided(step, look.now_s)
        if finding is None:
            return self._ended_by_budget(step, look.now_s)
        self._finish(step, finding, look)
        return self._next(step, look.now_s)

    def disturbed(self, now_s: float, why: str) -> Order | None:
        """The workers have changed: the step under way says nothing, and is begun again."""
        if self.outcome is not None or self._pending is not None or not self.steps:
            return None
        step = self.steps[-1]
        step.end_s, step.is_discarded = now_s, True
        self.notes.append(f"{why}: the step at {step.load:,.4g} was begun again")
        return self._order(step.part, step.load)

    # a step

    def _decided(self, step: Step, now_s: float) -> Finding | None:
        """Return the finding on a step if it is over, else None."""
        plan, judged_s = self.plan, step.judged_s(now_s)
        if not plan.by_users and step.is_growing(plan.bound_s):
            step.is_overloaded = True
            return Finding.MISSED
        evidence = step.evidence
        if judged_s < MIN_JUDGED_S or (len(evidence.batches) < MIN_BATCHES and judged_s < plan.step_max_s):
            return None
        if step.may_leave_out and judged_s < plan.step_max_s:
            return None
        finding = evidence.finding(0 if plan.by_users else step.unresolved(plan.bound_s))
        if finding is Finding.MISSED:
            return finding
        if step.part is Part.CONFIRM:
            return finding if judged_s >= plan.confirm_s else None
        if judged_s >= plan.step_max_s:
            return finding
        if step.part is Part.RAISE and finding.is_met:
            return finding if judged_s >= RAISE_S and evidence.asked >= RAISE_REQUESTS else None
        return finding if finding is Finding.MET and evidence.asked >= plan.samples_needed else None

    def _finish(self, step: Step, finding: Finding, look: Look) -> None:
        step.end_s, step.finding = look.now_s, finding
        if finding.is_met:
            self._drain.learn(step)
        known = self.levels.get(step.load)
        is_again = known is not None and step.load in self._retested and step.part is not Part.CONFIRM
        if known is None or (is_again and finding.is_met):  # what disturbed it the first time is over
            self.levels[step.load] = step.evidence
        else:
            known.merge(step.evidence)

    # what comes next

    @property
    def bracket(self) -> Bracket:
        """Between which loads the capacity lies, by all steps so far."""
        return bracket_of(self.levels, frozenset(self._not_held))

    def _next(self, step: Step, now_s: float) -> Order | None:
        if step.part is Part.CONFIRM and self._is_confirmed(step):
            return None
        part, load = self._choose(step, now_s)
        if self.outcome is not None:
            return None
        if self._drain.is_needed(step, is_missed=step.finding is Finding.MISSED):
            self._after_drain = (part, load)
            return self._order(Part.DRAIN, self._drain.begin(now_s, self.bracket.low, load))
        return self._order(part, load)

    def _is_confirmed(self, step: Step) -> bool:
        assert step.finding is not None
        if step.finding.is_met:
            self.answer = step
            highest = self.plan.highest
            if self._is_close(self.bracket) or (highest is not None and step.load >= highest):
                self.outcome = Outcome.FOUND
            else:
                self._unsettled("there was no time to come closer")
            return True
        tried = sum(one.part is Part.CONFIRM and one.load == step.load for one in self.steps)
        if step.finding is Finding.MISSED or tried >= MAX_CONFIRMATIONS or self.bracket.low != step.load:
            self._not_held.add(step.load)
        return False

    def _choose(self, step: Step, now_s: float) -> tuple[Part, float]:
        plan, bracket = self.plan, self.bracket
        left_s = self._began_s + plan.budget_s - now_s
        is_doubtful = step.finding is Finding.LIKELY_MISSED or (
            step.finding is Finding.MISSED and step.is_generator_bound
        )
        if step.part is Part.RAISE and is_doubtful and step.load not in self._retested:
            self._retested.add(step.load)
            return Part.RAISE, step.load
        if bracket.high is None:
            assert bracket.low is not None
            if plan.highest is not None and bracket.low >= plan.highest:
                return Part.CONFIRM, bracket.low
            load = raised(plan, step, bracket.low, self.usual_s, at_half_s(self.steps, bracket.low))
            return Part.RAISE, min(load, plan.highest or math.inf)
        if bracket.low is None:
            lower = bracket.high / LOWER_FACTOR
            if lower * plan.step_max_s < MIN_REQUESTS or (plan.by_users and bracket.high <= 1):
                self._none_held(bracket.high)
            return Part.CLOSE, lower
        is_close = self._is_close(bracket)
        if not is_close and left_s > plan.confirm_s + plan.step_max_s + plan.settle_s:
            middle = math.sqrt(bracket.low * bracket.high)
            # What did not hold in the end is near the bound.
            return Part.CLOSE, max(
                middle, bracket.high / (1 + plan.precision)
            ) if bracket.high in self._not_held else middle
        if is_close and self._is_to_be_retested(bracket.high, left_s):
            self._retested.add(bracket.high)
            return Part.CLOSE, bracket.high
        return Part.CONFIRM, bracket.low

    def _is_close(self, bracket: Bracket) -> bool:
        if bracket.low is None or bracket.high is None:
            return False
        is_next = self.plan.by_users and bracket.high - bracket.low <= 1
        return is_next or bracket.high / bracket.low <= 1 + self.plan.precision + 1e-9

    def _is_to_be_retested(self, high: float, left_s: float) -> bool:
        """A miss that may be chance or the generator's own, or one of a few seconds, is looked at once more."""
        if high in self._retested or high in self._not_held:
            return False
        if left_s < self.plan.confirm_s + 2 * self.plan.step_max_s:
            return False
        evidence = self.levels[high]
        newest = next(step for step in reversed(self.steps) if step.load == high and step.finding is not None)
        return evidence.is_overloaded or newest.is_generator_bound or not evidence.finding().is_beyond_doubt

    def _drained(self, step: Step, look: Look) -> Order | None:
        """Wait until the server has got over what it got; then go on."""
        assert self._after_drain is not None
        state = self._drain.look(step, look)
        if state is State.WAIT:
            return self._ended_by_budget(step, look.now_s)
        step.end_s = look.now_s
        if state is State.LOWER:
            return self._order(Part.DRAIN, max(drain.FLOOR, step.load * drain.LOWER_FACTOR))
        if state is State.GIVEN_UP:
            waited_s = look.now_s - self._drain.since_s
            self.notes.append(f"after {waited_s:.0f} s the server had not recovered from what it got before")
        part, load = self._after_drain
        self._after_drain = None
        return self._order(part, load)

    # the end

    def _ended_by_budget(self, step: Step, now_s: float) -> Order | None:
        if now_s - self._began_s < self.plan.budget_s:
            return None
        step.end_s = now_s
        self._unsettled("its time was over")
        return None

    def _none_held(self, lowest: float) -> None:
        missed = [step for step in self.steps if step.finding is not None and not step.finding.is_met]
        if any(step.is_generator_bound for step in missed):
            self._unsettled(f"the load generator was the bottleneck, even at {lowest:,.4g}")
        else:
            self.outcome, self.why = Outcome.NONE_HELD, f"even at {lowest:,.4g} an objective was missed"

    def _unsettled(self, why: str) -> None:
        self.outcome, self.why = Outcome.UNSETTLED, why

    def _order(self, part: Part, load: float) -> Order:
        number = self.steps[-1].number + 1 if self.steps else 1
        load = round_load(load, by_users=self.plan.by_users)
        self._pending = Order(number, part, load, self.plan.settle_s)
        return self._pending


def round_load(load: float, *, by_users: bool = False) -> float:
    """Return the load with four digits, for people; users are whole."""
    if by_users:
        return float(max(1, round(load)))
    return round(load, 3 - math.floor(math.log10(load)))
