"""Mitake's plugin and twin against each other without a network, and the twin against requests that are wrong."""

from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.provider.contract import Call, Outcome, Reply, Send, TwinReply, TwinRequest
from broker.words.clock import HOUR, MINUTE, SECOND
from plugins.mitake import plugin
from plugins.mitake.twin import Twin
from tests.plugins.test_mitake import CANARY, LONG, MTK, NOW, POINTS, SENDS, SMEXPRESS, WRONG, ask, send, sends

each_api = pytest.mark.parametrize("config", [SMEXPRESS, MTK], ids=["smexpress", "mtk"])


def exchange(twin: Twin, call: Call, now: int = NOW) -> Reply:
    """What the seam does, without a network."""
    url = urlsplit(call.url)
    headers = {name.lower(): value for name, value in call.headers}
    answer = twin.answer(TwinRequest(call.method, url.path, url.query, headers, call.body), now)
    return Reply(answer.status, {name.lower(): value for name, value in answer.headers}, answer.body)


def submit(twin: Twin, config: plugin.Config, batch: list[Send], now: int = NOW) -> list[Outcome]:
    return plugin.parse(config, exchange(twin, plugin.build(config, batch, now), now), batch)


def make_twin(**script: Any) -> Twin:
    return Twin(password=CANARY, **script)


# the twin's script, what each of two messages gets, which of them it took
SCRIPTS: list[tuple[dict[str, Any], str, str]] = [
    ({}, "accepted 1 accepted 1", "01"),
    ({"answers": ["v", "0"]}, "rejected v accepted 0", "1"),
    ({"answers": ["k"]}, "misconfigured k misconfigured k", ""),
    ({"fault": "r"}, "unavailable r unavailable r", ""),
    ({"fault": "s"}, "no_credit s no_credit s", ""),
    ({"balance": 1}, "accepted 1 no_credit s", "0"),
    ({"fault": "Q"}, "in_doubt Q in_doubt Q", ""),
    ({"fault": "html"}, "in_doubt None in_doubt None", ""),
    ({"fault": "empty"}, "in_doubt None in_doubt None", "01"),
    ({"username": "other"}, "misconfigured e misconfigured e", ""),
]


@each_api
@pytest.mark.parametrize(("script", "said", "taken"), SCRIPTS)
def test_the_script(config: plugin.Config, script: dict[str, Any], said: str, taken: str) -> None:
    twin = make_twin(**script)
    outcomes = submit(twin, config, sends(2))
    assert " ".join(f"{o.class_} {o.code}" for o in outcomes) == said
    assert "".join(text.removeprefix("text ") for _, text, _ in twin.sent) == taken


@each_api
@pytest.mark.parametrize(("code", "class_"), SENDS.items())
def test_every_code_from_the_twin(config: plugin.Config, code: str, class_: str) -> None:
    twin = make_twin(answers=[code])
    first, second = (submit(twin, config, [send(n=n)])[0] for n in (1, 2))
    assert (first.class_, first.code) == (class_, code)
    assert (second.class_, len(twin.sent)) == ("accepted", 2 if class_ == "accepted" else 1)


@each_api
def test_points_are_counted_by_segment(config: plugin.Config) -> None:
    twin = make_twin(balance=98)
    (outcome,) = submit(twin, config, [send(text=LONG)])
    assert outcome.balances == POINTS
    assert plugin.parse_balance(config, exchange(twin, plugin.balance(config, NOW))) == list(POINTS)
    twin.fault = "e"
    assert plugin.parse_balance(config, exchange(twin, plugin.balance(config, NOW))) == WRONG


@each_api
def test_fates_come_with_time(config: plugin.Config) -> None:
    twin = make_twin(fates={"+886912345670": "8", "0912345671": "6"})
    batch = [*sends(3), send(text=LONG, n=4)]
    outcomes = [submit(twin, config, [one])[0] for one in batch]
    asks = [ask(*outcome.refs) for outcome in outcomes] + [ask("0000000001")]

    def fates(now: int) -> list[tuple[str, int | None]]:
        reply = exchange(twin, plugin.query(config, asks, now), now)
        return [(receipt.class_, receipt.at) for receipt in plugin.parse_query(config, reply, asks)]

    assert fates(NOW + 999) == [*[("progress", NOW)] * 4, ("query_error", None)]
    later = [(class_, NOW + SECOND) for class_ in ("expired", "undelivered", "delivered", "delivered")]
    assert fates(NOW + SECOND) == fates(NOW + HOUR) == [*later, ("query_error", None)]


def test_a_repeat_sends_nothing_for_twelve_hours() -> None:
    twin = make_twin(answers=["cut"])
    call = plugin.build(MTK, [send()], NOW)
    url = urlsplit(call.url)
    assert twin.answer(TwinRequest("POST", url.path, url.query, {}, call.body), NOW).cut == 0
    for batch in ([send()], [send(), send("+886912345679", n=2)]):
        again = submit(twin, MTK, batch, NOW + 12 * HOUR - 1)[0]
        assert (again.class_, again.evidence, again.refs) == ("accepted", "duplicate", ("#000000013",))
    assert len(twin.sent) == 2
    assert submit(twin, MTK, [send()], NOW + 12 * HOUR)[0].evidence is None


CHARACTERS = st.characters(exclude_categories=["Cc", "Cs"]) | st.sampled_from("\n$%+&=[]\u2028")
TEXTS = st.text(CHARACTERS, min_size=1, max_size=80).filter(lambda text: bool(text.strip()))
NUMBERS = st.from_regex(r"\+(8869[0-9]{8}|[1-7][0-9]{8,12})", fullmatch=True)


@given(st.lists(st.tuples(NUMBERS, TEXTS), min_size=1, max_size=4), st.sampled_from([SMEXPRESS, MTK]))
def test_the_twin_reads_what_was_meant(pairs: list[tuple[str, str]], config: plugin.Config) -> None:
    twin = make_twin()
    batch = [send(to, text, n) for n, (to, text) in enumerate(pairs)]
    together = [one for one in batch if plugin.shape(config, one) is not None]
    alone = [one for one in batch if one not in together]
    outcomes = submit(twin, config, together) if together else []
    outcomes += [submit(twin, config, [one])[0] for one in alone]
    meant = [(one.message.to.replace("+8869", "09").lstrip("+"), one.message.text) for one in together + alone]
    assert [(to, text) for to, text, _ in twin.sent] == meant
    assert [outcome.refs for outcome in outcomes] == [(ref,) for _, _, ref in twin.sent]


def test_a_lost_answer_took_the_message() -> None:
    for fault, cut, delay in (("cut", 0, 0), ("late", None, 10 * MINUTE)):
        twin = Twin(fault=fault)
        answer = knock(twin, "GET /SmSendGet.asp", GOOD + "&encoding=UTF8")
        assert (answer.cut, answer.delay, len(twin.sent)) == (cut, delay, 1)


def knock(twin: Twin, target: str, fields: str) -> TwinReply:
    """A request by hand: method and address; `fields` go where that method has them."""
    method, _, address = target.partition(" ")
    path, _, query = address.partition("?")
    query, body = (fields, "") if method == "GET" else (query, fields)
    return twin.answer(TwinRequest(method, path, query, {}, body.encode()), NOW)


WHO = "username=demo&password=demo"
GOOD = f"{WHO}&dstaddr=0912345678&smbody=hi"
REQUESTS = [
    ("GET /SmSendGet.asp", GOOD.replace("username", "user"), 200, "statuscode=c"),
    ("GET /SmSendGet.asp", GOOD.replace("password", "pass"), 200, "statuscode=d"),
    ("GET /SmSendGet.asp", GOOD.replace("=demo&d", "=root&d"), 200, "[0]\r\nstatuscode=e\r\nError=帳號、密碼錯誤"),
    ("GET /SmSendGet.asp", GOOD.replace("=hi", "=%20"), 200, "statuscode=u"),
    ("GET /SmSendGet.asp", GOOD.replace("0912345678", "call%20me"), 200, "statuscode=v"),
    ("GET /SmSendGet.asp", GOOD + "x" * 69, 200, "statuscode=5"),
    ("GET /SpLmGet", GOOD + "x" * 69, 200, "msgid=#021BCAE83\r\nstatuscode=1\r\nAccountPoint=999"),
    ("POST /SmSendPost.asp?" + WHO, "[0]\r\nsmbody=hi\r\n", 200, "statuscode=v"),
    ("POST /SmSendPost.asp?" + WHO, "[0]\r\ndstaddr=0912345678\r\n", 200, "statuscode=u"),
    ("POST /SmSendPost.asp", "[0]\r\ndstaddr=0912345678\r\nsmbody=hi\r\n", 200, "statuscode=c"),
    ("POST /api/mtk/SmSend", GOOD, 200, "[1]\r\nmsgid="),
    ("POST /api/mtk/SmSend", GOOD.replace("0912345678", "%2B886%2009-12345678"), 200, "[1]\r\nmsgid="),
    ("POST /api/mtk/SmBulkSend?" + WHO, "key-00001$$0912345678\r\n", 200, "[key-00001]\r\nstatuscode=u"),
    ("POST /api/mtk/SmBulkSend?" + WHO, "k\r\n" * 501, 200, "statuscode=x"),
    ("POST /api/mtk/SmQuery", f"{WHO}&msgid={'1,' * 100}1", 200, "w"),
    ("POST /api/mtk/SmQuery", "username=demo", 200, "statuscode=d"),
    ("GET /SmQueryGet.asp", f"{WHO}&msgid=0000000001", 200, ""),
    ("POST /SmSendGet.asp", GOOD, 405, "<html>"),
    ("GET /api/mtk/SmSend", GOOD, 405, "<html>"),
    ("GET /api/mtk/SmCancel", WHO, 405, "<html>"),
    ("POST /api/mtk/SmCancel", WHO, 200, "=?"),
    ("POST /api/mtk/SmCancel", "username=demo&password=no", 200, "statuscode=e"),
    ("GET /SmCancel.asp", WHO, 404, "<html>"),
]


@pytest.mark.parametrize(("target", "fields", "status", "said"), REQUESTS)
def test_a_wrong_request_is_refused(target: str, fields: str, status: int, said: str) -> None:
    answer = knock(Twin(), target, fields)
    assert answer.status == status
    assert said in answer.body.decode("big5") if said else answer.body == b""


def test_without_an_encoding_the_text_is_read_as_big5() -> None:
    twin = Twin()
    knock(twin, "GET /SmSendGet.asp", GOOD.replace("=hi", "=%E6%82%A8"))
    knock(twin, "GET /SmSendGet.asp", GOOD.replace("=hi", "=%E6%82%A8") + "&encoding=UTF8")
    garbled, read = (text for _, text, _ in twin.sent)
    assert (garbled == "您", read == "您") == (False, True)


def test_two_dollars_end_a_row() -> None:
    """Why such a text has no shape that it could share: the rest of the text would be lost without a word."""
    twin = Twin()
    knock(twin, f"POST /api/mtk/SmBulkSend?{WHO}", "key-00001$$0912345678$$$$$$$$$$win $$100 now\r\n")
    assert [text for _, text, _ in twin.sent] == ["win "]
    assert plugin.shape(MTK, send(text="win $$100 now")) is None
