"""No key in a location is shown, and what is shown still says where."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from inference_swarm.config.redaction import locations_without_secrets, without_secrets


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("/data/x@y.parquet", "/data/x@y.parquet"),
        ("s3://KEY:SECRET@bucket/x", "s3://bucket/x"),
        ("s3://KEY:SEC/RET@bucket/x", "s3://bucket/x"),
        ("s3://KEY:S@C/R@bucket/x", "s3://bucket/x"),
        ("s3://bucket/x?access_key=K&secret_key=S", "s3://bucket/x"),
        ("s3://bucket/a@b/x", "s3://bucket/a@b/x"),
        ("hdfs://user@host:8020/a@b", "hdfs://host:8020/a@b"),
        ("http://host:8020/a@b", "http://host:8020/a@b"),
        ("gs://bucket", "gs://bucket"),
        ("file:///x/y.parquet", "file:///x/y.parquet"),
    ],
)
def test_a_location_is_shown_without_its_secrets(location: str, shown: str) -> None:
    assert without_secrets(location) == shown


def test_each_of_several_locations_is_shown_without_its_secrets() -> None:
    assert locations_without_secrets("s3://K:S@b/x,/local,gs://c/y?token=t") == "s3://b/x,/local,gs://c/y"


KEYS = st.text(st.sampled_from("ABCabc123/+="), min_size=8, max_size=20)


@settings(deadline=None)
@given(key=KEYS, secret=KEYS.map(lambda text: f"x{text}x"))
def test_no_key_pair_is_ever_shown(key: str, secret: str) -> None:
    for location in (f"s3://{key.replace('/', '')}:{secret}@bucket/in", f"s3://bucket/in?secret_key={secret}"):
        assert without_secrets(location) == "s3://bucket/in"
