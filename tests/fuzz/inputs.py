"""Random stories of what strangers write to the broker: lines, files, queries, answers, receipts, documents, numbers and spans.

Each reader takes what a person or a program might have written, changed here and there, and reads it or refuses it in its own way: it
raises nothing else, and what it gives holds what its own page promises. `python -m tests.fuzz` tells them by the million.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random
from tempfile import gettempdir
from types import SimpleNamespace
from typing import Any

import msgspec

from broker.api.feed_filter import BadAsk, Facts, read_ask
from broker.api.hosts import is_foreign, is_listed, split_host
from broker.api.submit import SubmitDoor
from broker.api.tokens import BadCredential, Credential, find_token
from broker.config import ConfigError, check_settings, read_settings
from broker.config.forms import read_address, read_rate, show_rate
from broker.config.spot import Fault
from broker.daemon import find_facts
from broker.delivery.accept import Accepted
from broker.delivery.submission import Submit, read_submit
from broker.provider.contract import Reply
from broker.routing.window import Window
from broker.smpp.pdu import DeliverSm
from broker.smpp.receipt import read_date, read_fields, read_receipt
from broker.text import AddressError, NumberError
from broker.text import read_address as read_mail
from broker.text.markup import MOST_DEPTH, Element, MarkupError, escape_markup, read_markup
from broker.text.numbers import mask, number_type, read_number
from broker.words.clock import read_span, read_time, show_span, show_time
from broker.words.money import MoneyError, read_micro, show_micro
from broker.words.receipt import RECEIPT_CLASSES
from tests.plugins.catalog import VARIANTS
from tests.plugins.test_conformance import NOISE, read_noise
from tests.routing.desk import make_book, provider

NOW = 1_796_000_000_000
BITS = ("", "\0", "\n", '"', "'", "\\", "{", "}", "[", "]", "=", ":", ",", "+", "-", "0", "9" * 30, "é", "€", "😀", "\u0661", "\ufeff", "%")
"""What is put in: the signs that readers live by, and some that they do not expect."""


def spoil(rand: Random, text: str, most: int = 4) -> str:
    """The text with up to `most` places changed: something put in, taken out or said twice."""
    for _ in range(rand.randrange(most + 1)):
        at, length = rand.randrange(len(text) + 1), rand.choice((0, 0, 1, 1, 4, 20))
        part = rand.choice((rand.choice(BITS), text[at : at + length] * rand.choice((2, 2, 40))))
        text = text[:at] + part + text[at + rand.choice((0, length)) :]
    return text


def spoil_octets(rand: Random, text: str, most: int = 4) -> bytes:
    """The same as octets, now and then not UTF-8."""
    data = spoil(rand, text, most).encode(rand.choice(("utf-8", "utf-8", "utf-8", "utf-16", "latin-1")), "replace")
    at = rand.randrange(len(data) + 1)
    return data if rand.random() < 0.8 else data[:at] + rand.randbytes(rand.choice((1, 3))) + data[at:]


LINES = (
    '{"to":"+886912345678","text":"hi","key":"k","ref":"r","tags":["otp"],"priority":"high","validity":"5m","max_price":"0.05"}',
    '{"to":"0912345678","text":"\\u4f60\\ud83d\\ude00","send_at":"2026-12-01T08:00:00+08:00","from":"ACME","options":{"voice":"m"}}',
    '{"to":"a@b.example","channel":"email","text":"x","provider":"a","max_price":1e2,"dry_run":true}',
    '{"op":"status","id":"01938e0c","ref":7}',
    '{"op":5,"text":"\\ud800"}',
    '{"to":"+886912345678","text":"x","options":' + '{"a":' * 40 + "1" + "}" * 41,
    "[" * 2_000 + "]" * 2_000,
)


CODES = {"bad_json", "bad_request", "invalid_recipient", "invalid_text", "invalid_sender", "too_long"}


class Intake:
    """Takes submits as the broker does, up to the message that one means."""

    def __init__(self) -> None:
        self.book = make_book(provider("a"))

    def submit(self, request: Submit, client: str, reply: Callable[[Any], None]) -> None:
        """Read it; what is refused is raised."""
        message = read_submit(request, client, self.book, NOW)
        reply(Accepted(True, message.id, "queued", message.segments, message.encoding, message.country, False))

    def explain(self, request: Submit, client: str) -> dict[str, Any]:
        """The same, without keeping it."""
        read_submit(request, client, self.book, NOW)
        return {"ok": True}

    def status(self, id_: str, client: str | None) -> dict[str, Any]:
        """What is not there."""
        return {"ok": False, "id": id_, "client": client}

    def cancel_own(self, id_: str, client: str, reply: Callable[[Any], None]) -> None:
        """The same."""
        reply(self.status(id_, client))


@cache
def open_door() -> SubmitDoor:
    """A submit socket's door before an intake that keeps nothing."""
    intake: Any = Intake()
    ex: Any = SimpleNamespace(teller=SimpleNamespace(node="n"))
    return SubmitDoor(ex, intake, intake, intake)


def tell_lines(rand: Random) -> None:
    """One line of the submit socket costs that line alone: it has one answer, and that can be written."""
    answers: list[Any] = []
    cell: Any = SimpleNamespace(fill=answers.append)
    open_door().handle(spoil_octets(rand, rand.choice(LINES)), cell, "unix:x")
    assert len(answers) <= 1  # none to a line that is blank
    for answer in map(msgspec.json.decode, map(msgspec.json.encode, answers)):
        assert answer["ok"] or "error" not in answer or answer["error"]["code"] in CODES


EXAMPLE = Path("broker.toml").read_text()
PROVIDERS = [f"[providers.{part}" for part in EXAMPLE.split("[providers.")[1:]]


def tell_settings(rand: Random) -> None:
    """A broker.toml is read, or refused with problems that have a place; what is read can be looked through for warnings."""
    text = EXAMPLE if rand.random() < 0.2 else rand.choice(PROVIDERS).split("# ----")[0] + "[[rules]]" + EXAMPLE.split("[[rules]]")[1]
    file = Path(gettempdir()) / f"fuzz-{id(open_door())}.toml"
    file.write_bytes(spoil_octets(rand, text, 6))
    try:
        settings = read_settings(file, plugins=find_facts, twins=True, environ={})
    except ConfigError as refused:
        assert refused.problems
        assert all(problem.message and len(problem.message) < 2_000 for problem in refused.problems)
        return
    finally:
        file.unlink()
    check_settings(settings, find_facts)


ANSWERS = (
    *('{"data":{"id":"12293682","sms_cost":1}}', '{"error":{"message":"no","code":402}}', "ID:123456", "Error: Insufficient credits."),
    *('[{"id":123451,"messages":[{"dest":"+393351234561","status":"delivered"}]}]', "Status: Delivered", "Credits:1234.5"),
    *("[1]\r\nmsgid=#000000013\r\nstatuscode=1\r\nAccountPoint=126\r\n", "123451\t4\t20261121200000\r\n", "AccountPoint=100\r\n"),
    '<soap:Envelope xmlns:soap="s"><soap:Body><r><return>ID:12</return></r></soap:Body></soap:Envelope>',
    '{"id":7,"cnt":1,"cost":"1.40","balance":"100.50"}',
)


def tell_answers(rand: Random) -> None:
    """Any answer of a provider is an outcome for each message; none is taken for accepted without an id of its own."""
    noise = list(NOISE.values())
    body = rand.choice(noise) if rand.random() < 0.05 else spoil_octets(rand, rand.choice(ANSWERS))
    for variant in VARIANTS:
        outcomes, _, _ = read_noise(variant, body, rand.choice((1, 3)))
        if variant.name != "tatango":  # its status alone is the answer, and here it is 500
            assert all(each.refs for each in outcomes if each.class_ == "accepted")
        reply = Reply(rand.choice((200, 202, 302, 400, 404, 429, 500, 503)), {"content-type": "text/html"}, body)
        if variant.plugin.parse_contact is not None:
            variant.plugin.parse_contact(variant.make_config(), reply)


RECEIPTS = (
    "id:0123456789 sub:001 dlvrd:001 submit date:2611212000 done date:2611212001 stat:DELIVRD err:000 text:hello",
    "id:a1 stat:UNDELIV err:0D done_date:20261121200110 mcc:250 mnc:02 cn:RU net:%D0%9C rcn: rnet:",
    "stat:ACCEPTD id:7 text:id:8 stat:DELIVRD",
)


def tell_receipts(rand: Random) -> None:
    """A receipt's text says something of its own class, and a date is one that a calendar has."""
    text = spoil(rand, rand.choice(RECEIPTS))
    assert all(isinstance(value, str) for value in read_fields(text).values())
    octets = text.encode("latin-1", "replace")[:254]
    report = read_receipt(DeliverSm(esm_class=rand.choice((4, 0x20, 8)), short_message=octets), rand.choice((0, 480)))
    assert report.class_ in RECEIPT_CLASSES
    assert not {"imsi", "msc", "text"} & report.fields.keys()
    for word in text.split()[:3]:
        at = read_date(word.rpartition(":")[2])
        assert at is None or -(1 << 53) < at < 1 << 53


QUERIES = ("from=4711&type=message.*&type=credit.low&provider=a&client=unix%3Ax&tag=otp&id=1&batch=1", "from=0", "token=x")
EVENT = Facts("message.sent", "a", "unix:x", "1", ["otp"])


def tell_feed(rand: Random) -> None:
    """What comes with a request for the feed is obeyed or refused by its name; a token is known or not, a host ours or not."""
    try:
        ask = read_ask(spoil(rand, rand.choice(QUERIES)))
        assert ask.after is None or 0 <= ask.after < 1 << 63
        assert ask.filter is None or ask.filter.takes(EVENT) in (True, False)
    except BadAsk as bad:
        assert str(bad).isprintable()
    try:
        token = find_token([spoil(rand, "Bearer abc")] * rand.randrange(3), [spoil(rand, "bearer.abc")] * rand.randrange(2))
        assert Credential(token, is_local=False).find_access({}, require_token=False) is None
    except BadCredential as bad:
        assert "abc" not in str(bad)
    host = split_host(spoil(rand, rand.choice(("127.0.0.1:8781", "[::1]:80", "example.org", "localhost"))))
    if host is not None and is_listed(host, "127.0.0.1:8781", "127.0.0.1", 8781):
        assert host[0] in ("localhost", "127.0.0.1", "::1")
        assert is_foreign(spoil(rand, "http://evil.example:8781"), host)


DOCUMENTS = (
    '<?xml version="1.0" encoding="utf-8"?><message><sender>9998887777</sender><content><![CDATA[a & b]]></content></message>',
    '<!DOCTYPE a [<!ENTITY b "c"><!ENTITY d "&b;&b;&b;">]><a>&d;</a>',
    '<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>',
    "<a>" * 30 + "x" + "</a>" * 30,
    '<s:Envelope xmlns:s="u"><s:Body><r xsi:type="x">ID:1</r></s:Body></s:Envelope>',
)


def measure(element: Element) -> int:
    """How many elements stand inside each other."""
    return 1 + max(map(measure, element.children), default=0)


def tell_markup(rand: Random) -> None:
    """A document is elements and text, with no entity and no depth; what we write into one comes out as it was."""
    data = spoil_octets(rand, rand.choice(DOCUMENTS))
    try:
        root = read_markup(data, rand.choice((None, "utf-8", "latin-1", "utf-7", "nope", "")))
        assert measure(root) <= MOST_DEPTH
        assert b"<!DOCTYPE" not in data or b"<![CDATA[" in data or "<!DOCTYPE" not in data.decode("utf-8", "replace")[:9]
    except MarkupError as error:
        assert len(str(error)) < 200
    text = "".join(rand.choice("a<>&'\"]\n é€😀") for _ in range(9))
    assert read_markup(f"<a>{escape_markup(text)}</a>".encode()).text == text


NUMBERS = ("+886912345678", "0912 345-678", "00306912345678", "(0)20 7946 0018", "+44 (0)20 7946 0018", "+12025550100", "+883510000000000")


def tell_numbers(rand: Random) -> None:
    """A number is E.164, reads as itself, is masked; or it is refused, and the refusal does not show it."""
    written = spoil(rand, rand.choice(NUMBERS), 3)
    try:
        number = read_number(written, rand.choice((None, "TW", "GR", "GB", "US", "RU", "IT", "XX")))
        assert read_number(number.e164, None) == number
        assert number.e164[1:].isascii()
        assert number.e164[1:].isdigit()
        assert number.e164 not in repr(number)
        assert number.e164 not in mask(number.e164)
        assert number_type(number.e164)
    except NumberError as error:
        assert len(written.strip()) < 8 or written not in str(error)
    try:
        assert read_mail(read_mail(spoil(rand, "a.b+c@example.org"))).count("@") == 1
    except AddressError as error:
        assert "example.org" not in str(error)


WINDOWS = ("08:00-20:00 local", "Mon-Fri 09:00-18:00 Europe/Athens", "Sat 22:00-06:00 UTC")


def tell_spans(rand: Random) -> None:
    """Spans, times, rates, prices and addresses are read as they are written again, or refused by the one exception of each."""
    for read, show, sample, refusal in (
        (read_span, show_span, "250ms", ValueError),
        (read_time, show_time, "2026-11-21T20:00:00.123Z", ValueError),
        (read_rate, show_rate, "50/s", Fault),
        (read_micro, show_micro, "0.90", MoneyError),
        (read_address, str, "https://sms.example.org:8443/api?x=1", Fault),
    ):
        reader: Callable[[Any], Any] = read
        try:
            value = reader(spoil(rand, sample, 3))
            again: Callable[[Any], str] = show
            assert reader(again(value)) == value
        except refusal:
            continue
    window = Window(rand.choice(WINDOWS))
    now = NOW + rand.randrange(400 * 86_400_000)
    opens = window.find_opening(lambda: ("Asia/Taipei",), now)
    assert opens is None or (opens > now and window.find_opening(lambda: ("Asia/Taipei",), opens) is None)


STORIES = {
    "lines": tell_lines,
    "settings": tell_settings,
    "answers": tell_answers,
    "receipts": tell_receipts,
    "feed": tell_feed,
    "markup": tell_markup,
    "numbers": tell_numbers,
    "spans": tell_spans,
}
