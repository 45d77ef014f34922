"""The settings of connections reach the transport."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from inference_swarm.config.options import OPTIONS
from inference_swarm.config.settings import Settings
from inference_swarm.errors import SettingProblem
from inference_swarm.load.clients import make_client


def settings_with(**changes: Any) -> Settings:
    return Settings(**{option.name: option.default for option in OPTIONS} | {"host": "http://model:80"} | changes)


def test_every_setting_of_a_connection_is_a_rule_of_the_client() -> None:
    rules = make_client(
        settings_with(
            connect_timeout_s=1.5,
            request_timeout_s=2.5,
            connection_lifetime_s=30.0,
            source_address="127.0.0.2, ::1,127.0.0.2",
            expect_status="200",
            check_answer=True,
        )
    ).rules
    assert (rules.deadlines.connect_s, rules.deadlines.send_s, rules.deadlines.request_s) == (1.5, 2.5, 2.5)
    assert (rules.connection_lifetime_s, rules.expected_status) == (30.0, {200})
    assert rules.source_addresses == ("127.0.0.2", "::1")  # each once
    assert rules.response_check is not None
    assert rules.response_check(b'{"predictions":[0,1]}', 1) == "2 predictions for 1 rows"


def test_connections_are_kept_unless_a_lifetime_is_set_which_a_look_up_outlives_neither() -> None:
    assert make_client(settings_with()).rules.connection_lifetime_s is None
    assert make_client(settings_with()).dialer.resolver._ttl_s == 30
    assert make_client(settings_with(connection_lifetime_s=5.0)).dialer.resolver._ttl_s == 5
    assert make_client(settings_with(connection_lifetime_s=500.0)).dialer.resolver._ttl_s == 30


@pytest.mark.parametrize("flag", ["ca_file", "client_cert", "client_key"])
def test_files_that_are_not_there_are_named_with_their_setting(flag: str, tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.pem")
    with pytest.raises(SettingProblem, match=r"missing\.pem"):
        make_client(settings_with(host="https://model", **{flag: missing}))
