"""Mitake, both APIs: what leaves, what every answer means, and what no answer can do."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.provider.contract import Ask, Balance, Call, Outcome, Receipt, Reply, Secret, Send
from broker.words.clock import DAY, HOUR, read_time
from broker.words.message import Message
from plugins.mitake import plugin
from tests.plugins import golden

NOW = read_time("2026-11-21T20:00:00Z")
CANARY = "c4nary+s3cret/ü"
ACCOUNT = "username=demo&password=c4nary%2Bs3cret%2F%C3%BC"
KEY = "01938e0c-7a5b-7000-8000-00000000000{}"
GREETING = "您好 50%+1\nmore"
GREETING_ENCODED = "%E6%82%A8%E5%A5%BD%2050%25%2B1"
LONG = "長" * 71
SMEXPRESS = plugin.Config(username="demo", password=Secret(CANARY))
MTK = plugin.Config(username="demo", password=Secret(CANARY), api="mtk")


def send(
    to: str = "+886912345678", text: str = "hi", n: int = 1, callback: str | None = None, validity: int = DAY, schedule: object = None
) -> Send:
    message = Message(f"m{n}", "unix:shop", to, None, text, "ucs2", 1, NOW, NOW + validity)
    message.options = None if schedule is None else {"schedule": schedule}
    return Send(message, f"m{n}/1", 1, None, KEY.format(n), callback)


def sends(count: int) -> list[Send]:
    return [send(f"+88691234567{n}", f"text {n}", n) for n in range(count)]


def ask(*refs: str) -> Ask:
    return Ask("m1/1", refs, "+886912345678", KEY.format(1), NOW)


def parse_one(body: bytes, config: plugin.Config = SMEXPRESS) -> Outcome:
    return plugin.parse(config, Reply(200, {}, body), [send()])[0]


HOST = "http://smexpress.mitake.com.tw:"
ONE, LONGER = (f"{path}?{ACCOUNT}&encoding=UTF8" for path in ("SmSendGet.asp", "SpLmGet"))
OLD, LONG_OLD = f"GET {HOST}9600/{ONE}", f"GET {HOST}7002/{LONGER}"
BLOCKS = f"POST {HOST}9600/SmSendPost.asp?{ACCOUNT}&encoding=UTF8 text/plain "
NEW = "POST https://smsapi.mitake.com.tw/api/mtk/{} application/x-www-form-urlencoded " + ACCOUNT
BULK = f"POST https://smsapi.mitake.com.tw/api/mtk/SmBulkSend?{ACCOUNT}&Encoding_PostIn=UTF8 text/plain "
PROXY, LONG_PROXY = "https://proxy.example/m/", "https://long.example"
OTHER = plugin.Config(username="demo", password=Secret(CANARY), url=PROXY, long_url=LONG_PROXY)
CALLBACK, CALLBACK_ENCODED = "https://x.example/cb?q=1", "https%3A%2F%2Fx.example%2Fcb%3Fq%3D1"
ABROAD = "+302101234567"


def show(call: Call) -> str:
    """A request in one line: method, address, kind of body, body."""
    assert [name for name, _ in call.headers] == ["Content-Type"] * (call.method == "POST")
    return " ".join((call.method, call.url, *(kind for _, kind in call.headers), call.body.decode())).strip(" ")


BUILDS = [
    (SMEXPRESS, [send(text=GREETING)], f"{OLD}&dstaddr=0912345678&smbody={GREETING_ENCODED}%0Amore"),
    (SMEXPRESS, [send(ABROAD, "a", 1, CALLBACK)], f"{OLD}&dstaddr={ABROAD[1:]}&smbody=a&response={CALLBACK_ENCODED}"),
    (SMEXPRESS, [send(text="x" * 70)], f"{OLD}&dstaddr=0912345678&smbody={'x' * 70}"),
    (SMEXPRESS, [send(text=LONG)], f"{LONG_OLD}&dstaddr=0912345678&smbody={'%E9%95%B7' * 71}"),
    (SMEXPRESS, [send(text="😀" * 36)], f"{LONG_OLD}&dstaddr=0912345678&smbody={'%F0%9F%98%80' * 36}"),
    (OTHER, [send()], f"GET {PROXY}{ONE}&dstaddr=0912345678&smbody=hi"),
    (OTHER, [send(text="x" * 71)], f"GET {LONG_PROXY}/{LONGER}&dstaddr=0912345678&smbody={'x' * 71}"),
    (
        SMEXPRESS,
        [send(text="您好"), send("+886223456789", "b=1", 2, CALLBACK)],
        f"{BLOCKS}[0]\r\ndstaddr=0912345678\r\nsmbody=您好\r\n[1]\r\ndstaddr=886223456789\r\nsmbody=b=1\r\nresponse={CALLBACK}\r\n",
    ),
    (
        MTK,
        [send(text=GREETING, callback=CALLBACK)],
        f"{NEW.format('SmSend?CharsetURL=UTF8')}&dstaddr=0912345678&smbody={GREETING_ENCODED}%06more"
        f"&clientid={KEY.format(1)}&response={CALLBACK_ENCODED}",
    ),
    (
        MTK,
        [send(text=GREETING), send(ABROAD, LONG, 2, CALLBACK)],
        f"{BULK}{KEY.format(1)}$$0912345678$$$$$$$$$$您好 50%+1\x06more\r\n"
        f"{KEY.format(2)}$${ABROAD[1:]}$$$$$$$${CALLBACK}$${LONG}\r\n",
    ),
]


@pytest.mark.parametrize(("config", "batch", "wire"), BUILDS)
def test_what_leaves(config: plugin.Config, batch: list[Send], wire: str) -> None:
    assert show(plugin.build(config, batch, NOW)) == wire


QUESTIONS = [(SMEXPRESS, OLD.replace("SmSendGet", "SmQueryGet")), (MTK, NEW.format("SmQuery"))]


@pytest.mark.parametrize(("config", "wire"), QUESTIONS)
def test_what_is_asked(config: plugin.Config, wire: str) -> None:
    assert show(plugin.balance(config, NOW)) == wire
    asked = plugin.query(config, [ask("0939137671"), ask("#021BCAE83"), ask()], NOW)
    assert show(asked) == f"{wire}&msgid=0939137671%2C%23021BCAE83"


SENDS, RECEIPTS = golden.MITAKE_SEND, golden.MITAKE_FATES


@pytest.mark.parametrize(("code", "class_"), SENDS.items())
def test_every_code_of_a_send(code: str, class_: str) -> None:
    bare = parse_one(f"[1]\r\nstatuscode={code}\r\nError=錯誤\r\n".encode("big5"))
    assert (bare.class_, bare.code, bare.refs) == ("in_doubt" if class_ == "accepted" else class_, code, ())
    named = parse_one(f"[1]\r\nmsgid=0939137671\r\nstatuscode={code}\r\n".encode())
    evidence = None if class_ == "accepted" else "anomaly"
    assert (named.class_, named.code, named.evidence) == ("accepted", code, evidence)
    assert named.refs == ("0939137671",)


POINTS = (Balance("points", "points", 96_000_000),)
WRONG = Outcome("misconfigured", code="e", detail="account or password error")
BIG5 = "statuscode=e\r\nError=帳號、密碼錯誤\r\n".encode("big5")
NO_ID = Outcome("in_doubt", code="1", evidence="no_id")
ANSWERS: list[tuple[str, bytes, Outcome]] = [
    ("the manual's", b"[1]\r\nmsgid=0939137671\r\nstatuscode=1\r\nAccountPoint=96",
     Outcome("accepted", code="1", refs=("0939137671",), balances=POINTS)),
    ("its failure, in Big5", b"[0]\r\n" + BIG5, WRONG),
    ("the failure's text alone", BIG5[14:], WRONG),
    ("a long one's id, line feeds", b"[1]\nmsgid=#021BCAE83\nstatuscode=1\nAccountPoint=\n",
     Outcome("accepted", code="1", refs=("#021BCAE83",))),
    ("a repeat", b"[1]\r\nmsgid=#000000013\r\nstatuscode=1\r\nDuplicate=Y\r\n",
     Outcome("accepted", code="1", refs=("#000000013",), evidence="duplicate")),
    ("unknown code", b"[1]\r\nstatuscode=Q\r\n", Outcome("in_doubt", code="Q")),
    ("endless code", b"[1]\r\nstatuscode=" + CANARY.encode() + b"\r\n", Outcome("in_doubt")),
    ("no code", b"[1]\r\nmsgid=A1\r\n", Outcome("in_doubt", refs=("A1",), evidence="no_code")),
    ("cut in the id", b"[1]\r\nmsgid=09391", Outcome("in_doubt")),
    ("no id", b"[1]\r\nmsgid=\r\nstatuscode=1", NO_ID),
    ("no real id", b"[1]\r\nmsgid=#000\r\nstatuscode=1", NO_ID),
    ("foreign id", b"[1]\r\nmsgid=<b>\r\nstatuscode=1", NO_ID),
    ("points alone", b"AccountPoint=96", Outcome("in_doubt", evidence="unreadable", balances=POINTS)),
    ("empty", b"", Outcome("in_doubt", evidence="unreadable")),
    ("page", b"<html>\nstatuscode=e\nmsgid=1234\n</html>", Outcome("in_doubt", evidence="html")),
]  # fmt: skip


@pytest.mark.parametrize(("body", "outcome"), [a[1:] for a in ANSWERS], ids=[a[0] for a in ANSWERS])
def test_answers_to_one(body: bytes, outcome: Outcome) -> None:
    assert parse_one(body) == outcome
    assert parse_one(body.replace(b"[1]", f"[{KEY.format(1)}]".encode()), MTK) == outcome


def section(label: object, ref: str) -> str:
    return f"[{label}]\r\nmsgid={ref}\r\nstatuscode=1\r\n"


# three messages are sent; the class of those that are not in doubt, and each one's id
BATCHES: list[tuple[str, str, str]] = [
    ("from one", "".join(section(n, f"A{n}") for n in (1, 2, 3)), "accepted A1 A2 A3"),
    ("from none", "".join(section(n, f"A{n}") for n in (0, 1, 2)), "accepted A0 A1 A2"),
    ("one missing", section(1, "A1") + section(3, "A3"), "accepted A1 - A3"),
    ("cut", section(0, "A1") + section(1, "A2") + "[2]\r\nmsgid=A", "accepted A1 A2 -"),
    ("twice the same", section(1, "A1") + section(2, "A2") + section(2, "A3"), "accepted A1 - -"),
    ("strange labels", "".join(section(n, f"A{n}") for n in (7, 8, 9)), "accepted - - -"),
    ("no labels", "msgid=A1\r\nstatuscode=1\r\n", "accepted - - -"),
    ("account", "[0]\r\nstatuscode=e\r\nError=x\r\n", "misconfigured * * *"),
    ("account, under a label", "[1]\r\nstatuscode=k\r\n", "misconfigured * * *"),
    ("out of service", "statuscode=r\r\n", "unavailable * * *"),
    ("connections", "[0]\r\nstatuscode=l\r\n", "throttled * * *"),
    ("no credit", "[0]\r\nstatuscode=s\r\nError=x\r\n", "no_credit * * *"),
    ("no credit for the first", "[1]\r\nstatuscode=s\r\n", "no_credit * - -"),
    ("bad first number", "[0]\r\nstatuscode=v\r\n", "rejected * - -"),
    ("empty", "", "accepted - - -"),
]


@pytest.mark.parametrize(("body", "said"), [b[1:] for b in BATCHES], ids=[b[0] for b in BATCHES])
def test_answers_to_several(body: str, said: str) -> None:
    outcomes = plugin.parse(SMEXPRESS, Reply(200, {}, body.encode()), sends(3))
    class_, *refs = said.split()
    assert [(o.class_, "".join(o.refs)) for o in outcomes] == [
        ("in_doubt", "") if ref == "-" else (class_, "" if ref == "*" else ref) for ref in refs
    ]


def test_several_by_key_and_credit_once() -> None:
    body = "".join(section(KEY.format(n), f"A{n}") for n in (2, 0)) + "AccountPoint=96\r\n"
    outcomes = plugin.parse(MTK, Reply(200, {}, body.encode()), sends(3))
    assert [(o.class_, o.refs) for o in outcomes] == [
        ("accepted", ("A0",)),
        ("in_doubt", ()),
        ("accepted", ("A2",)),
    ]
    assert [o.balances for o in outcomes] == [POINTS, (), ()]


AT = read_time("2016-08-08T15:32:48+08:00")


@pytest.mark.parametrize(("code", "class_"), [*RECEIPTS.items(), ("e", "query_error"), ("Q", "unrecognised")])
@pytest.mark.parametrize("ref", ["0939137671", "#021BCAE83"])
def test_every_code_of_a_query(ref: str, code: str, class_: str) -> None:
    reply = Reply(200, {}, f"{ref}\t{code}\t20160808153248\r\n".encode())
    for asked in (ref, ref.lstrip("#")):
        (receipt,) = plugin.parse_query(SMEXPRESS, reply, [ask(asked)])
        assert (receipt.class_, receipt.code, receipt.ref, receipt.at) == (class_, code, asked, AT)


LOST = "not in the answer"
QUERIES: list[tuple[str, bytes, list[Ask], list[Receipt]]] = [
    ("any order", b"B2\t8\t20160808153248\nA1\t4\t20160808153248\t1", [ask("A1"), ask("C3"), ask("B2")],
     [Receipt("delivered", ref="A1", code="4", at=AT), Receipt("query_error", ref="C3", detail=LOST, gone=True),
      Receipt("expired", ref="B2", code="8", detail="timeout", at=AT)]),
    ("ids that differ by their prefix", b"#A1\t4\n", [ask("A1"), ask("#A1")],
     [Receipt("query_error", ref="A1", detail=LOST, gone=True), Receipt("delivered", ref="#A1", code="4")]),
    ("no such time, no code", b"A1\t1\t20161308153248\nB2\t?????", [ask("A1"), ask("B2")],
     [Receipt("progress", ref="A1", code="1"), Receipt("unrecognised", ref="B2")]),
    ("cut in the time", b"A1\t4\t2016080815324", [ask("A1")], [Receipt("delivered", ref="A1", code="4")]),
    ("empty", b"", [ask("A1")], [Receipt("query_error", ref="A1", detail=LOST)]),
    ("no id", b"A1\t4", [ask()], [Receipt("query_error", detail=LOST)]),
    ("refused", BIG5, [ask("A1")], [Receipt("query_error", ref="A1", code="e", detail=WRONG.detail)]),
    ("the letter alone", b"w\r\n", [ask("A1")], [Receipt("query_error", ref="A1", code="w", detail=LOST)]),
    ("page", b"<html>\nA1\t4\t\n", [ask("A1")], [Receipt("query_error", ref="A1", detail=LOST)]),
]  # fmt: skip


@pytest.mark.parametrize(("body", "asks", "receipts"), [q[1:] for q in QUERIES], ids=[q[0] for q in QUERIES])
def test_answers_to_a_query(body: bytes, asks: list[Ask], receipts: list[Receipt]) -> None:
    assert plugin.parse_query(SMEXPRESS, Reply(200, {}, body), asks) == receipts


BALANCES: list[tuple[bytes, list[Balance] | Outcome]] = [
    (b"AccountPoint=96", list(POINTS)),
    (b"AccountPoint=-3\r\n", [Balance("points", "points", -3_000_000)]),
    (b"AccountPoint=\r\n", Outcome("in_doubt")),
    (b"AccountPoint=9.5", Outcome("in_doubt")),
    (b"AccountPoint=nan", Outcome("in_doubt")),
    (b"96", Outcome("in_doubt")),
    (b"", Outcome("in_doubt")),
    (b"statuscode=1\r\n", Outcome("in_doubt", code="1")),
    (b"<html>\nAccountPoint=96\n", Outcome("in_doubt", evidence="html")),
    (b"statuscode=k\r\n", Outcome("misconfigured", code="k", detail="our IP address is not registered")),
    (b"e", Outcome("misconfigured", code="e", detail="account or password error")),
    (b"statuscode=r\r\nAccountPoint=0", Outcome("unavailable", code="r", detail="the system is out of service")),
]


@pytest.mark.parametrize(("body", "said"), BALANCES)
def test_answers_to_the_balance(body: bytes, said: list[Balance] | Outcome) -> None:
    assert plugin.parse_balance(SMEXPRESS, Reply(200, {}, body)) == said


def test_what_each_api_promises() -> None:
    assert plugin.traits(SMEXPRESS) is plugin.TRAITS
    assert (plugin.TRAITS.idempotency, plugin.traits(MTK).idempotency) == (0, 12 * HOUR)
    assert plugin.buckets(MTK, send().message, None) == ("points",)


# a text, and whether it may share a request in each api
SHARING = [
    ("您好", True, True),
    ("x" * 70, True, True),
    ("x" * 71, False, True),
    ("50%", False, True),
    ("1+1", False, True),
    ("two\nlines", False, True),
    ("win $100", True, True),
    ("$100 won", True, False),
    ("win $$", True, False),
]


@pytest.mark.parametrize(("text", "in_smexpress", "in_mtk"), SHARING)
def test_what_may_share_a_request(text: str, in_smexpress: bool, in_mtk: bool) -> None:
    for config, may in ((SMEXPRESS, in_smexpress), (MTK, in_mtk)):
        assert (plugin.shape(config, send(text=text)) is not None) == may
        batch = [send(), send(text=text, n=2)]
        if may:
            plugin.build(config, batch, NOW)
        else:
            with pytest.raises(ValueError, match="can only go alone"):
                plugin.build(config, batch, NOW)


@pytest.mark.parametrize("key", ["m1/1", "a$$b-00000000", "12345678]\r\n", "x" * 37, "1"])
def test_a_key_that_would_break_the_request_is_hashed(key: str) -> None:
    strange = Send(send().message, "m1/1", 1, None, key)
    body = plugin.build(MTK, [strange, send(n=2)], NOW).body.decode()
    label = body.partition("$$")[0]
    assert re.fullmatch("[0-9a-f]{32}", label)
    assert plugin.build(MTK, [strange], NOW).body.decode().endswith(f"&clientid={label}")
    answer = section(KEY.format(2), "A2") + section(label, "A1")
    outcomes = plugin.parse(MTK, Reply(200, {}, answer.encode()), [strange, send(n=2)])
    assert [outcome.refs for outcome in outcomes] == [("A1",), ("A2",)]


PIECES = [b"[1]", b"[0]", b"msgid=", b"statuscode=", b"1", b"\r\n", b"\n", b"=", b"\t", b"Error=", b"\xa5", b"#"]
BODIES = st.lists(st.sampled_from(PIECES) | st.binary(max_size=6), max_size=24).map(b"".join)


@given(BODIES, st.integers(1, 3), st.sampled_from([SMEXPRESS, MTK]))
def test_no_answer_raises_or_is_believed_without_an_id(body: bytes, count: int, config: plugin.Config) -> None:
    reply = Reply(200, {}, body)
    outcomes = plugin.parse(config, reply, sends(count))
    assert len(outcomes) == count
    for outcome in outcomes:
        assert outcome.class_ != "accepted" or b"msgid=" + outcome.refs[0].encode() in body
    assert len(plugin.parse_query(config, reply, [ask("A1"), ask()])) == 2
    assert isinstance(plugin.parse_balance(config, reply), list | Outcome)


@pytest.mark.parametrize("config", [SMEXPRESS, MTK])
def test_the_password_shows_nowhere(config: plugin.Config) -> None:
    calls = [plugin.build(config, sends(n), NOW) for n in (1, 2)]
    calls += [plugin.balance(config, NOW), plugin.query(config, [ask("A1")], NOW)]
    for call in calls:
        wire = call.url + call.body.decode()
        assert any(secret in wire for secret in call.secrets)  # what leaves has it, and says which it is
        assert not any(secret in repr((config, call)) for secret in call.secrets)
    echo = f"[1]\r\nmsgid={CANARY}\r\nstatuscode={CANARY}\r\nError={CANARY}\r\n{CANARY}\t{CANARY}\r\n"
    reply = Reply(200, {}, echo.encode())
    said = (plugin.parse(config, reply, sends(2)), plugin.parse_balance(config, reply))
    assert CANARY not in repr((said, plugin.parse_query(config, reply, [ask("A1")])))


def test_who_moves_url_moves_long_texts_too() -> None:
    moved = plugin.Config(username="demo", password=Secret(CANARY), url=PROXY)
    assert plugin.build(moved, [send(text="x" * 71)], NOW).url.startswith(PROXY + "SpLmGet?")
