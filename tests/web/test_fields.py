"""What the web UI may set, and what is refused in words."""

from __future__ import annotations

import pytest

from inference_swarm.config.options import BY_NAME, OPTIONS
from inference_swarm.web.fields import allowed_fields, refused_fields, user_class_problems

NEVER = (
    "data", "labels", "results_dir", "ca_file", "swarm_keys", "run_name", "headers", "insecure", "allow_host",
    "web_host_names", "log_level", "stop_timeout_s", "master_timeout_s", "template", "predictions", "api_params",
    "record_answers", "expect_answers", "answer_tolerance",
)  # fmt: skip


def words(*names: str, others: tuple[str, ...] = ()) -> list[str]:
    return [str(problem) for problem in refused_fields(names, allowed_fields(others))]


def test_what_locusts_page_and_our_fields_send_is_taken() -> None:
    sent = (
        "user_count", "spawn_rate", "host", "run_time", "profile", "duration_s",
        "dataset_name", "wait_min", "wait_min_s", "rate", "slo", "stages", "row_memory", "check_answer",
    )  # fmt: skip
    assert words(*sent) == []


def test_classes_of_users_are_chosen_only_where_locust_offers_them() -> None:
    names = ["shape_class", "user_classes"]
    assert [problem.found for problem in refused_fields(names, allowed_fields())] == [
        "'shape_class' is not a field of the start form", "'user_classes' is not a field of the start form",
    ]  # fmt: skip
    assert refused_fields(names, allowed_fields(has_class_picker=True)) == []


@pytest.mark.parametrize("name", NEVER)
def test_settings_of_files_checks_and_the_process_are_refused_under_all_their_names(name: str) -> None:
    option = BY_NAME[name]
    for sent in {option.name, option.dest, option.flag.lstrip("-"), option.flag.lstrip("-").replace("-", "_")}:
        (said,) = words(sent)
        assert said.startswith(f"{option.flag} cannot be set in the web UI")
        assert "config.json" in said


def test_a_setting_is_in_the_form_or_refused() -> None:
    taken = {option.name for option in OPTIONS if not words(option.name)}
    assert taken == {
        "host", "users", "spawn_rate", "duration_s", "dataset_name", "model", "pred_method", "wait_min_s", "wait_max_s",
        "arrival", "scenario", "speed", "loop", "burstiness", "rate_rps", "stages", "requests", "slo", "row_order",
        "batch_size", "seed",
        "row_memory_bytes", "body_format", "expect_status", "check_answer", "no_probe", "wait_ready_s", "warm_up",
        "abort_when", "find_capacity", "capacity_by", "precision", "confirm_s", "budget_s", "api", "path",
        "model_version", "ab", "answer_sample",
    }  # fmt: skip


@pytest.mark.parametrize(
    "name", ["csv_prefix", "html_file", "web_login", "tls_key", "processes", "__class__", "num_users"]
)
def test_options_of_locust_that_no_form_shows_are_refused(name: str) -> None:
    (said,) = words(name)
    assert name in said or said.startswith("--users cannot be set")


def test_an_option_of_ones_own_locustfile_is_taken_unless_it_has_the_name_of_ours() -> None:
    assert words("tenant", others=("tenant",)) == []
    assert len(words("results_dir", others=("results_dir",))) == 1


def test_a_mistyped_field_is_told_the_nearest() -> None:
    (said,) = words("datset_name")
    assert "use 'dataset_name' if that was meant" in said


def test_a_value_is_never_repeated() -> None:
    (problem,) = refused_fields({"headers": "Authorization: Bearer secret"}, allowed_fields())
    assert "secret" not in str(problem)


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ({"user_class_name": "A", "weight": 1, "fixed_count": 0, "tasks": ["t"], "host": ""}, []),
        ({"user_class_name": "A", "assignment": "x"}, ["'assignment' is not a field of the start form"]),
        ({"weight": "1"}, ["weight is '1'"]),
        ({"fixed_count": True}, ["fixed_count is 'True'"]),
        ({"tasks": "all"}, ["tasks is not a list of names"]),
    ],
)  # fmt: skip
def test_the_dialog_of_user_classes_sets_what_it_shows_and_nothing_else(
    sent: dict[str, object], said: list[str]
) -> None:
    assert [problem.found for problem in user_class_problems(sent)] == said
