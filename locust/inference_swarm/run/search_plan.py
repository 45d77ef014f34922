"""Settings of a search for a capacity: what it is, and the load it begins with. What cannot be searched is refused."""

from __future__ import annotations

import math
from dataclasses import replace

from inference_swarm.config.documents import ReadSettingValues
from inference_swarm.config.settings import Settings
from inference_swarm.config.value_types import MAX_RATE
from inference_swarm.errors import SettingProblem
from inference_swarm.judge.capacity.plan import SearchPlan, criterion_of
from inference_swarm.judge.objectives import parse_objective, parse_objectives, split_objectives
from inference_swarm.load.steps import NS_PER_S, LoadStep

START_RPS = 10.0
MAX_SENDERS = 5000
HIGHEST_USERS = 1000
# Senders beside those that Little's law asks for at the bound, and how many of those.
SPARE_SENDERS = 32
SENDER_FACTOR = 1.5
MANY_SENDERS = 1000
USUAL_FACTOR = 20
# An arrival that has waited for a sender this many times the bound cannot meet it any more.
DROP_FACTOR = 4.0
MIN_DROP_S = 1.0
MIN_PRECISION = 0.001


def search_problems(values: ReadSettingValues) -> list[SettingProblem]:
    """Return what stands against a search; nothing when none is asked for."""
    if not values["find_capacity"]:
        return []
    problems = []
    asked = "--scenario server" if values["scenario"] else "--find-capacity"
    objectives, _ = parse_objectives(split_objectives(values["slo"]))
    if not split_objectives(values["slo"]):
        problems.append(
            SettingProblem(
                f"{asked} has no objective",
                expected="the objectives that the server must meet",
                action='add --slo "p99<50ms", say',
            )
        )
    for objective in objectives:
        try:
            criterion_of(objective)
        except SettingProblem as problem:
            problems.append(problem)
    for name, flag, why in (
        ("stages", "--stages", "the search decides the load"),
        ("warm_up", "--warm-up", "each step settles before it is judged"),
    ):
        if values[name]:
            problems.append(
                SettingProblem(f"{flag} is given and so is --find-capacity", expected=f"one of them: {why}")
            )
    if values["row_order"] == "once":
        problems.append(
            SettingProblem("--row-order is once and --find-capacity is given", expected="an order without an end")
        )
    return problems + _load_problems(values)


def _load_problems(values: ReadSettingValues) -> list[SettingProblem]:
    by_users = values["capacity_by"] == "users"
    problems = []
    if by_users and (values["arrival"] != "closed" or values["rate_rps"]):
        problems.append(
            SettingProblem(
                "--capacity-by is users and an open load is asked for", expected="neither --arrival nor --rate"
            )
        )
    if values["budget_s"] <= values["confirm_s"]:
        problems.append(
            SettingProblem(
                f"--budget is {values['budget_s']:g} s and --confirm {values['confirm_s']:g} s",
                expected="a budget that holds the confirmation and the steps before it",
            )
        )
    if values["precision"] < MIN_PRECISION:
        problems.append(
            SettingProblem(
                f"--precision is {values['precision']:.2g}",
                expected=f"at least {MIN_PRECISION:g} ({MIN_PRECISION:.1%}): a load has four digits",
            )
        )
    return problems


def resolve_search(settings: Settings) -> Settings:
    """Return the settings of a search with the load it begins with; others as they are."""
    if not settings.find_capacity:
        return settings
    plan = search_plan_of(settings)
    assert plan is not None
    if plan.by_users:
        return replace(settings, duration_s=None, users=first_users(plan, settings), wait_min_s=0.0, wait_max_s=0.0)
    return replace(
        settings,
        arrival="poisson" if settings.arrival == "closed" else settings.arrival,
        rate_rps=plan.start,
        duration_s=None,
        users=senders_for(plan, settings, plan.start),
        drop_after_s=min(settings.drop_after_s, max(MIN_DROP_S, DROP_FACTOR * plan.bound_s)),
    )


def search_plan_of(settings: Settings) -> SearchPlan | None:
    """Return the search; None when none is asked for."""
    if not settings.find_capacity:
        return None
    by_users = settings.capacity_by == "users"
    return SearchPlan(
        criteria=tuple(criterion_of(parse_objective(text)) for text in split_objectives(settings.slo)),
        start=1.0 if by_users else settings.rate_rps or START_RPS,
        precision=settings.precision,
        confirm_s=settings.confirm_s,
        step_max_s=settings.step_max_s,
        budget_s=settings.budget_s,
        by_users=by_users,
        highest=float(settings.max_in_flight or HIGHEST_USERS) if by_users else float(MAX_RATE),
    )


def first_step_of(settings: Settings) -> LoadStep | None:
    """Return the first step of a search."""
    plan = search_plan_of(settings)
    if plan is None:
        return None
    return LoadStep(0, round(plan.settle_s * NS_PER_S), 0.0 if plan.by_users else plan.start)


def first_users(plan: SearchPlan, settings: Settings) -> int:
    """Return how many users the search begins with."""
    return round(plan.start) if plan.by_users else senders_for(plan, settings, plan.start)


def max_senders(settings: Settings) -> int:
    """Return how many requests may be in flight at once."""
    return settings.max_in_flight or MAX_SENDERS


def senders_for(plan: SearchPlan, settings: Settings, rate_rps: float, usual_s: float | None = None) -> int:
    """Return the senders for a rate: by Little's law, requests that take as long as the bound, and some to spare.

    `usual_s`: how long requests take at loads that were met; where the bound is far above, many senders would idle.
    """
    wanted = math.ceil(rate_rps * plan.bound_s * SENDER_FACTOR) + SPARE_SENDERS
    if wanted > MANY_SENDERS and usual_s:
        wanted = min(wanted, max(MANY_SENDERS, math.ceil(rate_rps * usual_s * USUAL_FACTOR) + SPARE_SENDERS))
    return min(max_senders(settings), wanted)
