"""What handsets send through Tatango: the manual's XML, its charsets, and everything that is none of it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.provider.contract import CallbackRequest, Inbound, Parsed, Secret
from plugins.tatango import plugin
from plugins.tatango.twin import Twin

CONFIG = plugin.Config(key=Secret("k"), password=Secret("p"))
MANUAL = b"""<?xml version="1.0"?>
<message>
<sender>9998887777</sender>
<content><![CDATA[STOP it & "go" <home>]]></content>
</message>"""


def read(body: bytes, kind: str = "text/xml", method: str = "POST") -> Parsed:
    headers = {"content-type": kind} if kind else {}
    return plugin.receipts(CONFIG, CallbackRequest(method, "", headers, body, None), 0)


def wrap(sender: str = "9998887777", content: str = "hi", declared: str = "") -> str:
    return f'<?xml version="1.0"{declared}?><message><sender>{sender}</sender><content>{content}</content></message>'


@pytest.mark.parametrize("kind", ["text/xml", "application/xml", "application/x-www-form-urlencoded", "text/plain", "", "\0;=\"'"])
def test_the_manual_s_sample_whatever_its_type_says(kind: str) -> None:
    parsed = read(MANUAL, kind)
    assert parsed.inbound == (Inbound("+19998887777", 'STOP it & "go" <home>'),)
    assert (parsed.receipts, parsed.answer.status, parsed.answer.body) == ((), 200, b"")


SENDERS: list[tuple[str, str | None]] = [
    ("9998887777", "+19998887777"),
    ("\n 9998887777 ", "+19998887777"),
    ("(999) 888-7777", "+19998887777"),
    ("999.888.7777", "+19998887777"),
    ("19998887777", "+19998887777"),
    ("+19998887777", "+19998887777"),
    ("+447700900123", "+447700900123"),
    ("447700900123", "447700900123"),  # no plus, no ten digits: as it came
    ("+9998887777", "+9998887777"),
    ("12345", "12345"),
    ("ACME", "ACME"),
    ("٩٩٩٨٨٨٧٧٧٧", "٩٩٩٨٨٨٧٧٧٧"),
    ("", None),
    (" \n ", None),
    ("9" * 33, None),
    ("999\n888", None),
]


@pytest.mark.parametrize(("sender", "number"), SENDERS)
def test_the_sender(sender: str, number: str | None) -> None:
    inbound = read(wrap(sender).encode()).inbound
    assert inbound == (() if number is None else (Inbound(number, "hi"),))


TEXTS = ["", " ", "ñandú “quoted” 😀", "a\nb", "]]&gt;".replace("&gt;", ">"), "<b>&amp;</b>", "x" * 50_000]


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_the_twin_s_call_is_read_as_it_was_meant(text: str) -> None:
    call = Twin().call("https://x.example/cb", "9998887777", text)
    assert (call.method, call.url) == ("POST", "https://x.example/cb")
    assert read(call.body, dict(call.headers)["Content-Type"]).inbound == (Inbound("+19998887777", text),)


LATIN = "ma\xf1ana “a”"
CHARSETS: list[tuple[bytes, str, str | None]] = [
    (wrap(content=LATIN).encode(), "text/xml; charset=utf-8", LATIN),
    (wrap(content="mañana").encode("latin-1"), 'text/xml; charset="ISO-8859-1"', "mañana"),
    (wrap(content="mañana").encode("latin-1"), "text/xml;charset='latin1'", "mañana"),
    (wrap(content=LATIN).encode("cp1252"), "text/xml", LATIN),  # nobody says which, and UTF-8 it is not
    (wrap(content="mañana", declared=' encoding="ISO-8859-1"').encode("latin-1"), "text/xml", "mañana"),
    (wrap(content="mañana", declared=' encoding="ISO-8859-1"').encode(), "text/xml; charset=utf-8", "mañana"),
    (wrap(content=LATIN, declared=' encoding="utf-16"').encode("utf-16"), "text/xml", LATIN),
    (wrap(content=LATIN).encode("utf-16"), "text/xml", LATIN),
    (wrap(content=LATIN).encode("utf-8-sig"), "text/xml", LATIN),
    (wrap(content="mañana").encode("latin-1"), "text/xml; charset=utf-8", None),
    (wrap(content="hi").encode(), "text/xml; charset=nowhere", None),
    (wrap(content="帳").encode("big5"), "text/xml; charset=big5", None),
]


@pytest.mark.parametrize(("body", "kind", "text"), CHARSETS, ids=range(len(CHARSETS)))
def test_charsets(body: bytes, kind: str, text: str | None) -> None:
    assert [each.text for each in read(body, kind).inbound] == ([] if text is None else [text])


JUNK: dict[str, bytes] = {
    "nothing": b"",
    "no xml": b"sender=9998887777&content=hi",
    "json": b'{"sender":"9998887777"}',
    "cut": MANUAL[:-5],
    "another root": MANUAL.replace(b"message", b"receipt"),
    "no sender": b"<message><content>hi</content></message>",
    "no content": b"<message><sender>9998887777</sender></message>",
    "too deep inside": b"<message><x><sender>9998887777</sender><content>hi</content></x></message>",
    "nul": wrap(content="\0").encode(),
    "dtd": b'<!DOCTYPE message [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + wrap(content="&x;").encode(),
    "laughs": b'<!DOCTYPE message [<!ENTITY x "xxxxxxxx">]><message>&x;</message>',
    "64 KiB and more": wrap(content="x" * 65_536).encode(),
    "deep": b"<message>" * 40 + b"</message>" * 40,
}


@pytest.mark.parametrize("body", JUNK.values(), ids=list(JUNK))
def test_junk_is_dropped_and_its_sender_is_not_told_to_come_again(body: bytes) -> None:
    parsed = read(body)
    assert (parsed.receipts, parsed.inbound) == ((), ())
    assert (parsed.answer.status, parsed.answer.body) == (200, b"")


def test_a_get_says_nothing() -> None:
    assert read(b"", method="GET").inbound == ()


PIECES: Any = st.sampled_from([b"<message>", b"</message>", b"<sender>", b"</sender>", b"<content>", b"</content>", b"<![CDATA[", b"]]>"])


@given(st.lists(PIECES | st.binary(max_size=6), max_size=16).map(b"".join), st.text(max_size=30))
def test_nothing_raises(body: bytes, kind: str) -> None:
    for each in read(body, f"text/xml; charset={kind}").inbound:
        assert each.sender
