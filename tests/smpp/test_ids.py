"""Message ids: the ways in which a response may have written what a receipt writes, and how an account's way is learnt."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.smpp.ids import LOST, SURE, Form, IdForm, find_way, forms

# (what, the receipt's id, the response's id, the forms of `id_form` that find it)
PAIRS: list[tuple[str, str, str, set[str]]] = [
    ("the same", "abc-123", "abc-123", {"auto", "text", "decimal", "hex"}),
    ("another case", "4F3A21B7", "4f3a21b7", {"auto", "decimal", "hex"}),
    ("zeros in front", "0000012345", "12345", {"auto", "decimal", "hex"}),
    ("zeros and case", "004F3A", "4f3a", {"auto", "decimal", "hex"}),
    ("decimal for hex", "1329209783", "4f3a21b7", {"auto", "decimal"}),
    ("decimal for hex in capitals", "1329209783", "4F3A21B7", {"auto", "decimal"}),
    ("decimal with zeros for hex with zeros", "0000005178", "0000143a", {"auto", "decimal"}),
    ("decimal for 64 bits of hex", "5178", "000000000000143A", {"auto", "decimal"}),
    ("hex for decimal", "4F3A21B7", "1329209783", {"auto", "hex"}),
    ("hex for decimal with zeros", "143a", "0000005178", {"auto", "hex"}),
    ("hex with a prefix", "0x143A", "5178", {"auto", "hex"}),
    ("blanks around it", " 7A ", "7A", {"auto", "text", "decimal", "hex"}),
    ("a UUID in capitals", "01938E0C-7B1E", "01938e0c-7b1e", {"auto", "decimal", "hex"}),
    ("nothing alike", "12", "13", set()),
]
ALL: tuple[Form, ...] = ("auto", "text", "decimal", "hex")


@pytest.mark.parametrize(("ref", "stored", "expected"), [row[1:] for row in PAIRS], ids=[row[0] for row in PAIRS])
def test_which_forms_find_an_id(ref: str, stored: str, expected: set[str]) -> None:
    assert {form for form in ALL if stored in forms(ref, form)} == expected


def test_the_nearest_is_tried_first() -> None:
    assert forms("18")[0] == "18"
    assert forms("18", "decimal")[0] == "12"
    assert forms("18", "hex")[0] == "24"
    assert forms("18", "text") == ("18",)


@given(st.text(max_size=70), st.sampled_from(ALL))
def test_any_id_has_few_forms_and_none_twice(ref: str, form: Form) -> None:
    found = forms(ref, form)
    assert 1 <= len(found) <= 16
    assert len(set(found)) == len(found)


@given(st.integers(0, 2**64 - 1), st.sampled_from(["x", "X", "08x", "016X"]))
def test_hex_and_decimal_find_each_other(number: int, written: str) -> None:
    assert format(number, written) in forms(str(number), "decimal")
    assert str(number) in forms(format(number, written), "hex")


@pytest.mark.parametrize(
    ("ref", "stored", "way"),
    [
        ("abc", "abc", "loose"),
        ("123", "123", "loose"),
        ("7", "7", None),  # the same in every form: shows nothing
        ("ABC", "abc", "loose"),
        ("5178", "143a", "decimal"),
        ("143a", "5178", "hex"),
        ("12", "13", None),
    ],
)
def test_what_one_receipt_shows(ref: str, stored: str, way: str | None) -> None:
    assert find_way(ref, stored) == way


def test_a_way_is_settled_and_others_are_left_out() -> None:
    """Decimal 18 is hex 12: once the account is known to write decimals, `18` may not find another message whose id is 18."""
    learnt = IdForm()
    assert "18" in learnt.forms("18")
    for number in range(100, 100 + SURE):
        assert learnt.settled is None
        learnt.learn(str(number), f"{number:x}")
    assert learnt.settled == "decimal"
    assert "18" not in learnt.forms("18")
    assert learnt.forms("18")[0] == "12"
    assert learnt.forms("no number") == ("no number",)


def test_what_shows_nothing_settles_nothing() -> None:
    learnt = IdForm()
    for _ in range(10):
        learnt.learn("7", "7")
    assert learnt.settled is None


def test_what_was_learnt_is_taken_up() -> None:
    again = IdForm()
    again.adopt("nonsense")
    assert again.settled is None
    again.adopt("decimal")
    assert again.forms("18")[0] == "12"
    assert "18" not in again.forms("18")
    again.learn("abc", "abc")  # and holds no more than it did before
    assert again.settled is None
    fixed = IdForm("text")
    fixed.adopt("decimal")
    assert fixed.forms("18") == ("18",)


def test_contrary_evidence_unsettles() -> None:
    learnt = IdForm()
    for _ in range(SURE):
        learnt.learn("5178", "143a")
    learnt.learn("abc", "abc")
    assert learnt.settled is None
    learnt.learn("abc", "abc")
    learnt.learn("5178", "143a")  # begins to count anew
    learnt.learn("5178", "143a")
    assert learnt.settled is None
    learnt.learn("5178", "143a")
    assert learnt.settled == "decimal"


def test_receipts_that_find_nothing_unsettle_in_the_end() -> None:
    learnt = IdForm()
    for _ in range(SURE):
        learnt.learn("5178", "143a")
    for _ in range(LOST - 1):
        learnt.learn("zz", None)
    learnt.learn("5178", "143a")
    for _ in range(LOST - 1):
        learnt.learn("zz", None)
    assert learnt.settled == "decimal"
    learnt.learn("zz", None)
    assert learnt.settled is None


@pytest.mark.parametrize("form", ["text", "hex", "decimal"])
def test_a_form_that_is_given_is_not_learnt(form: Form) -> None:
    fixed = IdForm(form)
    for _ in range(SURE):
        fixed.learn("5178", "143a")
    assert fixed.settled is None
    assert fixed.forms("18") == forms("18", form)
