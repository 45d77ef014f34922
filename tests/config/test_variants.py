from __future__ import annotations

from typing import Any

import pytest

from inference_swarm.config.option import Option
from inference_swarm.config.settings import Settings, resolve_settings
from inference_swarm.config.variants import hosts_of, model_words, parse_ab, variants_of
from inference_swarm.errors import ConfigError, SettingProblem, TargetError
from inference_swarm.run.ab import ab_problems
from inference_swarm.transport.allowed import check_hosts_allowed


def settings_with(**given: Any) -> Settings:
    def read(option: Option) -> object:
        return given.get(option.name)

    return resolve_settings(read, lambda option: option.flag)


def test_the_first_value_takes_the_place_of_the_setting_and_both_are_named() -> None:
    settings = settings_with(host="http://one", model="ignored", ab="model=xgboost, catboost")
    assert settings.model == "xgboost"
    assert [(one.name, one.settings.model, one.settings.ab) for one in variants_of(settings)] == [
        ("A model=xgboost", "xgboost", ""),
        ("B model=catboost", "catboost", ""),
    ]
    assert model_words(settings) == "xgboost-vs-catboost"
    assert variants_of(settings_with(host="http://one")) == ()


def test_two_hosts_need_no_other_one_and_both_must_be_allowed() -> None:
    settings = settings_with(ab="host=http://one:1/?key=secret,http://two:2")
    assert hosts_of(settings) == ("http://one:1/?key=secret", "http://two:2")
    assert settings.host == "http://one:1/?key=secret"
    assert settings.to_record()["ab"] == "host=http://one:1/,http://two:2"
    assert [one.name for one in variants_of(settings)] == ["A host=http://one:1/", "B host=http://two:2"]
    check_hosts_allowed(settings, "one; two", "here")
    with pytest.raises(TargetError, match="two"):
        check_hosts_allowed(settings, "one", "here")
    assert hosts_of(settings_with(host="http://three")) == ("http://three",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("xgboost,catboost", "SETTING=A,B with model, model-version, path, host"),
        ("users=1,2", "SETTING=A,B"),
        ("model=xgboost", "it has 1 values of model"),
        ("model=a,b,c", "it has 3 values of model"),
        ("host=one,two", "a host has no scheme"),
    ],
)
def test_what_is_no_pair_is_refused(text: str, words: str) -> None:
    with pytest.raises(SettingProblem, match=words):
        parse_ab(text)
    with pytest.raises(ConfigError, match="--ab is"):
        settings_with(host="http://one", ab=text)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"find_capacity": True}, "--find-capacity"),
        ({"row_order": "once"}, "sends each row twice"),
        ({"baseline": "before"}, "A is what B is compared with"),
        ({"max_regression": "rate:5%"}, "A and B get as many requests"),
    ],
)
def test_what_does_not_go_with_it_is_refused(given: dict[str, Any], words: str) -> None:
    values = settings_with(host="http://one", ab="path=/a,/b", **given).to_dict()
    (problem,) = ab_problems(values)
    assert words in str(problem)
    assert ab_problems({**values, "ab": ""}) == []
