"""Which servers may be tested: names as names, addresses as addresses, networks as networks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_swarm.errors import SettingProblem, TargetError
from inference_swarm.transport.allowed import check_allowed, parse_patterns


def is_allowed(url: str, patterns: str) -> bool:
    try:
        check_allowed(url, patterns, "the master")
    except TargetError:
        return False
    return True


@pytest.mark.parametrize(
    ("patterns", "url", "expected"),
    [
        ("", "http://anything:1", True),
        ("  ; ", "http://anything:1", True),
        ("*", "http://anything:1", True),
        ("*", "http://10.0.0.7", True),
        ("*:8000", "http://[::1]:8000", True),
        ("*:8000", "http://[::1]:8001", False),
        # names
        ("model.example", "http://model.example", True),
        ("Model.Example.", "http://MODEL.example:99", True),
        ("model.example", "http://model.example.", True),
        ("model.example", "http://model.example.evil.example", False),
        ("model.example", "http://xmodel.example", False),
        ("model.example", "http://modelxexample", False),
        ("*.test.example", "http://a.b.test.example", True),
        ("*.test.example", "http://test.example", False),
        ("*.test.example", "http://evil-test.example", False),
        ("model-?", "http://model-7", True),
        ("model-?", "http://model-77", False),
        ("bücher.example", "http://xn--bcher-kva.example", True),
        ("xn--bcher-kva.example", "http://bücher.example", True),
        # ports
        ("model:8000", "http://model:8000", True),
        ("model:8000", "http://model:8001", False),
        ("model:80", "http://model", True),
        ("model:443", "https://model", True),
        ("model:80", "https://model", False),
        ("model:*", "https://model", True),
        # addresses
        ("127.0.0.1:8000", "http://127.0.0.1:8000", True),
        ("127.0.0.1", "http://127.0.0.1:8000", True),
        ("127.0.0.1", "http://127.0.0.10", False),
        ("127.0.0.1", "http://[::ffff:127.0.0.1]", True),
        ("::ffff:127.0.0.1", "http://127.0.0.1", True),
        ("[::1]:8000", "http://[::1]:8000", True),
        ("[::1]:8000", "http://[0:0:0:0:0:0:0:1]:8000", True),
        ("[::1]:8000", "http://[::1]:8001", False),
        ("[::1]:8000", "http://1:8000", False),
        ("[::1]:8000", "http://[::2]:8000", False),
        ("::1", "http://[::1]:5", True),
        ("FD00::7", "http://[fd00:0::7]", True),
        ("fe80::1", "http://[fe80::1%25eth0]", True),
        # networks
        ("10.0.0.*", "http://10.0.0.5", True),
        ("10.0.0.*", "http://10.0.0.5.evil.example", False),
        ("10.0.0.*", "http://10.0.1.5", False),
        ("10.*", "http://10.200.1.5:99", True),
        ("10.*.*.*", "http://10.200.1.5", True),
        ("10.*:80", "http://10.200.1.5:81", False),
        ("10.0.0.0/8", "http://10.9.9.9", True),
        ("10.0.0.0/8", "http://11.0.0.1", False),
        ("10.0.0.0/8:8000", "http://10.0.0.1:8000", True),
        ("10.0.0.0/8:8000", "http://10.0.0.1:8001", False),
        ("fd00::/8", "http://[fd12::1]", True),
        ("[fd00::/8]:8000", "http://[fd12::1]:8000", True),
        ("[fd00::]/8:8000", "http://[fd12::1]:8001", False),
        ("10.0.0.0/8", "http://[::ffff:10.1.2.3]", True),
        # a name is not an address, whatever it looks like
        ("10.0.0.0/8", "http://10.example", False),
        ("10.*", "http://10.example", False),
        ("127.0.0.1", "http://localhost", False),
        ("localhost", "http://127.0.0.1", False),
        ("127.0.0.1", "http://2130706433", False),
        ("*.1", "http://10.0.0.1", False),
        # several
        ("a.example; 10.0.0.0/8 ;[::1]", "http://[::1]", True),
        ("a.example; 10.0.0.0/8 ;[::1]", "http://b.example", False),
    ],
)
def test_what_a_pattern_allows(patterns: str, url: str, expected: bool) -> None:
    if patterns == "*.1":
        with pytest.raises(SettingProblem):
            parse_patterns(patterns)
        return
    assert is_allowed(url, patterns) is expected


@pytest.mark.parametrize(
    "pattern",
    [
        *("[a-z]", "[::1", "[10.0.0.1]:80", "10.0.0.256", "10.0.0.1/8", "10.0.0.0/33", "1.2.3", "10.*.0.1", "*.*"),
        *(
            "a b",
            "http://model",
            "model/x",
            "model:0",
            "model:99999",
            "model:x",
            ":80",
            "a..b",
            "-a",
            "[::1]x",
            "::1::",
        ),
    ],
)
def test_what_is_no_pattern_is_refused_with_what_would_be_one(pattern: str) -> None:
    with pytest.raises(SettingProblem) as raised:
        parse_patterns(f"fine.example; {pattern}")
    assert repr(pattern) in raised.value.found
    assert raised.value.expected
    assert "--allow-host" in raised.value.action


def test_a_refusal_says_who_refuses_what_and_what_to_do() -> None:
    with pytest.raises(TargetError) as raised:
        check_allowed("http://[fd00::1]:81/x", "a.example; 10.0.0.0/8", "worker w1")
    assert raised.value.found == (
        "[fd00::1]:81 may not be tested: worker w1 allows only a.example, 10.0.0.0/8 (--allow-host)"
    )
    assert "SWARM_ALLOW_HOST" in raised.value.action


@given(st.ip_addresses())
def test_an_address_allows_itself_and_no_other(address: object) -> None:
    text = f"[{address}]" if ":" in str(address) else str(address)
    assert is_allowed(f"http://{text}:8000", text)
    assert is_allowed(f"http://{text}:8000", f"{text}:8000")
    assert not is_allowed(f"http://{text}.evil.example", text) if "[" not in text else True


@given(st.text("ab.*?[]!-1", min_size=1, max_size=8), st.text("ab.-1", min_size=1, max_size=8))
def test_patterns_of_names_mean_the_same_as_a_plain_search_for_their_parts(pattern: str, name: str) -> None:
    try:
        parsed = parse_patterns(pattern)
    except SettingProblem:
        return

    def fits(rest: str, text: str) -> bool:
        if not rest:
            return not text
        if rest[0] == "*":
            return fits(rest[1:], text) or (bool(text) and fits(rest, text[1:]))
        return bool(text) and rest[0] in ("?", text[0]) and fits(rest[1:], text[1:])

    if parsed and parsed[0].name is not None:
        plain = pattern.strip().lower().removesuffix(".")
        assert parsed[0].allows(name, 80) == fits(plain, name.removesuffix("."))
