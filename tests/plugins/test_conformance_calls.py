"""One suite over what only some HTTP plugins have: calls to our address, cancel, address books, lookups, other channels, schedules.

As in test_conformance: their form, their answers to nonsense, their silence. What each provider's calls mean stands in its own tests.
"""

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote_from_bytes, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from broker.provider.contract import Call, CallbackRequest, ContactChange, Inbound, Outcome, Parsed, Receipt, Reply, Send
from broker.words.receipt import FINAL_RECEIPTS, RECEIPT_CLASSES
from tests.plugins.catalog import VARIANTS, Variant
from tests.plugins.test_conformance import CANARY, ECHOES, NOISE, NUMBERS, asks_for, forms_of, read_reply, request_of, sends_for

each_noise = pytest.mark.parametrize("body", NOISE.values(), ids=list(NOISE))
TOKEN = "00" * 20
FORM = "application/x-www-form-urlencoded"


def having(part: str) -> pytest.MarkDecorator:
    """The variants whose plugin has it; a variant whose account cannot use it is asked by its traits."""
    found = [variant for variant in VARIANTS if getattr(variant.plugin, part) is not None]
    return pytest.mark.parametrize("variant", found, ids=lambda variant: variant.label)


each_variant = pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.label)


def traits_of(variant: Variant) -> Any:
    return variant.plugin.find_traits(variant.make_config())


# --- form ---


@each_variant
def test_what_is_promised_is_there(variant: Variant) -> None:
    plugin, traits = variant.plugin, traits_of(variant)
    assert not traits.cancel or (plugin.cancel is not None and traits.schedule)
    assert "callback" not in traits.receipts or plugin.receipts is not None
    assert "token" not in traits.doubt or "callback" in traits.receipts
    assert ("key" in traits.doubt) == (traits.idempotency > 0)
    assert traits.batch == 1 or plugin.shape is not None or len({send.text for send in sends_for(variant, 2)}) == 2
    assert traits.options is None or "schedule" not in traits.options  # it is said by `schedule`


def make_other(variant: Variant, channel: str) -> Send:
    (send,) = sends_for(variant)
    return replace(send, channel=channel)


@each_variant
def test_every_channel_leads_to_a_call(variant: Variant) -> None:
    """Each channel that it names is another request than an SMS's: none is passed off as one."""
    plugin, config = variant.plugin, variant.make_config()
    (sms,) = sends_for(variant)
    seen = [show(plugin.build(config, [sms], 0))]
    for channel in sorted(traits_of(variant).channels - {"sms"}):
        seen.append(show(plugin.build(config, [make_other(variant, channel)], 0)))
    assert len(seen) == len(set(seen)) == len(traits_of(variant).channels)


def show(call: Call) -> tuple[str, str, bytes]:
    return call.method, call.url, call.body


@each_variant
def test_a_schedule_changes_the_call_and_only_where_it_is_asked_for(variant: Variant) -> None:
    plugin, config = variant.plugin, variant.make_config()
    (now,), (later,) = sends_for(variant), sends_for(variant)
    later.message.options = {"schedule": "1970-01-01T12:00:00Z"}
    at_once, kept = show(plugin.build(config, [now], 0)), show(plugin.build(config, [later], 0))
    assert (at_once != kept) == traits_of(variant).schedule
    assert "1970" not in at_once[1].replace("19700102", "")  # a validity may stand there


@each_variant
def test_a_callback_url_is_told_only_where_it_is_of_use(variant: Variant) -> None:
    plugin, config = variant.plugin, variant.make_config()
    send = replace(sends_for(variant)[0], callback_url="https://sms.example.org/cb/x/y/z")
    _, url, body = show(plugin.build(config, [send], 0))
    assert ("sms.example.org" in url + body.decode()) == ("callback" in traits_of(variant).receipts)


# --- nonsense ---


def requests_of(body: bytes) -> Iterator[CallbackRequest]:
    """The same octets in every place where a provider, or a stranger who has the address, could put them."""
    start = quote_from_bytes(body[:500])
    yield CallbackRequest("GET", body.decode("latin-1"), {}, b"", TOKEN)
    yield CallbackRequest("GET", f"{start}&msgid={start}&mid=x&status={start}&mobile={start}", {}, b"", None)
    for kind in ("", FORM, "text/xml; charset=nowhere", "text/xml; charset=utf-16"):
        yield CallbackRequest("POST", "", {"content-type": kind}, body, TOKEN)


def check(parsed: Parsed, request: CallbackRequest) -> None:
    assert isinstance(parsed, Parsed)
    assert 200 <= parsed.answer.status < 500
    assert all(name.isascii() and value.isprintable() for name, value in parsed.answer.headers)
    for receipt in parsed.receipts:
        assert isinstance(receipt, Receipt)
        assert receipt.class_ in RECEIPT_CLASSES
        assert receipt.token == request.token
        assert receipt.recipient is None or receipt.recipient.removeprefix("+").isdecimal()
        for shown in (receipt.ref, receipt.code, receipt.detail):
            assert shown is None or (shown.isprintable() and len(shown) <= 80)
    for inbound in parsed.inbound:
        assert isinstance(inbound, Inbound)
        assert 0 < len(inbound.sender) <= 40


@having("receipts")
@each_noise
def test_no_call_of_nonsense_is_believed(variant: Variant, body: bytes) -> None:
    for request in requests_of(body):
        parsed = variant.plugin.receipts(variant.make_config(), request, 0)
        check(parsed, request)
        assert {receipt.class_ for receipt in parsed.receipts}.isdisjoint(FINAL_RECEIPTS)
        assert parsed.inbound == ()


BIG: dict[str, bytes] = {
    "2 KB of query": b"msgid=A1&" * 230,
    "2 KB of one value": b"msgid=" + b"A" * 2000,
    "2 KB of names": b"&".join(b"n%d=1" % n for n in range(300)),
    "64 KB of body": b"status=Delivered&" + b"x" * 65_536,
    "64 KB of fields": b"a=1&" * 16_384,
    "64 KB of elements": b"<message>" + b"<a/>" * 16_000 + b"</message>",
    "64 KB of one element": b"<message><sender>9998887777</sender><content>" + b"x" * 65_400 + b"</content></message>",
    "64 KB of blanks": b" " * 65_536,
    "64 KB of NUL": b"\0" * 65_536,
    "64 KB of percent": b"%" * 65_536,
    "percent and NUL": b"msgid=%00&mid=%00&status=%00",
    "lone surrogates": b"msgid=%ED%A0%80&mobile=%ED%A0%80",
    "another charset": "msgid=帳號&mobile=帳號".encode("big5"),
}


@having("receipts")
@pytest.mark.parametrize("body", BIG.values(), ids=list(BIG))
def test_the_largest_and_the_strangest_call_raises_nothing(variant: Variant, body: bytes) -> None:
    for request in requests_of(body):
        check(variant.plugin.receipts(variant.make_config(), request, 0), request)


@having("receipts")
@given(st.text(max_size=60), st.binary(max_size=120), st.dictionaries(st.just("content-type"), st.text(max_size=30)), st.text(max_size=5))
def test_no_call_raises(variant: Variant, query: str, body: bytes, headers: dict[str, str], method: str) -> None:
    request = CallbackRequest(method, query, headers, body, TOKEN)
    check(variant.plugin.receipts(variant.make_config(), request, 0), request)


Read = Callable[[Any, Any, Reply], list[Any]]
READS: dict[str, Read] = {
    "cancel": lambda variant, config, reply: variant.plugin.parse_cancel(config, reply, asks_for(variant, 2)),
    "contact": lambda variant, config, reply: [variant.plugin.parse_contact(config, reply)],
}


@pytest.mark.parametrize(("variant", "part"), [(v, part) for part in READS for v in VARIANTS if getattr(v.plugin, part) is not None])
def test_nonsense_proves_nothing_here_either(variant: Variant, part: str) -> None:
    for body in [*NOISE.values(), b"OK\0", b"\xff", b"x=9", b"=9", b"123451=", b"123451=9=9\n"]:
        for each in READS[part](variant, variant.make_config(CANARY), Reply(200, {}, body)):
            assert each.class_ == "in_doubt" if isinstance(each, Outcome) else each.class_ not in FINAL_RECEIPTS


@pytest.mark.parametrize("variant", [v for v in VARIANTS if "hlr" in traits_of(v).channels], ids=lambda variant: variant.label)
def test_nonsense_finds_no_number(variant: Variant) -> None:
    config, asks = variant.make_config(CANARY), [replace(each, channel="hlr") for each in asks_for(variant)]
    for body in [*NOISE.values(), b";;;;;", b"Lost;a;b;c;d;e", b"Delivered;a", b"\xff;" * 6]:
        reply = Reply(200, {}, body)
        (outcome,) = variant.plugin.parse(config, reply, [make_other(variant, "hlr")])
        assert outcome.class_ == "in_doubt"
        (receipt,) = variant.plugin.parse_query(config, reply, asks)
        assert receipt.ref == asks[0].refs[0]
        assert receipt.lookup is None or (body.startswith(b"Delivered") and receipt.lookup.operator is None)


# --- silence ---


def more_calls(variant: Variant) -> Iterator[Call]:
    plugin, config, traits = variant.plugin, variant.make_config(CANARY), traits_of(variant)
    for channel in sorted(traits.channels):
        yield plugin.build(config, [make_other(variant, channel)], 0)
    if traits.cancel:
        yield plugin.cancel(config, asks_for(variant, 2), 0)
    if plugin.contact is not None:
        for action in ("add", "delete"):
            yield plugin.contact(config, ContactChange(action, NUMBERS[variant.name], "ciao", "ciao", "ciao"), 0)
    if "hlr" in traits.channels:
        yield plugin.query(config, [replace(each, channel="hlr") for each in asks_for(variant)], 0)


@each_variant
def test_every_call_names_its_secrets_and_prints_nothing(variant: Variant) -> None:
    for call in more_calls(variant):
        wire = "\n".join([call.url, call.body.decode(), *(value for _, value in call.headers)])
        for secret in sorted(call.secrets, key=len, reverse=True):
            wire = wire.replace(secret, "***")
        assert [form for form in forms_of(CANARY) if form in wire] == []
        for shown in (repr(call), f"{call}"):
            assert "canary" not in shown
            assert "ciao" not in shown


@pytest.mark.parametrize("echo", ECHOES)
@each_variant
def test_an_answer_that_repeats_what_was_asked_is_not_repeated(variant: Variant, echo: str) -> None:
    plugin, config, number = variant.plugin, variant.make_config(CANARY), NUMBERS[variant.name][1:]
    for value in (CANARY, number, f"no route to {number}"):
        reply = Reply(200, {}, echo.format(value, value, value).encode())
        found: list[Any] = []
        for part, read in READS.items():
            if getattr(plugin, part) is not None:
                found += read(variant, config, reply)
        if "hlr" in traits_of(variant).channels:
            found += plugin.parse_query(config, reply, [replace(each, channel="hlr") for each in asks_for(variant)])
        shown = repr([(each.code, each.detail, getattr(each, "lookup", None)) for each in found])
        assert "canary" not in shown
        assert number not in shown


# --- the twin ---


@each_variant
def test_the_twin_serves_every_call(variant: Variant) -> None:
    """Whatever the plugin can ask, its twin has an answer that is one: no page, no status of its own."""
    twin = variant.plugin.twin_type(username="demo", password=CANARY) if variant.name != "tatango" else variant.plugin.twin_type()
    for call in more_calls(variant):
        assert urlsplit(call.url).path.startswith(twin.paths)
        reply = read_reply(twin.answer(request_of(call), 0))
        assert not reply.is_html
        assert reply.status in traits_of(variant).statuses
