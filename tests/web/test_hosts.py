"""Which `Host` headers the web UI answers to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_swarm.web.hosts import allowed_hosts, host_name, search_domains_of

DOMAINS = ("load-tests.svc.cluster.local", "svc.cluster.local", "cluster.local")
HOSTS = allowed_hosts(["swarm-master", "*.swarm.example", " Ünit.Example. "], ["Pod-7", "127.0.0.1"], DOMAINS)


@pytest.mark.parametrize(
    "header",
    [
        "localhost", "LOCALHOST:8089", "localhost.", "app.localhost:80",
        "127.0.0.1", "127.0.0.1:8089", "[::1]", "[::1]:8089", "192.0.2.7:8089", "[2001:db8::7]:80",
        "pod-7", "POD-7:8089", "pod-7.load-tests.svc.cluster.local",
        "swarm-master:8089", "swarm-master.load-tests", "swarm-master.load-tests.svc",
        "swarm-master.load-tests.svc.cluster.local.:8089",
        "ui.swarm.example", "a.b.swarm.example:443", "xn--nit-goa.example",
    ],
)  # fmt: skip
def test_addresses_loopback_own_names_and_given_ones_are_answered(header: str) -> None:
    assert HOSTS.allow(header) is True


@pytest.mark.parametrize(
    "header",
    [
        "evil.example", "evil.example:8089", "localhost.evil.example", "127.0.0.1.evil.example",
        "127.0.0.1@evil.example", "ünit.example",
        "evil.example/localhost", "evil.example#localhost", "swarm.example", "evilswarm.example", "swarm-master.evil",
        "pod-7.evil.example", "xlocalhost", "", " ", "localhost, evil.example", "evil.example,localhost", "[::1", "::1",
        "localhost:80:80", "localhost:port", "[evil.example]:80", "127.1.evil", "*", "*.swarm.example.evil",
    ],
)  # fmt: skip
def test_every_other_name_is_refused(header: str) -> None:
    assert HOSTS.allow(header) is False


def test_a_star_alone_answers_to_every_name_but_to_nothing_that_is_no_name() -> None:
    hosts = allowed_hosts(["*"], [])
    assert hosts.allow("evil.example:8089") is True
    assert hosts.allow("evil.example/x") is False


@given(st.from_regex(r"[a-z0-9-]{1,20}(\.[a-z0-9-]{1,20}){0,3}", fullmatch=True))
def test_a_name_below_another_is_not_the_other(name: str) -> None:
    hosts = allowed_hosts([name], [], DOMAINS)
    assert hosts.allow(name) is True
    assert hosts.allow(f"{name}.evil.example") is False
    assert hosts.allow(f"evil{name}x.example") is False


@given(st.text(max_size=40))
def test_no_text_is_too_odd(header: str) -> None:
    name = host_name(header)
    assert name is None or not set(name) & set(" /@?#,%\\")
    allowed_hosts([header], [header], [header]).allow(header)


def test_the_last_search_line_of_the_resolver_counts() -> None:
    text = "nameserver 10.0.0.1\nsearch a.example\n# search c\nsearch load.svc.cluster.local svc.cluster.local\n"
    assert search_domains_of(text) == ["load.svc.cluster.local", "svc.cluster.local"]
    assert search_domains_of("nameserver 10.0.0.1\n") == []
