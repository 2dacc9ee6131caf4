"""XML from strangers: what is read, and that nothing else is."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.text.markup import MOST_BYTES, MOST_DEPTH, Element, MarkupError, escape_markup, read_markup

READ: list[tuple[bytes, Element]] = [
    (b"<a/>", Element("a")),
    (b"<a>x</a>", Element("a", "x")),
    (b'<?xml version="1.0"?>\n<a>\n <b>1</b>\n <b>2</b></a>\n', Element("a", "\n \n ", [Element("b", "1"), Element("b", "2")])),
    (b"<a><![CDATA[1 < 2 & 3]]> 4</a>", Element("a", "1 < 2 & 3 4")),
    (b"<a>&lt;&amp;&gt;&quot;&apos;&#65;&#x42;</a>", Element("a", "<&>\"'AB")),
    (b"<a>1<b/>2<!-- no --><?no no?>3</a>", Element("a", "123", [Element("b")])),
    (b'<s:a xmlns:s="urn:x" k="v"><s:b/></s:a>', Element("a", "", [Element("b")])),
    ("<a>ñ€😀</a>".encode(), Element("a", "ñ€😀")),
    (b"\xef\xbb\xbf<a>x</a>", Element("a", "x")),
    (b'\r\n <?xml version="1.0"?><a>x</a>', Element("a", "x")),  # as a script prints it whose files end with a blank line
    ('<?xml version="1.0" encoding="UTF-16"?><a>ñ</a>'.encode("utf-16"), Element("a", "ñ")),
    ('<?xml version="1.0" encoding="iso-8859-1"?><a>ñ</a>'.encode("latin-1"), Element("a", "ñ")),
    ('<?xml version="1.0" encoding="windows-1253"?><a>Ω</a>'.encode("cp1253"), Element("a", "Ω")),
    (b"<a>" + b"x" * (MOST_BYTES - 7) + b"</a>", Element("a", "x" * (MOST_BYTES - 7))),
]


@pytest.mark.parametrize(("data", "element"), READ, ids=range(len(READ)))
def test_what_is_read(data: bytes, element: Element) -> None:
    assert read_markup(data) == element


def test_the_transport_s_charset_wins() -> None:
    data = '<?xml version="1.0" encoding="utf-8"?><a>ñ</a>'.encode("latin-1")
    assert read_markup(data, "ISO-8859-1") == Element("a", "ñ")
    assert read_markup("<a>ñ</a>".encode(), "utf8") == Element("a", "ñ")


DTD = b'<?xml version="1.0"?><!DOCTYPE a [%s]><a>%s</a>'
LAUGHS = b"".join(b'<!ENTITY l%d "%s">' % (n, b"&l%d;" % (n - 1) * 10) for n in range(1, 12))
REFUSED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "no element found"),
    "blank": (b" \n", "no element found"),
    "text": (b"hello", "syntax error"),
    "cut": (b"<a><b>x</b>", "no element found"),
    "crossed": (b"<a><b></a></b>", "mismatched tag"),
    "two": (b"<a/><b/>", "junk after"),
    "nul": (b"<a>\x00</a>", "not well-formed"),
    "reference to nul": (b"<a>&#0;</a>", "reference to invalid character"),
    "not utf-8": (b"<a>\xf1</a>", "not well-formed"),
    "unknown entity": (b"<a>&nbsp;</a>", "undefined entity"),
    "dtd": (DTD % (b"", b""), "has a DTD"),
    "dtd, external": (b'<!DOCTYPE a SYSTEM "http://127.0.0.1/x"><a/>', "has a DTD"),
    "xxe file": (DTD % (b'<!ENTITY x SYSTEM "file:///etc/passwd">', b"&x;"), "has a DTD"),
    "xxe url": (DTD % (b'<!ENTITY % x SYSTEM "http://127.0.0.1/x"> %x;'.replace(b"%", b"%"), b""), "has a DTD"),
    "internal entity": (DTD % (b'<!ENTITY x "y">', b"&x;"), "has a DTD"),
    "billion laughs": (DTD % (b'<!ENTITY l0 "lol">' + LAUGHS, b"&l11;"), "has a DTD"),
    "quadratic": (DTD % (b'<!ENTITY x "' + b"y" * 30_000 + b'">', b"&x;" * 5_000), "has a DTD"),
    "too long": (b"<a>" + b"x" * MOST_BYTES + b"</a>", "longer than"),
    "too deep": (b"<a>" * (MOST_DEPTH + 1) + b"</a>" * (MOST_DEPTH + 1), "inside each other"),
    "too many": (b"<a>" + b"<b/>" * 1000 + b"</a>", "more than 1000 elements"),
    "deep and open": (b"<a>" * 20_000, "inside each other"),
    "charset": (b'<?xml version="1.0" encoding="nowhere"?><a/>', "charset|unknown encoding"),
    "charset of many octets": ('<?xml version="1.0" encoding="big5"?><a>帳</a>'.encode("big5"), "charset|unknown encoding"),
    "no text": (b'<?xml version="1.0" encoding="zlib"?><a/>', "charset|unknown encoding"),
}


@pytest.mark.parametrize(("data", "why"), REFUSED.values(), ids=list(REFUSED))
def test_what_is_refused_and_at_once(data: bytes, why: str) -> None:
    begin = time.perf_counter()
    with pytest.raises(MarkupError, match=why):
        read_markup(data)
    assert time.perf_counter() - begin < 0.5


@pytest.mark.parametrize("charset", ["nowhere", "", "\0", "zlib", "x" * 5000, "big5", "utf-7"])
def test_a_charset_that_is_none(charset: str) -> None:
    with pytest.raises(MarkupError):
        read_markup("<a>帳</a>".encode("big5"), charset)


def test_as_deep_as_is_allowed() -> None:
    element = read_markup(b"<a>" * MOST_DEPTH + b"</a>" * MOST_DEPTH)
    for _ in range(MOST_DEPTH - 1):
        (element,) = element.children
    assert element.children == []
    assert "secret" not in repr(read_markup(b"<a>secret</a>"))


PIECES = [b"<a>", b"</a>", b"<b/>", b"<![CDATA[", b"]]>", b"&", b"&amp;", b"&#", b"<!DOCTYPE a", b"<?xml ", b"x", b"\xff", b"\x00", b'"']


@given(st.lists(st.sampled_from(PIECES) | st.binary(max_size=5), max_size=20).map(b"".join), st.sampled_from([None, "latin-1", "utf-16"]))
def test_nothing_else_is_raised(data: bytes, charset: str | None) -> None:
    try:
        read_markup(data, charset)
    except MarkupError:
        pass  # the one exception that a caller has to know


NEVER = [chr(n) for n in (*range(9), 11, 12, *range(14, 32), 0xFFFE, 0xFFFF)]
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=NEVER))


@given(TEXTS)
def test_what_is_escaped_comes_back(text: str) -> None:
    assert read_markup(f"<a>{escape_markup(text)}</a>".encode()) == Element("a", text)


@pytest.mark.parametrize("text", ["\0", "a\x0bb", "\x1b", "\ud800", "\uffff"])
def test_what_xml_cannot_hold(text: str) -> None:
    with pytest.raises(MarkupError):
        escape_markup(text)
