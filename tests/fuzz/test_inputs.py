"""Random stories of what strangers write, few of each; `python -m tests.fuzz` tells them by the million."""

from random import Random

import pytest

from tests.fuzz.inputs import STORIES


@pytest.mark.parametrize("story", STORIES)
def test_stories_by_seed(story: str) -> None:
    for n in range(20 if story == "settings" else 100):
        STORIES[story](Random(f"{story} {n}"))
