"""SMSC.ru's HTTP side: balance, price and HLR requests against the twin, every error, and what is sent to our handler."""

from typing import Any

import msgspec
import pytest

from broker.provider.contract import Ask, Balance, CallbackRequest, Outcome, Reply, Secret, TwinRequest
from broker.words.receipt import Lookup
from tests.plugins.test_smscru import PLUGIN, make, make_config, make_twin

URL = "http://smsc.test"


def reach(twin: Any, call: Any) -> Reply:
    """The twin's answer to a call."""
    assert call.url.startswith(f"{URL}/sys/")
    assert "hunter2" not in call.url
    request = TwinRequest(call.method, call.url.removeprefix(URL), "", {}, call.body)
    reply = twin.answer(request, 0)
    return Reply(reply.status, {name.lower(): value for name, value in reply.headers}, reply.body)


@pytest.mark.parametrize("keys", [{"password": Secret("hunter2")}, {"username": "", "password": Secret(""), "api_key": Secret("hunter2")}])
def test_the_web_side_with_its_twin(keys: dict[str, Any]) -> None:
    config = make_config(http_url=URL, **keys)
    twin = make_twin(balance="99.5", cost="1.44", **({"api_key": "hunter2"} if "api_key" in keys else {"password": "hunter2"}))
    send = make("", "hlr", to="+79161234567")
    assert PLUGIN.balance
    assert PLUGIN.parse_balance
    assert PLUGIN.parse_balance(config, reach(twin, PLUGIN.balance(config, 0))) == [Balance("money", "RUB", 99_500_000)]
    assert PLUGIN.price
    assert PLUGIN.parse_price
    assert PLUGIN.parse_price(config, reach(twin, PLUGIN.price(config, [make()], 0)), [make()]) == (1_440_000, 1)
    assert PLUGIN.build
    assert PLUGIN.parse
    [outcome] = PLUGIN.parse(config, reach(twin, PLUGIN.build(config, [send], 0)), [send])
    assert outcome == Outcome("accepted", None, None, ("855469",))
    ask = Ask("m1/1", outcome.refs, "+79161234567", "k", 0, "hlr")
    assert PLUGIN.query
    assert PLUGIN.parse_query
    [receipt] = PLUGIN.parse_query(config, reach(twin, PLUGIN.query(config, [ask], 0)), [ask])
    assert receipt.lookup == Lookup("delivrd", "Russian Federation", "25002", "MegaFON open Joint Stock Company", None, "0")
    assert "imsi" not in str(msgspec.to_builtins(receipt))
    stranger = make_config(http_url=URL, password=Secret("wrong"))
    assert PLUGIN.parse_balance(stranger, reach(twin, PLUGIN.balance(stranger, 0))) == Outcome(
        "misconfigured", "2", "wrong login, password or key, or our address is not allowed"
    )


@pytest.mark.parametrize(
    ("code", "class_"),
    [
        *((code, "misconfigured") for code in "124"),
        ("3", "no_credit"),
        *((code, "unsuitable") for code in "56"),
        *((code, "rejected") for code in "78"),
        ("9", "duplicate"),
        ("77", "in_doubt"),
    ],
)
def test_errors_of_the_web_side(code: str, class_: str) -> None:
    body = msgspec.json.encode({"error": "words", "error_code": int(code)})
    assert PLUGIN.parse
    assert PLUGIN.parse(make_config(), Reply(200, {}, body), [make()])[0].class_ == class_


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"{", b'{"id":0}', b'{"id":"x"}', b'{"id":null}', b"1", b"\xff", b'{"balance":"nan"}']
)
def test_nonsense_proves_nothing(body: bytes) -> None:
    config, reply = make_config(), Reply(200, {}, body)
    assert PLUGIN.parse
    assert PLUGIN.parse(config, reply, [make()])[0].class_ == "in_doubt"
    assert PLUGIN.parse_balance
    assert isinstance(PLUGIN.parse_balance(config, reply), Outcome)
    assert PLUGIN.parse_price
    assert isinstance(PLUGIN.parse_price(config, reply, [make()]), Outcome)
    assert PLUGIN.parse_query
    assert PLUGIN.parse_query(config, reply, [Ask("m/1", ("1",), "+7", "k", 0)])[0].class_ == "query_error"


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("cn=%D0%EE%F1%F1%E8%FF", "Россия"),  # windows-1251, the provider's own charset where nobody says another
        ("cn=%D0%A0%D0%BE%D1%81%D1%81%D0%B8%D1%8F", "Россия"),
        ("cn=Russian+Federation", "Russian Federation"),
        ("cn=Russian%2BFederation", "Russian Federation"),  # urlencoded by itself, and again as a parameter
        ("cn=", None),
    ],
)
def test_a_country_s_name_at_our_address(said: str, name: str | None) -> None:
    assert PLUGIN.receipts
    parsed = PLUGIN.receipts(make_config(), CallbackRequest("POST", "", {}, f"id=77&status=1&mcc=250&mnc=2&{said}".encode()), 0)
    assert parsed.receipts[0].lookup == Lookup("delivrd", name, "25002")


@pytest.mark.parametrize(
    ("query", "body", "found"),
    [
        ("id=77&status=1", b"", [("delivered", "77", None)]),
        ("", b"id=77&status=20&err=006&phone=79161234567", [("undelivered", "77", "err 006")]),
        ("", b"ID=77&STATUS=0", [("progress", "77", None)]),
        ("id=77", b"status=3", [("expired", "77", None)]),
        ("", b"id=77&status=UNDELIV", [("undelivered", "77", None)]),  # as SMPP says it
        ("id=77&stat=expired", b"", [("expired", "77", None)]),
        ("id=77", b"", [("unrecognised", "77", "the call does not say what: the provider is asked")]),
        ("id=x&status=1", b"", []),
        ("id=77&status=-3", b"", []),
        ("id=77&status=99", b"", [("unrecognised", "77", "the call does not say what: the provider is asked")]),
        ("&" * 1_000, b"\xff" * 100, []),
    ],
)
def test_results_sent_to_our_address(query: str, body: bytes, found: list[tuple[str, str, str | None]]) -> None:
    assert PLUGIN.receipts
    parsed = PLUGIN.receipts(make_config(), CallbackRequest("POST", query, {}, body), 0)
    assert [(receipt.class_, receipt.ref, receipt.detail) for receipt in parsed.receipts] == found
    assert parsed.answer.status == 200
