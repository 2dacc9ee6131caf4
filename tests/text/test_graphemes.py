"""What one grapheme is, by rows after UAX #29 and its test file; each row is a text with its boundaries marked."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.text.graphemes import is_boundary


@pytest.mark.parametrize(
    "marked",
    [
        "a|b",
        "a|\r\n|b",
        "\n|\r",
        "é|x",
        "e\u0301|x",
        "e\u0301\u0323|x",
        "\u200b|\u0301",  # a mark after a control stands alone
        "\n|\u0301",
        "☎\ufe0f|☎",  # variation selector
        "👍\U0001f3fd|👍",  # skin tone
        "👩\u200d👩\u200d👧\u200d👦|👩",
        "🏳\ufe0f\u200d🌈|a",
        "1\ufe0f\u20e3|2\ufe0f\u20e3",  # keycaps
        "🇹🇼|🇩🇪|🇫|a",  # regional indicators go by twos
        "a|🇹🇼|🇩🇪",
        "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f|a",  # England, by tags
        "각|나|a",
        "\u1100\u1161\u11a8|\u1102\u1161",  # jamo: leading, vowel, trailing
        "가\u11a8|가",
        "각\u11a8\u11a8|나",
        "မာ\u1038|မ",  # Burmese vowel and tone
        "\u11a8|\u1100",
        "\u1100\u1100\u1161",
        "की|ता",  # a vowel sign with its consonant
        "क\u094dष|क",  # a conjunct
        "क\u094d\u200dष",
        "க\u0bbf|a",
        "กำ|ข",  # Thai SARA AM
        "\u06001|2",  # Arabic number sign before its digit
        "か\uff9e|a",
        "ا\u064e|ب",
        "您|好",
        "💩|💩",
    ],
)
def test_boundaries(marked: str) -> None:
    pieces = marked.split("|")
    text = "".join(pieces)
    wanted, at = set(), 0
    for piece in pieces[:-1]:
        at += len(piece)
        wanted.add(at)
    assert {n for n in range(1, len(text)) if is_boundary(text, n)} == wanted


@settings(deadline=None)
@given(st.text(min_size=1, max_size=30), st.text(min_size=1, max_size=30))
def test_a_line_end_is_always_a_boundary(one: str, other: str) -> None:
    text = f"{one}\n{other}"
    assert is_boundary(text, len(one) + 1)
    assert is_boundary(text, len(one)) == (one[-1] != "\r")
