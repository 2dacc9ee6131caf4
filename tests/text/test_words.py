"""What people mean alike is alike: keywords of inbound texts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.text import first_word, fold, fold_whole


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("STOP", "stop"),
        (" Stop! ", "stop"),
        ("ＳＴＯＰ", "stop"),
        ("«Stop».", "stop"),
        ("stop\U0001f6d1", "stop"),
        ("opt-out", "optout"),
        ("Opt  out\n", "opt out"),
        ("退訂。", "退訂"),
        ("STRASSE ß", "strasse ss"),
        ("İstop", "i\u0307stop"),
        ("\u200bstop\u200e", "stop"),
        ("", ""),
        ("...", ""),
        ("\0\x1b", ""),
    ],
)
def test_fold(text: str, folded: str) -> None:
    assert fold(text) == folded
    assert fold_whole(text) == folded
    assert first_word(text) == folded.partition(" ")[0]


def test_a_long_text_is_no_word() -> None:
    assert fold_whole("stop" + " " * 500) == ""
    assert first_word("info " + "x" * 100_000) == "info"


@given(st.text())
def test_it_settles(text: str) -> None:
    folded = fold(text)
    assert fold(folded) in (folded, fold(fold(folded)))
    assert folded == " ".join(folded.split())
