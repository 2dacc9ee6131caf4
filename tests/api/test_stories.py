"""Random stories of strangers at the HTTP server, few of each; `python -m tests.fuzz` tells them by the hundred thousand."""

from random import Random

import pytest

from tests.api.story import STORIES


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("story", STORIES)
def test_stories_by_seed(story: str, seed: int) -> None:
    for n in range(25):
        STORIES[story](Random(f"{story} {seed} {n}"))
