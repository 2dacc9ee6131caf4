"""The twin of SubitoSMS: what it takes, refuses, charges and delivers, read back by the plugin."""

import json
from typing import Any

import pytest

from broker.provider.contract import Ask, Outcome, Receipt, Secret, Send, TwinRequest
from plugins.subito import plugin
from plugins.subito.twin import Twin
from tests.plugins import samples
from tests.plugins.samples import reach

TWIN_CONFIG = plugin.Config(username="demo", password=Secret("demo"), url="http://127.0.0.1:1/x/")


def make_send(text: str = "Hello", to: str = "+393351234567", sender: str | None = "SubitoSMS") -> Send:
    return samples.make_send(text, to, sender)


def make_ask(group: str = "12293682", recipient: str = "+393351234567") -> Ask:
    return samples.make_ask(group, recipient)


def send_to(twin: Twin, *sends: Send, config: plugin.Config = TWIN_CONFIG) -> list[Outcome]:
    return plugin.parse(config, reach(twin, plugin.build(config, sends, 0)), sends)


def ask_of(twin: Twin, asks: list[Ask], now: int) -> list[Receipt]:
    return plugin.parse_query(TWIN_CONFIG, reach(twin, plugin.query(TWIN_CONFIG, asks, now), now), asks)


def count_of(twin: Twin) -> dict[str, int]:
    found = plugin.parse_balance(TWIN_CONFIG, reach(twin, plugin.balance(TWIN_CONFIG, 0)))
    assert isinstance(found, list)
    return {each.bucket: each.amount // 1_000_000 for each in found}


def test_the_twin_takes_a_group_and_settles_it_after_a_second() -> None:
    twin = Twin(fates={"+393470000000": "16"})
    sends = [make_send("Città €"), make_send(to="+393470000000")]
    outcomes = send_to(twin, *sends)
    assert [each.class_ for each in outcomes] == ["accepted", "accepted"]
    group = outcomes[0].refs[0]
    assert outcomes[1].refs == (group,)
    assert twin.sent == [("+393351234567", "Città €", group), ("+393470000000", "Hello", group)]
    asks = [make_ask(group), make_ask(group, "+393470000000"), make_ask("404")]
    seen = [[each.code for each in ask_of(twin, asks, now)] for now in (0, 499, 500, 999, 1000, 9000)]
    assert seen == [["0", "0", None]] * 2 + [["8", "8", None]] * 2 + [["1", "16", None]] * 2


def test_the_twin_s_purses_pay_by_recipient_sender_and_segment() -> None:
    twin = Twin(balance={"Italy": 3, "ItalyLow": 1, "Foreign": 2})
    number = "+39335123456"
    steps: list[tuple[Send, str, dict[str, int]]] = [
        (make_send("x" * 161), "accepted", {"Italy": 1, "ItalyLow": 1, "Foreign": 2}),
        (make_send("x" * 161), "no_credit", {"Italy": 1, "ItalyLow": 1, "Foreign": 2}),
        (make_send(sender=number), "accepted", {"Italy": 0, "ItalyLow": 1, "Foreign": 2}),
        (make_send(), "no_credit", {"Italy": 0, "ItalyLow": 1, "Foreign": 2}),
        (make_send(sender=number), "accepted", {"Italy": 0, "ItalyLow": 0, "Foreign": 2}),
        (make_send(sender=number), "no_credit", {"Italy": 0, "ItalyLow": 0, "Foreign": 2}),
        (make_send("γ" * 71, "+41791234567"), "accepted", {"Italy": 0, "ItalyLow": 0, "Foreign": 0}),
        (make_send(to="+41791234567"), "no_credit", {"Italy": 0, "ItalyLow": 0, "Foreign": 0}),
    ]
    for send, class_, left in steps:
        (outcome,) = send_to(twin, send)
        assert (outcome.class_, count_of(twin)) == (class_, left)
    assert len(twin.sent) == 4


@pytest.mark.parametrize(("partial", "taken"), [(False, 0), (True, 2)])
def test_a_batch_without_credit_for_all_stays_in_doubt(partial: bool, taken: int) -> None:
    twin = Twin(balance=2, partial=partial)
    outcomes = send_to(twin, make_send(), make_send(to="+393470000000"), make_send(to="+393470000001"))
    assert [(each.class_, each.code) for each in outcomes] == [("in_doubt", "5")] * 3
    assert (len(twin.sent), count_of(twin)["Italy"]) == (taken, 2 - taken)


@pytest.mark.parametrize("code", plugin.CODES)
def test_the_twin_gives_every_code_of_the_manual(code: str) -> None:
    twin = Twin(answers=[code])
    assert [(each.class_, each.code) for each in send_to(twin, make_send())] == [(plugin.CODES[code], code)]
    assert send_to(twin, make_send())[0].class_ == "accepted"
    twin.fault = code
    assert [send_to(twin, make_send())[0].code for _ in range(2)] == [code, code]
    twin.fault = None
    assert send_to(twin, make_send())[0].class_ == "accepted"
    assert len(twin.sent) == 2


@pytest.mark.parametrize("code", plugin.QUERY_CODES)
def test_the_twin_gives_every_status_of_the_manual(code: str) -> None:
    twin = Twin(fates={"+393351234567": code}, settle=0)
    (outcome,) = send_to(twin, make_send())
    (receipt,) = ask_of(twin, [make_ask(outcome.refs[0])], 0)
    assert (receipt.class_, receipt.code) == (plugin.QUERY_CODES[code], code)


GOOD = '{"username":"demo","password":"demo"}'


@pytest.mark.parametrize(
    ("action", "body", "code"),
    [
        ("send", "", 1),
        ("send", "[]", 1),
        ("send", '{"data":[]}', 1),
        ("send", '{"auth":[],"data":[]}', 1),
        ("send", '{"auth":{},"data":[]}', 2),
        ("send", '{"auth":{"username":"demo"},"data":[]}', 3),
        ("send", '{"auth":{"username":"demo","password":"no"},"data":[]}', 4),
        ("send", f'{{"auth":{GOOD},"data":[]}}', 1),
        ("send", f'{{"auth":{GOOD},"data":[{{"dest":"+39335"}}]}}', 1),
        ("send", f'{{"auth":{GOOD},"data":[{{"sender":"A","dest":"+39335","text":"x"}},]}}', 1),
        ("status", f'{{"auth":{GOOD},"data":[]}}', 6),
        ("status", f'{{"auth":[{GOOD}],"data":[{{}}]}}', 6),
        ("status", f'{{"auth":{GOOD},"data":{{"data":{{"id":1}}}}}}', 6),
        ("sned", f'{{"auth":{GOOD},"data":[]}}', 7),
    ],
)
def test_the_twin_answers_a_malformed_request_as_the_manual_says(action: str, body: str, code: int) -> None:
    request = TwinRequest("POST", "/json.php", f"action={action}", {}, body.encode())
    assert json.loads(Twin().answer(request, 0).body)["error"]["code"] == code


@pytest.mark.parametrize("form", ["object", "list"])
def test_the_twin_takes_both_forms_of_the_credentials(form: Any) -> None:
    twin = Twin(username="u", password="é")
    config = plugin.Config(username="u", password=Secret("é"), url=TWIN_CONFIG.url, auth_form=form)
    assert send_to(twin, make_send(), config=config)[0].class_ == "accepted"
    assert send_to(twin, make_send())[0].code == "4"


def test_the_twin_cuts_what_is_longer_than_four_segments() -> None:
    twin = Twin(balance=4)
    assert send_to(twin, make_send("x" * 700))[0].class_ == "accepted"
    assert [len(text) for _, text, _ in twin.sent] == [612]
    assert plugin.TRAITS.max_segments == 4


def test_the_twin_fails_in_the_ways_that_no_manual_lists() -> None:
    twin = Twin(answers=["503", "html", "empty", "cut", "late", "strange"])
    call = plugin.build(TWIN_CONFIG, [make_send()], 0)
    assert reach(twin, call).status == 503
    assert reach(twin, call).is_html
    assert twin.sent == []
    assert reach(twin, call).body == b""
    request = TwinRequest("POST", "/json.php", "action=send", {}, call.body)
    assert [(each.cut, each.delay) for each in (twin.answer(request, 0), twin.answer(request, 0))] == [(0, 0), (None, 600_000)]
    assert len(twin.sent) == 3
    assert send_to(twin, make_send())[0].class_ == "in_doubt"


@pytest.mark.parametrize("fault", ["503", "1", "2", "3", "4"])
def test_the_twin_s_whole_service_fails(fault: str) -> None:
    twin = Twin(fault=fault)
    answer = reach(twin, plugin.balance(TWIN_CONFIG, 0))
    found = plugin.parse_balance(TWIN_CONFIG, answer)
    assert answer.status == 503 or (isinstance(found, Outcome) and found.code == fault)
    assert ask_of(twin, [samples.make_ask("7", "+393351234567")], 0)[0].class_ == "query_error"
    twin.fault = None
    assert count_of(twin) == {"Italy": 1000, "ItalyLow": 1000, "Foreign": 1000}
