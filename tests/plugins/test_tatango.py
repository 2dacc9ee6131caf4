"""Tatango: what leaves, what every status means, and plugin and twin against each other without a network."""

import hashlib
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.provider.contract import Call, Outcome, Reply, Secret, Send, TwinReply, TwinRequest, Unsuitable
from broker.words.clock import HOUR, MINUTE, read_time
from broker.words.message import Message
from plugins.tatango import plugin
from plugins.tatango.twin import Twin

NOW = read_time("2026-11-21T20:00:00Z")
KEY, PASSWORD = "c4nary key/+", "c4nary-p4ssword"
CONFIG = plugin.Config(key=Secret(KEY), password=Secret(PASSWORD))
FORM = (("Content-Type", "application/x-www-form-urlencoded"),)


def send(to: str = "+12025550100", text: str = "here is a message") -> Send:
    return Send(Message("m1", "unix:shop", to, "US", text, "ucs2", 1, NOW, NOW + HOUR), "m1/1", 1, None, "m1/1")


def knock(twin: Twin, call: Call, **wrong: Any) -> TwinReply:
    url = urlsplit(call.url)
    request: dict[str, Any] = {"method": call.method, "path": url.path, "query": url.query, "body": call.body}
    return twin.answer(TwinRequest(headers={}, **(request | wrong)), NOW)


def submit(twin: Twin, one: Send) -> Outcome:
    answer = knock(twin, plugin.build(CONFIG, [one], NOW))
    reply = Reply(answer.status, {name.lower(): value for name, value in answer.headers}, answer.body)
    (outcome,) = plugin.parse(CONFIG, reply, [one])
    return outcome


def make_twin(**script: Any) -> Twin:
    return Twin(key=KEY, password=PASSWORD, **script)


# the MD5 sums are those of `printf '%s%s' PASSWORD TEXT | md5sum` in UTF-8
BUILDS = [
    (
        send("+19998887777"),
        "key=c4nary+key%2F%2B&recipient=9998887777&message=here+is+a+message&hash=6433e53b0791158fdab84d25a4ff7ef7",
    ),
    (
        send(text="50% off & more\nñ"),
        "key=c4nary+key%2F%2B&recipient=2025550100&message=50%25+off+%26+more%0A%C3%B1&hash=21c51667a86d641b690ecc1d714b66d7",
    ),
]


@pytest.mark.parametrize(("one", "body"), BUILDS)
def test_what_leaves(one: Send, body: str) -> None:
    call = plugin.build(CONFIG, [one], NOW)
    assert (call.method, call.url, call.headers) == ("POST", "https://gateway.tatango.com/messages", FORM)
    assert call.body.decode() == body


def test_another_address() -> None:
    config = plugin.Config(key=Secret(KEY), password=Secret(PASSWORD), url="https://proxy.example/t/")
    assert plugin.build(config, [send()], NOW).url == "https://proxy.example/t/messages"


def test_a_request_carries_one_message() -> None:
    assert plugin.TRAITS.batch == 1
    with pytest.raises(ValueError, match="too many values"):
        plugin.build(CONFIG, [send(), send()], NOW)


# every row of the provider's table
STATUSES = {
    200: ("accepted", None),
    202: ("accepted", "opt-in pending"),
    400: ("rejected", "invalid phone number"),
    401: ("misconfigured", "key or hash refused"),
    403: ("blocked", "the number is blocked: do not send again"),
    409: ("retry_later", "invitation pending, not sent"),
    500: ("in_doubt", "internal error"),
    501: ("misconfigured", "not implemented"),
    503: ("unavailable", "the provider's queue is down"),
}


def test_the_table_is_whole() -> None:
    assert {int(code): class_ for code, class_ in plugin.CODES.items()} == {s: c for s, (c, _) in STATUSES.items()}
    assert frozenset(STATUSES) == plugin.TRAITS.statuses


@pytest.mark.parametrize("body", [b"", b"OK", b"\xff{"])
@pytest.mark.parametrize(("status", "said"), STATUSES.items())
def test_every_status(status: int, said: tuple[str, str | None], body: bytes) -> None:
    (outcome,) = plugin.parse(CONFIG, Reply(status, {}, body), [send()])
    assert (outcome.class_, outcome.detail) == said
    assert (outcome.code, outcome.refs) == (str(status), ())


@pytest.mark.parametrize(("text", "class_"), [("ascii", "misconfigured"), ("", "misconfigured"), ("ñ", "unsuitable")])
def test_a_refused_hash_blames_the_text_where_it_may(text: str, class_: str) -> None:
    (outcome,) = plugin.parse(CONFIG, Reply(401), [send(text=text)])
    assert (outcome.class_, outcome.code) == (class_, "401")


@pytest.mark.parametrize(("status", "said"), STATUSES.items())
def test_a_page_is_never_the_providers_word(status: int, said: tuple[str, str | None]) -> None:
    (outcome,) = plugin.parse(CONFIG, Reply(status, {"content-type": "text/html"}, b"<h1>Denied</h1>"), [send()])
    assert outcome.class_ == ("misconfigured" if 400 <= status < 500 else "in_doubt")
    assert outcome.evidence == "html"


def test_nothing_comes_after_the_answer() -> None:
    assert (plugin.TRAITS.receipts, plugin.TRAITS.unit, plugin.TRAITS.doubt) == ((), None, frozenset())
    assert not any(hasattr(plugin, name) for name in ("query", "balance", "buckets", "QUERY_CODES"))


@pytest.mark.parametrize(("status", "said"), STATUSES.items())
def test_every_status_from_the_twin(status: int, said: tuple[str, str | None]) -> None:
    taken = [("2025550100", "here is a message", "")] if status < 300 else []
    for script in ({"answers": [str(status)]}, {"fault": str(status)}, {"fates": {"+12025550100": str(status)}}):
        twin = make_twin(**script)
        outcome = submit(twin, send())
        assert (outcome.class_, outcome.detail) == said
        assert twin.sent == taken
        assert submit(twin, send("+12025550101")).class_ == (said[0] if twin.fault else "accepted")


@pytest.mark.parametrize(
    ("fault", "cut", "delay", "taken"), [("html", None, 0, 0), ("empty", None, 0, 1), ("cut", 0, 0, 1), ("late", None, 10, 1)]
)
def test_what_can_happen_to_an_answer(fault: str, cut: int | None, delay: int, taken: int) -> None:
    twin = make_twin(fault=fault)
    answer = knock(twin, plugin.build(CONFIG, [send()], NOW))
    assert (answer.status, answer.cut, answer.delay, len(twin.sent)) == (200, cut, delay * MINUTE, taken)
    assert Reply(200, dict(answer.headers), answer.body).is_html == (fault == "html")


def test_a_wrong_request_is_refused() -> None:
    call = plugin.build(CONFIG, [send()], NOW)
    wrong: list[tuple[int, dict[str, Any]]] = [
        (401, {"body": call.body.replace(b"c4nary", b"canary")}),
        (401, {"body": call.body.replace(b"a+message", b"another")}),
        (401, {"body": b""}),
        (400, {"body": call.body.replace(b"2025550100", b"12025550100")}),
        (400, {"body": call.body.replace(b"2025550100", b"")}),
        (405, {"method": "GET"}),
        (404, {"path": "/message"}),
    ]
    twin = make_twin()
    assert [knock(twin, call, **fields).status for _, fields in wrong] == [status for status, _ in wrong]
    assert twin.sent == []


def test_another_charset_fails_only_beyond_ascii() -> None:
    twin = make_twin(charset="latin-1")
    assert submit(twin, send()).class_ == "accepted"
    assert submit(twin, send(text="mañana")).class_ == "unsuitable"


def test_the_account_s_charset_is_that_of_text_and_hash() -> None:
    twin, config = make_twin(charset="latin-1"), plugin.Config(key=Secret(KEY), password=Secret(PASSWORD), charset="latin-1")
    call = plugin.build(config, [send(text="mañana")], NOW)
    assert b"&message=ma%F1ana&hash=" in call.body
    assert knock(twin, call).status == 200
    assert twin.sent == [("2025550100", "mañana", "")]
    with pytest.raises(Unsuitable) as refusal:
        plugin.build(config, [send(text="γεια")], NOW)
    assert (refusal.value.code, "γ" in refusal.value.detail) == ("charset", False)


@given(st.from_regex(r"\+1[2-9][0-9]{9}", fullmatch=True), st.text(st.characters(exclude_categories=["Cs"])))
def test_the_twin_reads_what_was_meant(to: str, text: str) -> None:
    twin = make_twin()
    assert submit(twin, send(to, text)) == Outcome("accepted", code="200")
    assert twin.sent == [(to[2:], text, "")]


@given(st.integers(100, 599), st.binary(max_size=40), st.sampled_from(["text/plain", "text/html", ""]))
def test_no_answer_raises_or_is_believed_without_its_status(status: int, body: bytes, kind: str) -> None:
    reply = Reply(status, {"content-type": kind}, body)
    (outcome,) = plugin.parse(CONFIG, reply, [send()])
    assert (outcome.class_ == "accepted") == (status in (200, 202) and not reply.is_html)
    assert (outcome.class_ == "blocked") == (status == 403 and not reply.is_html)


def test_key_password_and_hash_show_nowhere() -> None:
    call = plugin.build(CONFIG, [send()], NOW)
    (digest,) = parse_qs(call.body.decode())["hash"]
    assert digest == hashlib.md5(f"{PASSWORD}here is a message".encode()).hexdigest()  # noqa: S324 - as the vendor asks
    assert set(call.secrets) >= {KEY, "c4nary+key%2F%2B", PASSWORD, digest}
    assert PASSWORD not in call.body.decode()
    assert not any(secret in repr((CONFIG, call, make_twin())) for secret in call.secrets)
    echo = Reply(401, {}, call.body)
    assert "c4nary" not in repr((echo, plugin.parse(CONFIG, echo, [send()])))
