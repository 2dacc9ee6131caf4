"""iSMS.gr over SOAP: the envelopes octet for octet, every fault, and every answer that is none."""

import xml.etree.ElementTree as ET
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.provider.contract import Call, Reply, Secret, Send, Unsuitable
from plugins.isms import plugin
from plugins.isms.twin import Twin
from tests.plugins.samples import make_ask, make_send, reach

URL = "http://127.0.0.1:1/x/soap"
KEYS: dict[str, Any] = {"protocol": "soap", "url": "http://127.0.0.1:1/x/", "soap_url": URL}
CONFIG = plugin.Config(username="shop", password=Secret('p<ss&"ς'), **KEYS)
HEADERS = (("Content-Type", "text/xml; charset=utf-8"), ("SOAPAction", '"urn:isms#{}"'))
ENVELOPE = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<SOAP-ENV:Envelope xmlns:SOAP-ENV="http://schemas.xmlsoap.org/soap/envelope/"'
    ' xmlns:ns1="urn:isms" xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
    ' xmlns:SOAP-ENC="http://schemas.xmlsoap.org/soap/encoding/" SOAP-ENV:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/">'
    "<SOAP-ENV:Body>{}</SOAP-ENV:Body></SOAP-ENV:Envelope>\n"
)
ACCOUNT = '<username xsi:type="xsd:string">shop</username><password xsi:type="xsd:string">p&lt;ss&amp;"ς</password>'


def to(*mobiles: str) -> str:
    items = "".join(f'<item xsi:type="xsd:string">{mobile}</item>' for mobile in mobiles)
    array = f'<recipients SOAP-ENC:arrayType="xsd:string[{len(mobiles)}]" xsi:type="SOAP-ENC:Array">{items}</recipients>'
    return f'<to xsi:type="SOAP-ENC:Struct">{array}</to>'


def operation(sender: str, recipients: str, text: str, coding: str = "GSM", flash: str = "false") -> str:
    return (
        f'<ns1:send>{ACCOUNT}<from xsi:type="xsd:string">{sender}</from>{recipients}<message xsi:type="xsd:string">{text}</message>'
        f'<coding xsi:type="xsd:string">{coding}</coding><flash xsi:type="xsd:boolean">{flash}</flash></ns1:send>'
    )


ONE = "306912345678"
BUILT: list[tuple[list[Send], str]] = [
    ([make_send()], operation("ACME", to(ONE), "hi")),
    ([make_send(sender=None, channel="flash")], operation("", to(ONE), "hi", flash="true")),
    ([make_send('γ <b>&"</b>')], operation("ACME", to(ONE), 'γ &lt;b&gt;&amp;"&lt;/b&gt;', "UTF-8")),
    ([make_send(), make_send(to="+306912345679", n=2)], operation("ACME", to(ONE, "306912345679"), "hi")),
    ([make_send(callback_url="https://x/t")], operation("ACME", to(ONE), "hi")),  # it has no dlr-url
]


@pytest.mark.parametrize(("sends", "body"), BUILT)
def test_a_send_is_this_envelope(sends: list[Send], body: str) -> None:
    call = plugin.build(CONFIG, sends, 0)
    assert (call.method, call.url) == ("POST", URL)
    assert call.headers == (HEADERS[0], ("SOAPAction", '"urn:isms#send"'))
    assert call.body.decode() == ENVELOPE.format(body)
    assert call.secrets == ('p<ss&"ς', 'p&lt;ss&amp;"ς')


def test_a_query_is_this_envelope_and_the_rest_goes_by_http() -> None:
    call = plugin.query(CONFIG, [make_ask("I7I5R4HTAA", f"+{ONE}")], 0)
    mid, mobile = '<message_id xsi:type="xsd:string">I7I5R4HTAA</message_id>', f'<mobile xsi:type="xsd:string">{ONE}</mobile>'
    assert call.body.decode() == ENVELOPE.format(f"<ns1:query>{ACCOUNT}{mid}{mobile}</ns1:query>")
    assert dict(call.headers)["SOAPAction"] == '"urn:isms#query"'
    http = [plugin.balance(CONFIG, 0), plugin.build(CONFIG, [make_send(channel="hlr")], 0)]
    assert [each.url.partition("?")[0].rpartition("/")[2] for each in http] == ["credits.php", "hlr.php"]


def test_its_namespace_is_the_account_s() -> None:
    config = plugin.Config(username="u", password=Secret("p"), soap_namespace="http://isms.gr/?a=1", **KEYS)
    call = plugin.build(config, [make_send()], 0)
    assert b'xmlns:ns1="http://isms.gr/?a=1"' in call.body
    assert dict(call.headers)["SOAPAction"] == '"http://isms.gr/?a=1#send"'


def test_what_it_promises() -> None:
    traits = plugin.traits(CONFIG)
    assert (traits.receipts, traits.schedule, traits.doubt) == (("poll",), False, frozenset())
    assert traits.statuses == plugin.TRAITS.statuses | {500}
    assert "flash" in traits.channels


@pytest.mark.parametrize("text", ["a\x0bb", "\x1b[", "\ufffe"])
def test_a_text_that_no_xml_can_hold_is_refused(text: str) -> None:
    with pytest.raises(Unsuitable) as refusal:
        plugin.build(CONFIG, [make_send(text)], 0)
    assert (refusal.value.code, text in refusal.value.detail) == ("text", False)


TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\n\r\t<>&]]\"'"), max_size=40)


@given(TEXTS, TEXTS)
def test_another_reader_reads_what_was_meant(text: str, sender: str) -> None:
    if "\ufffe" in text + sender or "\uffff" in text + sender:
        return
    tree = ET.fromstring(plugin.build(CONFIG, [make_send(text, sender=sender)], 0).body)  # noqa: S314 - our own request
    (send,) = tree[0]
    found = {part.tag: part.text or "" for part in send}
    assert (found["message"], found["from"], found["password"]) == (text, sender, 'p<ss&"ς')


# --- answers ---


def soap(inner: str) -> bytes:
    return f'<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>{inner}</s:Body></s:Envelope>'.encode()


def fault(text: str) -> bytes:
    return soap(f"<s:Fault><faultcode>s:Server</faultcode><faultstring>{text}</faultstring></s:Fault>")


def value(text: str) -> bytes:
    return soap(f'<m:sendResponse xmlns:m="urn:x"><return xsi:type="xsd:string" xmlns:xsi="y">{text}</return></m:sendResponse>')


def fault_12(text: str) -> bytes:
    reason = f'<s:Reason><s:Text xml:lang="en">{text}</s:Text></s:Reason>'
    return soap(f"<s:Fault><s:Code><s:Value>s:Sender</s:Value></s:Code>{reason}</s:Fault>")


# PROVIDERS.md, iSMS, "Codes": the exceptions of `send`
FAULTS = {
    "Authentication error.": "misconfigured",
    "No recipients.": "misconfigured",
    "Invalid sender identity.": "unsuitable",
    "Insufficient credits.": "no_credit",
}


@pytest.mark.parametrize("write", [fault, fault_12])
@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize(("text", "class_"), [*FAULTS.items(), ("Database is tired.", "in_doubt"), ("No mobile defined.", "in_doubt")])
def test_every_fault_of_a_send(text: str, class_: str, status: int, write: Any) -> None:
    for each in (text, f"\n {text} ", f"Error: {text}"):
        (outcome,) = plugin.parse(CONFIG, Reply(status, {}, write(each)), [make_send()])
        assert (outcome.class_, outcome.code, outcome.refs) == (class_, text, ())


@pytest.mark.parametrize("text", ["I7I5R4HTAA", " I7I5R4HTAA\n", "ID:I7I5R4HTAA"])
def test_an_id_is_accepted_for_the_whole_call(text: str) -> None:
    outcomes = plugin.parse(CONFIG, Reply(200, {}, value(text)), [make_send(), make_send(n=2)])
    assert [(each.class_, each.refs) for each in outcomes] == [("accepted", ("I7I5R4HTAA",))] * 2
    (outcome,) = plugin.parse(CONFIG, Reply(500, {}, value(text)), [make_send()])
    assert outcome.class_ == "in_doubt"


NOTHING: dict[str, bytes] = {
    "empty": b"",
    "a line": b"ID:I7I5R4HTAA",
    "no envelope": b"<return>I7I5R4HTAA</return>",
    "another root": value("I7").replace(b"s:Envelope", b"s:Letter"),
    "no body": b'<s:Envelope xmlns:s="x"><s:Header><return>I7</return></s:Header></s:Envelope>',
    "empty body": soap(""),
    "two answers": soap("<a><return>I7</return></a><b><return>I8</return></b>"),
    "no value": value(""),
    "two values": soap("<a><x>I7</x><y>I8</y></a>"),
    "no id": value("one two"),
    "a page's text": value("<b>I7</b> sorry"),
    "fault without a text": soap("<s:Fault><faultcode>x</faultcode></s:Fault>"),
    "cut": value("I7")[:-9],
    "dtd": b'<!DOCTYPE a [<!ENTITY x "I7">]>' + value("&x;"),
    "too long": value("I" * 70_000),
    "nul": value("I7\0"),
    "not utf-8": value("I7").replace(b"I7", b"\xff"),
}


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("body", NOTHING.values(), ids=list(NOTHING))
def test_what_is_no_answer_proves_nothing(body: bytes, status: int) -> None:
    (outcome,) = plugin.parse(CONFIG, Reply(status, {}, body), [make_send()])
    assert (outcome.class_, outcome.refs) == ("in_doubt", ())
    (receipt,) = plugin.parse_query(CONFIG, Reply(status, {}, body), [make_ask("I7", f"+{ONE}")])
    assert receipt.class_ in ("query_error", "unrecognised")


STATUSES = {"Queued": "progress", "Pending": "progress", "Delivered": "delivered", "Failed": "undelivered", "Lost": "unrecognised"}
ERRORS = ("Authentication error.", "No message ID defined.", "No mobile defined.", "No such message or recipient.", "Something else.")


@pytest.mark.parametrize(
    ("body", "class_", "code"),
    [
        *((value(word), class_, word) for word, class_ in STATUSES.items()),
        *((value(f"Status: {word}"), class_, word) for word, class_ in STATUSES.items()),
        *((fault(text), "query_error", text) for text in ERRORS),
    ],
)
def test_every_answer_to_a_query(body: bytes, class_: str, code: str) -> None:
    status = 500 if b"Fault" in body else 200
    (receipt,) = plugin.parse_query(CONFIG, Reply(status, {}, body), [make_ask("I7", f"+{ONE}")])
    assert (receipt.class_, receipt.code, receipt.ref, receipt.recipient) == (class_, code, "I7", f"+{ONE}")


PIECES = st.sampled_from([b"<a>", b"</a>", b"<s:Fault>", b"I7", b"<!DOCTYPE a>"])


@given(st.lists(PIECES | st.binary(max_size=5), max_size=12).map(b"".join))
def test_no_bytes_raise_or_are_believed(body: bytes) -> None:
    for each in (body, value("X").replace(b"X", body)):
        (outcome,) = plugin.parse(CONFIG, Reply(200, {}, each), [make_send()])
        assert outcome.class_ != "accepted" or outcome.refs[0].encode() in each
        plugin.parse_query(CONFIG, Reply(500, {}, each), [make_ask("I7", f"+{ONE}")])


def test_a_fault_that_repeats_what_was_sent_keeps_no_code() -> None:
    for text in ('no p&lt;ss&amp;"ς here', "'the text' is bad", f"to {ONE}", "6912345"):
        (outcome,) = plugin.parse(CONFIG, Reply(500, {}, fault(text)), [make_send("the text")])
        assert (outcome.class_, outcome.code) == ("in_doubt", None)


# --- the twin ---

DEMO = plugin.Config(username="demo", password=Secret("demo"), **KEYS)


def exchange(twin: Twin, call: Call, now: int = 0) -> Reply:
    return reach(twin, call, now)


def test_the_twin_takes_and_tells() -> None:
    twin = Twin(balance=5, fates={"+306912345679": "Failed"})
    sends = [make_send("γεια\n<&>"), make_send("γεια\n<&>", "+306912345679", n=2)]
    outcomes = plugin.parse(DEMO, exchange(twin, plugin.build(DEMO, sends, 0)), sends)
    (mid,) = {outcome.refs[0] for outcome in outcomes}
    assert twin.sent == [(ONE, "γεια\n<&>", mid), ("306912345679", "γεια\n<&>", mid)]
    words = []
    for now in (0, 500, 1000):
        for send in sends:
            ask = make_ask(mid, send.message.to)
            words.append(plugin.parse_query(DEMO, exchange(twin, plugin.query(DEMO, [ask], now), now), [ask])[0].code)
    assert words == ["Queued", "Queued", "Pending", "Pending", "Delivered", "Failed"]


@pytest.mark.parametrize(("text", "class_"), FAULTS.items())
def test_the_twin_gives_every_fault(text: str, class_: str) -> None:
    twin = Twin(answers=[text])
    reply = exchange(twin, plugin.build(DEMO, [make_send()], 0))
    assert (reply.status, plugin.parse(DEMO, reply, [make_send()])[0].class_) == (500, class_)
    assert plugin.parse(DEMO, exchange(twin, plugin.build(DEMO, [make_send()], 0)), [make_send()])[0].class_ == "accepted"


def test_the_twin_refuses_what_the_manual_refuses() -> None:
    wrong = plugin.Config(username="demo", password=Secret("no"), **KEYS)
    bare = make_ask("", f"+{ONE}")
    asked = [plugin.query(wrong, [bare], 0), plugin.query(DEMO, [bare], 0), plugin.query(DEMO, [make_ask("X", f"+{ONE}")], 0)]
    asked.append(with_body(asked[2], asked[2].body.replace(ONE.encode(), b"")))
    said = [plugin.parse_query(DEMO, exchange(Twin(), call), [bare])[0].code for call in asked]
    assert said == [ERRORS[0], ERRORS[1], ERRORS[3], ERRORS[2]]
    empty = plugin.build(DEMO, [make_send(sender="far too long a name")], 0)
    assert plugin.parse(DEMO, exchange(Twin(), empty), [make_send()])[0].code == "Invalid sender identity."
    nobody = with_body(empty, empty.body.replace(f'<item xsi:type="xsd:string">{ONE}</item>'.encode(), b""))
    assert plugin.parse(DEMO, exchange(Twin(), nobody), [make_send()])[0].code == "No recipients."
    assert plugin.parse(DEMO, exchange(Twin(balance=0), plugin.build(DEMO, [make_send()], 0)), [make_send()])[0].class_ == "no_credit"
    for body in (b"", b"<a/>", b"x" * 70_000):
        assert exchange(Twin(), with_body(empty, body)).status == 500


def with_body(call: Call, body: bytes) -> Call:
    return Call(call.method, call.url, call.headers, body)
