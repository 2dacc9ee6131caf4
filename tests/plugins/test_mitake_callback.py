"""What Mitake calls us with: every row of its two tables, what is answered, and that nothing in a call is taken on trust."""

from itertools import product
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.provider.contract import CallbackRequest, Reply
from broker.words.clock import HOUR, SECOND, read_time
from plugins.mitake import plugin
from plugins.mitake.twin import Twin
from tests.plugins import golden
from tests.plugins.test_mitake import CALLBACK, CANARY, MTK, NOW, SMEXPRESS, send, sends
from tests.plugins.test_mitake_twin import submit

TOKEN = "5e1f"
WORDS = [(word, flags.replace(" ", ""), class_) for word, (flags, class_) in golden.MITAKE_WORDS.items()]
FLAGS = ["", *"0123456789"]
GOOD = {
    "msgid": "8091234567",
    "dstaddr": "0912345678",
    "dlvtime": "20060810125612",
    "donetime": "20060810165612",
    "statusstr": "DELIVRD",
    "statuscode": "0",
    "StatusFlag": "4",
}


def call(query: str = "", method: str = "GET", body: bytes = b"", kind: str = "") -> CallbackRequest:
    return CallbackRequest(method, query, {"content-type": kind} if kind else {}, body, TOKEN)


def hear(**fields: str) -> Any:
    """The plugin's reading of the good call with `fields` changed."""
    return plugin.receipts(SMEXPRESS, call(urlencode(GOOD | fields)), NOW)


@pytest.mark.parametrize("api", [SMEXPRESS, MTK])
def test_the_public_sample(api: plugin.Config) -> None:
    parsed = plugin.receipts(api, call(urlencode(GOOD)), NOW)
    (receipt,) = parsed.receipts
    assert (receipt.class_, receipt.code, receipt.ref, receipt.token) == ("delivered", "DELIVRD", "8091234567", TOKEN)
    assert (receipt.recipient, receipt.at) == ("+886912345678", read_time("2006-08-10T08:56:12Z"))
    answer = parsed.answer
    assert (answer.status, answer.headers) == (200, (("Content-Type", "text/plain"),))
    assert answer.body == b"magicid=sms_gateway_rpack\nmsgid=8091234567\n"
    assert parsed.inbound == ()


@pytest.mark.parametrize(("word", "flags", "class_"), WORDS)
def test_word_and_flag_decide_where_they_agree(word: str, flags: str, class_: str) -> None:
    for flag, code in product(FLAGS, ["", "0", "1", "2", "8", "*"]):
        (receipt,) = hear(statusstr=word, StatusFlag=flag, statuscode=code).receipts  # whatever statuscode says
        agrees = flag in flags if flag else not flags
        assert receipt.class_ == (class_ if agrees else "unrecognised"), flag
        assert receipt.code == word
        assert (receipt.detail == "statusstr and StatusFlag disagree") == (not agrees)


@pytest.mark.parametrize("flag", [*FLAGS, "01", "44", "-1", "٤", "x" * 90, CANARY])
@pytest.mark.parametrize("word", ["", "delivrd", "DELIVERED", "DELIVRD ACCEPTD", CANARY, "\0"])
def test_an_unknown_word_is_kept_and_changes_nothing(word: str, flag: str) -> None:
    (receipt,) = hear(statusstr=word, StatusFlag=flag).receipts
    assert receipt.class_ == "unrecognised"
    assert CANARY not in repr((receipt.code, receipt.detail))
    assert receipt.code in ("DELIVERED", *FLAGS, None)


def test_without_its_flag_a_word_decides_nothing() -> None:
    query = urlencode({key: value for key, value in GOOD.items() if key != "StatusFlag"})
    (receipt,) = plugin.receipts(SMEXPRESS, call(query), NOW).receipts
    assert receipt.class_ == "unrecognised"


REFS = ["8091234567", "#000000013", "#021BCAE83", "A", "#z", "x" * 20]
NO_REFS = ["", "#", "##1", "$1", "8091 234567", "x" * 21, "1\n", "1\r\nmsgid=2", "<b>", "１２", "a\0", CANARY]


@pytest.mark.parametrize("ref", REFS)
def test_an_id_is_said_back_as_it_came(ref: str) -> None:
    parsed = hear(msgid=ref)
    assert parsed.answer.body == f"magicid=sms_gateway_rpack\nmsgid={ref}\n".encode()
    assert (parsed.receipts[0].ref, parsed.receipts[0].forms) == (ref, (ref[1:] if ref[0] == "#" else f"#{ref}",))


@pytest.mark.parametrize("ref", NO_REFS)
def test_what_is_no_id_is_not_said_back(ref: str) -> None:
    parsed = hear(msgid=ref)
    assert parsed.receipts == ()
    assert (parsed.answer.status, parsed.answer.body) == (400, b"")


NUMBERS = [
    ("0912345678", "+886912345678"),
    ("886912345678", "+886912345678"),
    ("+886912345678", "+886912345678"),
    ("302101234567", "+302101234567"),
    ("09001234567", None),
    ("0223456789", None),
    ("12", None),
    ("", None),
    ("0912345678,0912345679", None),
    ("٠٩١٢٣٤٥٦٧٨", None),
]


@pytest.mark.parametrize(("mobile", "recipient"), NUMBERS)
def test_the_recipient(mobile: str, recipient: str | None) -> None:
    assert hear(dstaddr=mobile).receipts[0].recipient == recipient


@pytest.mark.parametrize("at", ["", "20061310165612", "2006081016561", "200608101656120", "now", "２００６０８１０１６５６１２"])
def test_a_time_that_is_none_is_none(at: str) -> None:
    (receipt,) = hear(donetime=at).receipts
    assert (receipt.at, receipt.class_) == (None, "delivered")


def test_other_ways_to_call() -> None:
    form = urlencode(GOOD).encode()
    for kind in ("application/x-www-form-urlencoded", "Application/X-WWW-Form-Urlencoded; charset=big5"):
        (receipt,) = plugin.receipts(SMEXPRESS, call("", "POST", form, kind), NOW).receipts
        assert (receipt.class_, receipt.ref) == ("delivered", "8091234567")
    assert plugin.receipts(SMEXPRESS, call("", "POST", form, "text/plain"), NOW).receipts == ()
    (receipt,) = plugin.receipts(SMEXPRESS, call(f"{urlencode(GOOD)}&msgid=7&statusstr=EXPIRED&STATUSFLAG=8"), NOW).receipts
    assert (receipt.class_, receipt.ref) == ("delivered", "8091234567")  # the first of each name
    assert plugin.receipts(SMEXPRESS, call(urlencode(GOOD) + "&x" * 60), NOW).receipts == ()


QUERIES = st.text(st.sampled_from("msgidtarF=&%#+;\x00\r\n49DELIVRD") | st.characters(), max_size=120)


@given(QUERIES, st.binary(max_size=80), st.sampled_from(["GET", "POST", "PUT", "", "\0"]), st.sampled_from(["", "text/xml", "x-www-form"]))
def test_nothing_raises(query: str, body: bytes, method: str, kind: str) -> None:
    parsed = plugin.receipts(MTK, call(query, method, body, kind), NOW)
    assert (parsed.answer.status == 200) == bool(parsed.receipts)


# --- the twin ---

PLAIN = ("DELIVRD", "SYNTAXE", "UNDELIV", "UNDELIV", "EXPIRED")


@pytest.mark.parametrize("api", [SMEXPRESS, MTK])
@pytest.mark.parametrize(("fate", "word"), [*zip("45678", PLAIN, strict=True), ("REJECTD", "REJECTD"), ("UNKNOWN", "UNKNOWN")])
def test_the_twin_calls_until_it_is_answered(api: plugin.Config, fate: str, word: str) -> None:
    twin = Twin(password=CANARY, fates={"+886912345678": fate})
    (outcome,) = submit(twin, api, [send(callback=CALLBACK)])
    submit(twin, api, [send("+886912345679", n=2)])  # one that asked for no call
    assert twin.calls(NOW + SECOND - 1) == []
    (called,) = twin.calls(NOW + SECOND)
    assert called.url.startswith(CALLBACK + "&msgid=")
    parsed = plugin.receipts(api, call(urlsplit(called.url).query), NOW)
    (receipt,) = parsed.receipts
    assert (receipt.code, receipt.class_) == (word, {w: class_ for w, _, class_ in WORDS}[word])
    assert (receipt.ref, receipt.recipient, receipt.at) == (outcome.refs[0], "+886912345678", NOW + SECOND)
    for reply in (Reply(404), Reply(500, {}, parsed.answer.body), Reply(200, {}, b""), Reply(200, {}, parsed.answer.body + b"\n")):
        twin.hear(called, reply)
        assert twin.calls(NOW + HOUR) == [called]
    twin.hear(called, Reply(parsed.answer.status, {}, parsed.answer.body))
    assert twin.calls(NOW + HOUR) == []


def test_the_twin_tells_each_of_a_batch() -> None:
    for api in (SMEXPRESS, MTK):
        twin = Twin(password=CANARY)
        batch = [send(one.message.to, "x", n, f"https://x.example/{n}") for n, one in enumerate(sends(3))]
        outcomes = submit(twin, api, batch)
        calls = twin.calls(NOW + SECOND)
        heard = [plugin.receipts(api, call(urlsplit(each.url).query), NOW).receipts[0] for each in calls]
        assert [(each.ref, each.recipient) for each in heard] == [
            (outcome.refs[0], one.message.to) for outcome, one in zip(outcomes, batch, strict=True)
        ]
        assert [urlsplit(each.url).path for each in calls] == ["/0", "/1", "/2"]
