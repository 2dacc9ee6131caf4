"""Random stories of texts, few of each; `python -m tests.fuzz` tells them by the million."""

from random import Random

import pytest

from tests.text.story import STORIES


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("story", STORIES)
def test_stories_by_seed(story: str, seed: int) -> None:
    for n in range(40):
        STORIES[story](Random(f"{story} {seed} {n}"))
