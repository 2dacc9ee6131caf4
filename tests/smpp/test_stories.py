"""Random stories of links and octets, few of each; `python -m tests.fuzz` tells them by the million."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.smpp.story import STORIES, tell_of_noise, tell_of_octets, tell_of_two


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("story", STORIES)
def test_stories_by_seed(story: str, seed: int) -> None:
    for n in range(25):
        STORIES[story](Random(f"{story} {seed} {n}"))


@settings(max_examples=25)
@given(st.randoms(use_true_random=False))
def test_a_story_of_two(rand: Random) -> None:
    tell_of_two(rand, steps=40)


@settings(max_examples=25)
@given(st.randoms(use_true_random=False))
def test_a_story_of_noise(rand: Random) -> None:
    tell_of_noise(rand, steps=12)


@given(st.randoms(use_true_random=False))
def test_a_story_of_octets(rand: Random) -> None:
    tell_of_octets(rand)
