"""A search for a capacity, against servers in virtual time whose capacity is known."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from inference_swarm.errors import SettingProblem
from inference_swarm.judge.capacity.binomial import chance_of_at_least, chance_of_at_most, share_interval
from inference_swarm.judge.capacity.evidence import Batch, Evidence, Finding, design_effect
from inference_swarm.judge.capacity.levels import Bracket, bracket_of, isotonic
from inference_swarm.judge.capacity.plan import SearchPlan, criterion_of
from inference_swarm.judge.capacity.raising import halving, raised
from inference_swarm.judge.capacity.scalability import fit_scalability, throughput_at
from inference_swarm.judge.capacity.search import Outcome, Search, round_load
from inference_swarm.judge.capacity.steps import Look, Part, Step
from inference_swarm.judge.objectives import parse_objective
from tests.simulated_servers import Flags, Floats, OneQueue, Server, World, exponential, models

MM1 = 500 - math.log(100) / 0.05


def plan_of(*objectives: str, **others: float) -> SearchPlan:
    criteria = tuple(criterion_of(parse_objective(text)) for text in objectives)
    return SearchPlan(criteria, **{"confirm_s": 20.0, "step_max_s": 20.0, **others})  # type: ignore[arg-type]


def found(make: Callable[[np.random.Generator], Server], seed: int, plan: SearchPlan) -> tuple[Search, World]:
    rng = np.random.default_rng(seed)
    world = World(make(rng), rng, plan)
    return world.run(Search(plan)), world


# statistics: values of scipy 1.17 (stats.binom, stats.beta)


def test_tails_and_intervals_of_a_share_are_exact() -> None:
    assert chance_of_at_least(3, 100, 0.01) == pytest.approx(0.0793732022521807, rel=1e-9)
    assert chance_of_at_most(3, 100, 0.01) == pytest.approx(0.9816259635553509, rel=1e-9)
    assert share_interval(5, 100) == pytest.approx((0.0164318791820516, 0.1128349110546207), rel=1e-6)
    assert share_interval(0, 298, 0.9) == pytest.approx((0.0, 0.0100024324378577), rel=1e-6)
    assert share_interval(0, 0) == (0.0, 1.0)


def test_298_requests_without_a_slow_one_are_beyond_doubt_only_if_they_are_independent() -> None:
    evidence = Evidence((0.01,), [Batch(150, (0,)) for _ in range(4)])
    assert evidence.finding() is Finding.LIKELY_MET  # 600 requests, taken for 75 independent ones
    evidence.batches += [Batch(1500, (0,)) for _ in range(4)]
    assert evidence.finding() is Finding.MET


def test_slow_requests_that_come_together_are_worth_fewer_samples() -> None:
    spread = [(500, 5)] * 40
    together = [(500, 200 if number == 20 else 0) for number in range(40)]
    assert design_effect(spread) < 2
    assert design_effect(together) > 50


def test_more_load_is_never_better_so_neighbours_speak_for_each_other() -> None:
    assert isotonic([(0.0, 1), (0.02, 1), (0.01, 1), (0.3, 1)]) == [0.0, 0.015, 0.015, 0.3]
    levels = {
        300.0: Evidence((0.01,), [Batch(1000, (0,))] * 10),
        380.0: Evidence((0.01,), [Batch(1000, (12,))] * 10),
        390.0: Evidence((0.01,), [Batch(1000, (4,))] * 20),
        450.0: Evidence((0.01,), [Batch(1000, (300,))] * 10),
    }
    assert bracket_of(levels) == Bracket(390.0, 450.0)
    assert bracket_of(levels, frozenset({380.0})) == Bracket(300.0, 380.0)


# a step


def test_a_queue_that_grows_is_known_within_seconds_and_a_pause_is_not_taken_for_one() -> None:
    def step(*in_flight: int) -> Step:
        return Step(1, Part.CLOSE, 400.0, 0.0, 1.0, Evidence((0.01,)), in_flight=list(in_flight))

    assert step(50, 250, 450).is_growing(0.05)
    assert not step(5, 400, 6).is_growing(0.05)
    assert not step(30, 35, 41).is_growing(0.05)  # 400/s × 50 ms = 20 in flight at the bound, and a few more by chance


def test_requests_that_never_end_are_beyond_the_bound() -> None:
    search = Search(plan_of("p99<50ms", start=400.0))
    search.begin()
    search.begun(0.0)
    orders = [search.look(Look(1, float(second), 0, (0,), 400)) for second in range(1, 30)]
    assert search.steps[0].finding is Finding.MISSED
    assert any(order is not None and order.part is Part.DRAIN for order in orders)


def test_objectives_that_are_no_share_are_refused() -> None:
    for text in ("mean<50ms", "rate>=1000", "goodput[<50ms]>=100", "p99>50ms"):
        with pytest.raises(SettingProblem, match="cannot be searched for"):
            criterion_of(parse_objective(text))


def test_the_load_is_raised_carefully_where_requests_take_longer_than_at_low_loads() -> None:
    def factor(mean_s: float, beyond: int = 0, half_s: float = 0.0) -> float:
        step = Step(1, Part.RAISE, 100.0, 0.0, 1.0, (0.01,))
        for second in range(1, 5):
            step.take(Look(1, 1.0 + second, 100, (beyond,), 1, mean_s))
        step.finding = step.evidence.finding()
        return raised(plan_of("p99<50ms"), step, 100.0, 0.002, half_s) / 100.0

    assert [factor(mean_s) for mean_s in (0.002, 0.0029, 0.0031, 0.0059, 0.0061)] == pytest.approx(
        [3.0, 3.0, halving(1.5, 0.05), halving(1.5, 0.05), halving(1.22, 0.05)]
    )
    assert factor(0.002, beyond=1) == pytest.approx(halving(1.5, 0.05))
    assert [factor(0.0061, half_s=half_s) for half_s in (0.005, 0.0052)] == pytest.approx([halving(1.22, 0.05), 3.0])


def test_requests_that_take_longer_from_a_low_load_on_do_not_make_a_search_long() -> None:
    class Batches:
        """Requests take 1 ms up to 25 a second, 4 ms from there on, up to 2,000 a second."""

        free_s = 0.0

        def serve(self, arrivals_s: Floats) -> tuple[Floats, Flags]:
            done = np.empty(len(arrivals_s))
            for place, at_s in enumerate(arrivals_s.tolist()):
                self.free_s = max(at_s, self.free_s) + 1 / 2000
                done[place] = self.free_s + (0.001 if len(arrivals_s) <= 25 else 0.004)
            return done, np.ones(len(arrivals_s), dtype=bool)

    search, _ = found(lambda rng: Batches(), 1, plan_of("p99<50ms"))
    assert search.answer is not None
    assert search.answer.load == pytest.approx(2000, rel=0.05)
    assert sum(step.part is Part.RAISE for step in search.steps) <= 16


@pytest.mark.parametrize("precision", [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5])
def test_halvings_of_what_the_load_was_raised_by_end_just_within_the_precision(precision: float) -> None:
    left = halving(1.5, precision)
    while left > 1 + precision:
        left = math.sqrt(left)
    assert 1 + precision / 2 < left <= 1 + precision


def test_loads_have_four_digits() -> None:
    assert [round_load(load) for load in (1234.567, 0.123456, 98765.4)] == [1235.0, 0.1235, 98770.0]
    assert round_load(3.4, by_users=True) == 3.0


# whole searches


@pytest.mark.parametrize(
    ("name", "objective", "capacity"),
    [
        ("mm1", "p99<50ms", MM1),
        ("md1", "p99<20ms", 385.2),  # of 3,000 s at each of nine loads, as the others below
        ("mm4", "p99<50ms", 382.2),
        ("limit", "error_rate<1%", 294.3),
        ("cliff", "p99<50ms", 407.6),
        ("noisy", "p99<50ms", 399.8),
    ],
)
def test_the_capacity_is_found_within_7_percent_in_nine_of_ten_searches(
    name: str, objective: str, capacity: float
) -> None:
    plan = plan_of(objective)
    searches = [found(lambda rng: models(rng)[name](), seed, plan) for seed in range(30)]
    loads = [search.answer.load / capacity if search.answer else 0.0 for search, _ in searches]
    assert sum(abs(load - 1) <= 0.07 for load in loads) >= 27
    assert np.mean(loads) == pytest.approx(1, abs=0.03)
    assert np.percentile([world.now_s for _, world in searches], 90) < 330


def test_several_objectives_are_met_together() -> None:
    search, _ = found(lambda rng: OneQueue(exponential(rng, 0.002)), 1, plan_of("p99<50ms", "p50<2ms"))
    assert search.answer is not None
    assert search.answer.load == pytest.approx(500 - math.log(2) / 0.002, rel=0.1)  # 153/s: p50 is the stricter one


def test_what_no_load_meets_is_said() -> None:
    search, _ = found(lambda rng: OneQueue(exponential(rng, 0.2)), 1, plan_of("p99<50ms"))
    assert search.outcome is Outcome.NONE_HELD
    assert search.answer is None


def test_what_a_bound_generator_cannot_show_is_not_held_against_the_server() -> None:
    search = Search(plan_of("p99<50ms"))
    order, now_s = search.begin(), 0.0
    while search.outcome is None:
        search.begun(now_s)
        step, following = order, None
        while following is None and search.outcome is None:
            now_s += 1.0
            following = search.look(Look(step.step, now_s, 30, (20,), 0, 0.1, is_generator_bound=True))
        order = following or order
    assert search.outcome is Outcome.UNSETTLED
    assert search.why.startswith("the load generator was the bottleneck, even at ")


def test_a_budget_that_is_over_says_what_is_not_settled() -> None:
    search, world = found(lambda rng: OneQueue(exponential(rng, 0.002)), 1, plan_of("p99<50ms", budget_s=30.0))
    assert search.outcome is Outcome.UNSETTLED
    assert world.now_s < 60
    assert search.why


def test_a_search_goes_on_when_a_worker_is_gone_and_begins_its_step_again() -> None:
    search = Search(plan_of("p99<50ms"))
    search.begin()
    search.begun(0.0)
    order = search.disturbed(2.0, "worker b is gone")
    assert order is not None
    assert (order.step, order.load) == (2, 10.0)
    assert search.steps[0].is_discarded
    assert search.notes == ["worker b is gone: the step at 10 was begun again"]
    assert not search.levels


def test_a_miss_that_was_the_generators_own_is_looked_at_once_more() -> None:
    search = Search(plan_of("p99<50ms", start=100.0))
    search.begin()
    search.begun(0.0)
    orders = [search.look(Look(1, 1.0 + second, 100, (60,), 3, 0.1, is_generator_bound=True)) for second in range(1, 9)]
    search.begun(10.0)
    calm = [search.look(Look(2, 10.0 + second, 5, (0,), 0, 0.002)) for second in range(1, 9)]
    order = next(order for order in (*orders, *calm) if order is not None and order.part is Part.RAISE)
    assert order.load == 100.0


def test_stalls_of_the_load_generator_are_not_held_against_the_server() -> None:
    def within(**stalls: object) -> int:
        count = 0
        for seed in range(12):
            rng, plan = np.random.default_rng(seed), plan_of("p99<50ms")
            world = World(OneQueue(exponential(rng, 0.002)), rng, plan, stalls_per_s=0.05, **stalls)  # type: ignore[arg-type]
            answer = world.run(Search(plan)).answer
            count += answer is not None and abs(answer.load / MM1 - 1) <= 0.07
        return count

    assert within() >= 9
    assert within(is_stall_known=False) <= 6


def test_more_than_a_fifth_of_a_step_is_not_left_out() -> None:
    step = Step(1, Part.CLOSE, 100.0, 0.0, 1.0, (0.01,))
    for second in range(2, 12):
        is_late = second in (3, 7)
        step.take(Look(1, float(second), 100, (50 * is_late,), is_generator_bound=is_late, is_late=is_late))
    assert (step.left_out_s, step.evidence.asked) == (2.0, 800)
    assert step.judged_s(11.0) == 8.0
    assert step.evidence.shares()[0].measured == 0
    step.take(Look(1, 12.0, 100, (50,), is_generator_bound=True, is_late=True))
    assert (step.left_out_s, step.evidence.asked) == (0.0, 1100)
    assert not step.is_generator_bound


# by users


def test_the_scalability_law_is_found_again_with_its_uncertainty() -> None:
    def throughput(users: float) -> float:
        return 100 * users / (1 + 0.05 * (users - 1) + 0.001 * users * (users - 1))

    exact = fit_scalability([(users, throughput(users)) for users in (1, 2, 4, 8, 16, 32, 64)])
    assert exact is not None
    assert exact.one_user_rps.value == pytest.approx(100)
    assert (exact.contention.value, exact.coherency.value) == pytest.approx((0.05, 0.001))
    assert exact.peak_users is not None
    assert exact.peak_users.value == pytest.approx(math.sqrt(0.95 / 0.001))
    assert exact.peak_rps == pytest.approx(throughput(30.82), rel=1e-3)
    assert throughput_at(exact, 16) == pytest.approx(throughput(16))
    rng = np.random.default_rng(1)
    outside = 0
    for _ in range(200):
        noisy = [(users, throughput(users) * rng.normal(1, 0.03)) for users in (1, 2, 4, 8, 16, 32, 64)]
        fit = fit_scalability(noisy)
        assert fit is not None
        outside += abs(fit.contention.value - 0.05) > 2.8 * max(fit.contention.error, 1e-9)  # t with 4 degrees, 95 %
    assert outside < 30


def test_throughput_that_only_grows_has_no_peak_and_few_points_no_fit() -> None:
    straight = fit_scalability([(users, 50.0 * users) for users in (1, 2, 4, 8)])
    assert straight is not None
    assert straight.peak_users is None
    assert straight.contention.value == pytest.approx(0, abs=1e-9)
    assert fit_scalability([(1, 50.0), (2, 90.0), (4, 150.0)]) is None


def test_by_users_the_answer_is_a_whole_number_next_to_one_that_is_missed() -> None:
    """A closed load on four servers of 10 ms: with n users each request takes n/4 × 10 ms."""
    plan = plan_of("p50<50ms", by_users=True, start=1.0, highest=100.0)
    search = Search(plan)
    order, now_s = search.begin(), 0.0
    while search.outcome is None and now_s < 2000:
        search.begun(now_s)
        load, step, following = order.load, order.step, None
        while following is None and search.outcome is None:
            now_s += 1.0
            took_s = 0.01 * max(1.0, load / 4)
            asked = round(load / took_s)
            beyond = asked if took_s >= 0.05 else 0
            following = search.look(Look(step, now_s, asked, (beyond,), round(load), took_s))
        order = following or order
    assert search.outcome is Outcome.FOUND
    assert search.answer is not None
    assert search.answer.load == 19
    assert [step.load for step in search.steps if step.part is Part.RAISE] == [1, 2, 4, 8, 16, 32]
