"""The three forms of a sender, by table."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.text.senders import SenderError, check_sender, sender_form

GOOD = [
    ("ACME", "alphanumeric"),
    ("A", "alphanumeric"),
    ("My Shop 24", "alphanumeric"),
    ("elevenchars", "alphanumeric"),
    ("Ü & Co", "alphanumeric"),
    ("ΩMEGA", "alphanumeric"),
    ("1a", "alphanumeric"),
    ("[x]", "alphanumeric"),
    ("10€cents", "alphanumeric"),
    ("+12025550100", "numeric"),
    ("12025550100", "numeric"),
    ("886912345678", "numeric"),
    ("+1234567", "numeric"),
    ("123456789", "numeric"),
    ("123456789012345", "numeric"),
    ("+123456789012345", "numeric"),
    ("110", "shortcode"),
    ("012", "shortcode"),
    ("12345", "shortcode"),
    ("12345678", "shortcode"),
]

BAD = [
    ("", "alphanumeric", "empty"),
    ("twelve chars", "alphanumeric", "too long"),
    ("[[[[[[x", "alphanumeric", "too long"),  # 13 septets in 7 characters
    ("ABCDEFGHIJ€", "alphanumeric", "too long"),
    ("Ünï & Co", "alphanumeric", "GSM alphabet"),
    ("ÇÇÇç", "alphanumeric", "GSM alphabet"),
    ("商店", "alphanumeric", "GSM alphabet"),
    ("a`b", "alphanumeric", "GSM alphabet"),
    ("a\nb", "alphanumeric", "GSM alphabet"),
    ("a\rb", "alphanumeric", "GSM alphabet"),
    ("a\x00b", "alphanumeric", "GSM alphabet"),
    ("12-34", "alphanumeric", "no letter"),
    ("+", "alphanumeric", "no letter"),
    (" ", "alphanumeric", "no letter"),
    ("++12025550100", "alphanumeric", "no letter"),
    ("12025550100\n", "alphanumeric", "GSM alphabet"),
    ("１２３４５", "alphanumeric", "GSM alphabet"),
    ("1", "numeric", "neither a short code"),
    ("12", "numeric", "neither a short code"),
    ("0912345678", "numeric", "country code"),
    ("+0912345678", "numeric", "country code"),
    ("+12345", "numeric", "country code"),
    ("1234567890123456", "numeric", "at most 15 digits"),
    ("+1234567890123456", "numeric", "at most 15 digits"),
]


@pytest.mark.parametrize(("sender", "form"), GOOD)
def test_good(sender: str, form: str) -> None:
    check_sender(sender)
    assert sender_form(sender) == form


@pytest.mark.parametrize(("sender", "form", "reason"), BAD)
def test_bad(sender: str, form: str, reason: str) -> None:
    assert sender_form(sender) == form
    with pytest.raises(SenderError, match=reason) as caught:
        check_sender(sender)
    assert len(sender) < 7 or sender not in str(caught.value)


@settings(deadline=None)
@given(st.text(st.one_of(st.sampled_from("+0123456789Aaé[€ \n"), st.characters()), max_size=20))
def test_any_text_is_taken_or_refused(sender: str) -> None:
    assert sender_form(sender) in ("alphanumeric", "numeric", "shortcode")
    try:
        check_sender(sender)
    except SenderError:
        return
    assert 1 <= len(sender.lstrip("+")) <= 15
    assert sender.isprintable()
