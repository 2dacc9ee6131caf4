"""The twin of iSMS.gr: what it takes, refuses, charges and delivers, read back by the plugin."""

from decimal import Decimal
from urllib.parse import urlsplit

import pytest

from broker.provider.contract import Ask, Balance, Outcome, Receipt, Secret, Send, TwinRequest
from plugins.isms import plugin
from plugins.isms.twin import Twin
from tests.plugins.samples import make_ask, make_send, reach

MOBILE = "+306912345678"
TWIN_CONFIG = plugin.Config(username="demo", password=Secret("demo"), url="http://127.0.0.1:1/x/")


def send_to(twin: Twin, send: Send, config: plugin.Config = TWIN_CONFIG) -> Outcome:
    (outcome,) = plugin.parse(config, reach(twin, plugin.build(config, [send], 0)), [send])
    return outcome


def ask_of(twin: Twin, ask: Ask, now: int) -> Receipt:
    (receipt,) = plugin.parse_query(TWIN_CONFIG, reach(twin, plugin.query(TWIN_CONFIG, [ask], now), now), [ask])
    return receipt


def count_of(twin: Twin) -> list[Balance] | Outcome:
    return plugin.parse_balance(TWIN_CONFIG, reach(twin, plugin.balance(TWIN_CONFIG, 0)))


def test_the_twin_takes_a_message_and_delivers_it_after_a_second() -> None:
    twin = Twin(balance="2.5")
    outcome = send_to(twin, make_send("γεια"))
    assert outcome.class_ == "accepted"
    assert twin.sent == [("306912345678", "γεια", outcome.refs[0])]
    ask = make_ask(outcome.refs[0], MOBILE)
    seen = [ask_of(twin, ask, now).code for now in (0, 499, 500, 999, 1000, 9000)]
    assert seen == ["Queued", "Queued", "Pending", "Pending", "Delivered", "Delivered"]
    assert count_of(twin) == [Balance("credits", "credits", 1_500_000)]
    assert send_to(twin, make_send("x" * 161)).code == "Insufficient credits."
    assert count_of(twin) == [Balance("credits", "credits", 1_500_000)]


def test_the_twin_gives_every_recipient_its_fate() -> None:
    twin = Twin(fates={"+306912345678": "Failed"}, settle=5)
    outcome = send_to(twin, make_send())
    assert ask_of(twin, make_ask(outcome.refs[0], MOBILE), 5).class_ == "undelivered"
    assert ask_of(twin, make_ask(outcome.refs[0], "+306900000000"), 5).code == "No such message or recipient."


@pytest.mark.parametrize("code", plugin.CODES)
def test_the_twin_gives_every_code_of_the_manual(code: str) -> None:
    twin = Twin(answers=[code])
    assert send_to(twin, make_send()) == Outcome(plugin.CODES[code], code)
    assert send_to(twin, make_send()).class_ == "accepted"
    twin.fault = code
    assert [send_to(twin, make_send()).code for _ in range(2)] == [code, code]
    twin.fault = None
    assert send_to(twin, make_send()).class_ == "accepted"
    assert len(twin.sent) == 2


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ("to=30691", "Error: Invalid sender identity."),
        ("from=TOOLONGNAMES&to=30691", "Error: Invalid sender identity."),
        ("from=ACME", "Error: No recipients."),
        ("from=ACME&to=,", "Error: No recipients."),
        ("from=ACME&to=30691&schedule=soon", "Error: Invalid scheduling date."),
        ("from=ACME&to=30691,30692&message=x", "ID:TWIN000001"),
    ],
)
def test_the_twin_answers_a_malformed_send_as_the_manual_says(query: str, answer: str) -> None:
    twin = Twin()
    request = TwinRequest("GET", "/api/http/send.php", f"username=demo&password=demo&{query}", {}, b"")
    assert twin.answer(request, 0).body.decode() == answer
    assert twin.balance == Decimal(1000) - len(twin.sent)


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ("mobile=30691", "Error: No message ID defined."),
        ("mid=A", "Error: No mobile defined."),
        ("mid=A&mobile=30691", "Error: No such message or recipient."),
    ],
)
def test_the_twin_answers_a_malformed_query_as_the_manual_says(query: str, answer: str) -> None:
    request = TwinRequest("GET", "/api/http/query.php", f"username=demo&password=demo&{query}", {}, b"")
    assert Twin().answer(request, 0).body.decode() == answer


def test_the_twin_knows_its_password() -> None:
    twin = Twin(username="u", password="sécret")
    config = plugin.Config(username="u", password=Secret("sécret"), url=TWIN_CONFIG.url)
    assert send_to(twin, make_send()).code == "Authentication error."
    assert send_to(twin, make_send(), config).class_ == "accepted"
    refused = count_of(twin)
    assert isinstance(refused, Outcome)
    assert refused.class_ == "misconfigured"
    assert ask_of(twin, make_ask("A", MOBILE), 0).code == "Authentication error."


def test_the_twin_mangles_what_is_sent_as_gsm_and_is_not() -> None:
    query = "username=demo&password=demo&from=ACME&to=30691&message=%CE%B3%CE%B1%CE%A9"
    twin = Twin()
    twin.answer(TwinRequest("GET", "/api/http/send.php", query, {}, b""), 0)
    assert [text for _, text, _ in twin.sent] == ["??Ω"]


def test_the_twin_fails_in_the_ways_that_no_manual_lists() -> None:
    twin = Twin(answers=["503", "html", "empty", "cut", "late"])
    call = plugin.build(TWIN_CONFIG, [make_send()], 0)
    assert reach(twin, call).status == 503
    assert reach(twin, call).is_html
    assert twin.sent == []
    assert reach(twin, call).body == b""
    url = urlsplit(call.url)
    request = TwinRequest("GET", url.path.removeprefix("/x"), url.query, {}, b"")
    assert [(each.cut, each.delay) for each in (twin.answer(request, 0), twin.answer(request, 0))] == [(0, 0), (None, 600_000)]
    assert len(twin.sent) == 3


@pytest.mark.parametrize(("fault", "class_"), [("503", None), ("Authentication error.", "misconfigured")])
def test_the_twin_s_whole_service_fails(fault: str, class_: str | None) -> None:
    twin = Twin(fault=fault)
    found = count_of(twin)
    assert isinstance(found, Outcome)
    assert class_ in (None, found.class_)
    assert ask_of(twin, make_ask("A", MOBILE), 0).class_ == "query_error"
    twin.fault = None
    assert isinstance(count_of(twin), list)
