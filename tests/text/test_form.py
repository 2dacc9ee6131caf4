"""Forms are what urllib writes, whatever the fields hold."""

from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.text import write_form

NAMES = st.text(st.characters(codec="utf-8"), max_size=8)
VALUES = st.text(st.characters(codec="utf-8")) | st.text(st.characters(max_codepoint=127)) | st.binary()


@given(st.lists(st.tuples(NAMES, VALUES), max_size=5))
def test_a_form_is_what_urllib_writes(fields: list[tuple[str, str | bytes]]) -> None:
    assert write_form(fields) == urlencode(fields)


@given(st.lists(st.tuples(NAMES, VALUES), max_size=5))
def test_so_is_one_with_a_blank_of_three_octets(fields: list[tuple[str, str | bytes]]) -> None:
    assert write_form(fields, blank="%20") == urlencode(fields, quote_via=quote, safe="")


def test_every_octet_that_has_to_be_escaped_is() -> None:
    text = "".join(map(chr, range(128)))
    assert write_form([("q", text)]) == urlencode({"q": text})


def test_half_of_a_surrogate_pair_is_refused_as_urllib_does() -> None:
    with pytest.raises(UnicodeEncodeError):
        write_form([("q", "a\ud800")])
