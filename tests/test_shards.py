"""Which share of a prediction a command has."""

from __future__ import annotations

from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiclin.errors import ConfigError
from multiclin.shards import Shard


def test_a_shard_is_named_by_number_and_count() -> None:
    assert Shard.parse("2/8") == Shard(2, 8)
    assert Shard.parse(None) == Shard.parse("0/1") == Shard()
    assert (str(Shard(2, 8)), Shard(2, 8).name) == ("2/8", "2of8")


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ("8/8", "shard=8/8 is none of 8: they are counted from 0, shard=0/8 to 7/8"),
        ("0/0", "shard=0/0 is none of 0: they are counted from 0, shard=0/1 is all of it"),
        ("a", "shard=a: say which of how many, from 0: shard=0/8 to 7/8"),
        ("-1/8", "shard=-1/8: say which of how many"),
        ("1", "shard=1: say which of how many"),
        ("1/2/3", "shard=1/2/3: say which of how many"),
    ],
)
def test_what_is_no_shard_is_refused(said: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Shard.parse(said)
    assert str(caught.value).startswith(says)


@given(portions=st.integers(0, 40), of=st.integers(1, 9), done=st.sets(st.integers(0, 40)))
def test_every_portion_is_left_to_one_shard(portions: int, of: int, done: set[int]) -> None:
    shares = [Shard(number, of).left(portions, done) for number in range(of)]
    assert sorted(chain(*shares)) == [one for one in range(portions) if one not in done]
    whole = [len(Shard(number, of).left(portions, set())) for number in range(of)]
    assert max(whole) - min(whole) <= 1
