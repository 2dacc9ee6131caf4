"""Random stories of a session and its SMSC, few of them; `python -m tests.fuzz session` tells them by the thousand."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.smpp_session.story import tell_of_a_session


@pytest.mark.parametrize("seed", range(30))
def test_stories_by_seed(seed: int) -> None:
    tell_of_a_session(Random(f"session {seed}"))


@settings(max_examples=15, deadline=None)
@given(st.randoms(use_true_random=False))
def test_any_story(rand: Random) -> None:
    tell_of_a_session(rand)
