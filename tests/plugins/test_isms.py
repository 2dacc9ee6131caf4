"""iSMS.gr over HTTP: every row of its tables in PROVIDERS.md, its requests byte for byte."""

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.provider.contract import Ask, Balance, Call, Outcome, Reply, Secret, Send, Unsuitable
from broker.text import encoding_of
from plugins.isms import plugin
from tests.plugins import samples
from tests.plugins.samples import make_send

CONFIG = plugin.Config(username="shop", password=Secret("p&ss ςω"))
BASE = "https://cp.isms.gr/api/http/"
AUTH = "username=shop&password=p%26ss+%CF%82%CF%89"


def make_ask(mid: str = "0008FABD", recipient: str = "+306912345678") -> Ask:
    return samples.make_ask(mid, recipient)


def read_query(call: Call) -> dict[str, str]:
    pairs = parse_qsl(urlsplit(call.url).query, keep_blank_values=True, strict_parsing=True)
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


# --- requests ---


def schedule(at: object, **more: Any) -> Send:
    """A message, valid for the first day of 1970, that the provider is to keep until `at`."""
    send = make_send(**more)
    send.message.options = {"schedule": at}
    return send


BUILT = [
    (make_send(), f"{AUTH}&from=ACME&to=306912345678&message=hi&coding=GSM"),
    (
        make_send("a b&c=d+e\n€"),
        f"{AUTH}&from=ACME&to=306912345678&message=a+b%26c%3Dd%2Be%0A%E2%82%AC&coding=GSM",
    ),
    (make_send("γεια"), f"{AUTH}&from=ACME&to=306912345678&message=%CE%B3%CE%B5%CE%B9%CE%B1&coding=UTF-8"),
    (make_send(sender="+302101234567"), f"{AUTH}&from=%2B302101234567&to=306912345678&message=hi&coding=GSM"),
    (make_send(sender=None), f"{AUTH}&from=&to=306912345678&message=hi&coding=GSM"),
    (
        make_send(callback_url="https://sms.example.org/cb/isms/s/t?a=1"),
        f"{AUTH}&from=ACME&to=306912345678&message=hi&coding=GSM&dlr-url=https%3A%2F%2Fsms.example.org%2Fcb%2Fisms%2Fs%2Ft%3Fa%3D1",
    ),
    (make_send(channel="flash"), f"{AUTH}&from=ACME&to=306912345678&message=hi&coding=GSM&flash=1"),
    (make_send(body="γεια"), f"{AUTH}&from=ACME&to=306912345678&message=%CE%B3%CE%B5%CE%B9%CE%B1&coding=UTF-8"),
    (
        schedule("1970-01-01 10:30", channel="flash", callback_url="https://x/t"),
        f"{AUTH}&from=ACME&to=306912345678&message=hi&coding=GSM&flash=1&schedule=1970-01-01+10%3A30%3A00&dlr-url=https%3A%2F%2Fx%2Ft",
    ),
    (
        schedule("1970-01-01T10:30:00Z"),
        f"{AUTH}&from=ACME&to=306912345678&message=hi&coding=GSM&schedule=1970-01-01+12%3A30%3A00",
    ),
]


@pytest.mark.parametrize(("send", "query"), BUILT)
def test_a_send_is_this_request(send: Send, query: str) -> None:
    call = plugin.build(CONFIG, [send], 0)
    assert (call.method, call.url, call.headers, call.body) == ("GET", f"{BASE}send.php?{query}", (), b"")
    assert call.secrets == ("p&ss ςω", "p%26ss+%CF%82%CF%89")


def test_query_and_balance_are_these_requests() -> None:
    asked = plugin.query(CONFIG, [make_ask()], 0)
    assert asked.url == f"{BASE}query.php?{AUTH}&mid=0008FABD&mobile=306912345678"
    counted = plugin.balance(CONFIG, 0)
    assert counted.url == f"{BASE}credits.php?{AUTH}"
    for call in (asked, counted):
        assert (call.method, call.headers, call.body) == ("GET", (), b"")
        assert call.secrets == ("p&ss ςω", "p%26ss+%CF%82%CF%89")


def test_the_url_may_have_a_prefix_and_a_slash_at_its_end() -> None:
    config = plugin.Config(username="u", password=Secret("p"), url="http://127.0.0.1:1/x/")
    assert plugin.balance(config, 0).url == "http://127.0.0.1:1/x/api/http/credits.php?username=u&password=p"


@pytest.mark.parametrize("to", ["+30691,+30692", "30691&to=30692", "", "+", "+٣٠٦٩", "a@example.org"])
def test_a_recipient_that_could_be_two_is_never_sent(to: str) -> None:
    with pytest.raises(ValueError, match=r"no E\.164 number"):
        plugin.build(CONFIG, [make_send(to=to)], 0)


def test_a_call_carries_one_text_to_many() -> None:
    batch = [make_send(to=f"+30691234567{n}", n=n, callback_url=f"https://x/{n}") for n in range(3)]
    assert plugin.build(CONFIG, batch, 0).url == (
        f"{BASE}send.php?{AUTH}&from=ACME&to=306912345670%2C306912345671%2C306912345672&message=hi&coding=GSM&dlr-url=https%3A%2F%2Fx%2F0"
    )
    with pytest.raises(ValueError, match="too many"):
        plugin.query(CONFIG, [make_ask(), make_ask()], 0)


DIFFERENT = [
    make_send("ho"),
    make_send(sender="EMCA"),
    make_send(sender=None),
    make_send(channel="flash"),
    make_send(channel="hlr"),
    make_send(body="ho"),
    schedule("1970-01-01 10:30"),
    schedule("tomorrow"),
]


@pytest.mark.parametrize("other", DIFFERENT, ids=range(len(DIFFERENT)))
def test_what_differs_goes_in_another_call(other: Send) -> None:
    assert plugin.shape(CONFIG, make_send(n=2, to="+306999999999")) == plugin.shape(CONFIG, make_send()) is not None
    assert plugin.shape(CONFIG, make_send()) != plugin.shape(CONFIG, other)
    with pytest.raises(ValueError, match="several shapes"):
        plugin.build(CONFIG, [make_send(), other], 0)


@pytest.mark.parametrize("at", ["+1 day", "next Thursday", "last Monday", "+1 week 2 days 4 hours 2 seconds", "11 June 2017 11:00:00"])
def test_only_the_absolute_form_of_a_schedule_is_sent(at: str) -> None:
    for each in (at, "1970-01-02 03:00", "1969-12-31", 5):  # nor one that is past, or behind the message's validity
        with pytest.raises(Unsuitable) as refusal:
            plugin.build(CONFIG, [schedule(each)], 0)
        assert refusal.value.code == "options.schedule"
        assert plugin.shape(CONFIG, schedule(each)) is None


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)


@given(text=TEXTS, number=st.from_regex(r"\+[1-9][0-9]{6,14}", fullmatch=True), sender=st.none() | TEXTS)
def test_every_text_number_and_sender_arrives_as_it_was(text: str, number: str, sender: str | None) -> None:
    fields = read_query(plugin.build(CONFIG, [make_send(text, number, sender)], 0))
    assert fields["message"] == text
    assert fields["to"] == number[1:]
    assert fields["from"] == (sender or "")
    assert fields["coding"] == ("GSM" if encoding_of(text) == "gsm7" else "UTF-8")
    assert (fields["username"], fields["password"]) == ("shop", "p&ss ςω")


# --- answers ---

# PROVIDERS.md, iSMS, "Codes": body -> class, code
REFUSED: list[tuple[str, str, str | None]] = [
    ("Error: Authentication error.", "misconfigured", "Authentication error."),
    ("Error: No recipients.", "misconfigured", "No recipients."),
    ("Error: Invalid sender identity.", "unsuitable", "Invalid sender identity."),
    ("Error: Insufficient credits.", "no_credit", "Insufficient credits."),
    ("Error: Invalid scheduling date.", "unsuitable", "Invalid scheduling date."),
    ("Error:Insufficient credits.\r\n", "no_credit", "Insufficient credits."),
    ("\ufeffError: No recipients.", "misconfigured", "No recipients."),
    # not of this request: what queries, lookups and contacts answer
    ("Error: No message ID defined.", "in_doubt", "No message ID defined."),
    ("Error: No mobile defined.", "in_doubt", "No mobile defined."),
    ("Error: No such message or recipient.", "in_doubt", "No such message or recipient."),
    ("Error: No such message ID or mobile.", "in_doubt", "No such message ID or mobile."),
    ("Error: Mobile number is empty.", "in_doubt", "Mobile number is empty."),
    ("Error: Invalid mobile number.", "in_doubt", "Invalid mobile number."),
    ("\u039f\u039a", "in_doubt", "\u039f\u039a"),  # the manual's OK: Omicron, Kappa
    ("OK", "in_doubt", "OK"),
    ("FAILED", "in_doubt", "FAILED"),
    ("Status: Delivered", "in_doubt", "Status: Delivered"),
    ("Credits:3948.47", "in_doubt", "Credits:3948.47"),
    # nothing that anybody knows
    ("Error: Database is tired.", "in_doubt", "Database is tired."),
    ("Error:", "in_doubt", None),
    ("Insufficient credits.", "in_doubt", "Insufficient credits."),
    ("error: insufficient credits.", "in_doubt", "error: insufficient credits."),
    ("", "in_doubt", None),
    (" \r\n\r\n", "in_doubt", None),
    ("ID:", "in_doubt", "ID:"),
    ("ID: ", "in_doubt", "ID:"),
    ("ID:one two", "in_doubt", "ID:one two"),
    ("ID:\x00", "in_doubt", None),
    ("ID:" + "A" * 65, "in_doubt", "ID:" + "A" * 65),
    ("I7I5R4HTAA", "in_doubt", "I7I5R4HTAA"),
    ("ID:\nI7I5R4HTAA", "in_doubt", None),
    ("ID:I7I5R4HTAA\nID:I7I5R4HTAB", "in_doubt", None),
    ("ID:I7I5R4HTAA\nOK", "in_doubt", None),
    ("Warning: mysql_connect() failed\nID:I7I5R4HTAA", "in_doubt", None),
    ("Error: No recipients.\nError: No recipients.", "in_doubt", None),
    ("<b>Fatal error</b>: ID:I7I5R4HTAA", "in_doubt", "<b>Fatal error</b>: ID:I7I5R4HTAA"),
]


@pytest.mark.parametrize(("body", "class_", "code"), REFUSED)
def test_a_send_without_an_id_is_of_this_class(body: str, class_: str, code: str | None) -> None:
    (outcome,) = plugin.parse(CONFIG, Reply(200, {}, body.encode()), [make_send()])
    assert (outcome.class_, outcome.code, outcome.refs) == (class_, code, ())


@pytest.mark.parametrize("body", ["ID:I7I5R4HTAA", "ID: I7I5R4HTAA\r\n", "\n ID:I7I5R4HTAA \n", "\ufeffID:I7I5R4HTAA"])
def test_an_id_is_accepted(body: str) -> None:
    outcomes = plugin.parse(CONFIG, Reply(200, {}, body.encode()), [make_send()])
    assert outcomes == [Outcome("accepted", refs=("I7I5R4HTAA",))]


@pytest.mark.parametrize("body", ["ID:0adgre1\nError: Insufficient credits.", "Error: Insufficient credits.\r\nID:0adgre1\r\n"])
def test_an_id_beats_an_error(body: str) -> None:
    (outcome,) = plugin.parse(CONFIG, Reply(200, {}, body.encode()), [make_send()])
    assert outcome == Outcome("accepted", "Insufficient credits.", refs=("0adgre1",), evidence="anomaly")


def test_one_id_speaks_of_the_whole_call() -> None:
    outcomes = plugin.parse(CONFIG, Reply(200, {}, b"ID:0adgre1"), [make_send(), make_send(), make_send()])
    assert outcomes == [Outcome("accepted", refs=("0adgre1",))] * 3


STATUSES: list[tuple[str, str, str | None]] = [
    ("Status: Queued", "progress", "Queued"),
    ("Status: Pending", "progress", "Pending"),
    ("Status: Delivered", "delivered", "Delivered"),
    ("Status: Failed", "undelivered", "Failed"),
    ("Status:Delivered\r\n", "delivered", "Delivered"),
    ("Error: Authentication error.", "query_error", "Authentication error."),
    ("Error: No message ID defined.", "query_error", "No message ID defined."),
    ("Error: No mobile defined.", "query_error", "No mobile defined."),
    ("Error: No such message or recipient.", "query_error", "No such message or recipient."),
    (
        "Error: No such message ID or mobile.",
        "query_error",
        "No such message ID or mobile.",
    ),  # a lookup's wording
    ("Error: Delivered", "query_error", "Delivered"),
    ("Status: Lost", "unrecognised", "Lost"),
    ("Status: Delivered;GR;Operator", "unrecognised", "Delivered;GR;Operator"),
    ("Status:", "unrecognised", None),
    ("Delivered", "query_error", "Delivered"),
    ("ID:I7I5R4HTAA", "query_error", "ID:I7I5R4HTAA"),
    ("Status: Queued\nStatus: Delivered", "query_error", None),
    ("", "query_error", None),
]


@pytest.mark.parametrize(("body", "class_", "code"), STATUSES)
def test_a_query_is_of_this_class(body: str, class_: str, code: str | None) -> None:
    (receipt,) = plugin.parse_query(CONFIG, Reply(200, {}, body.encode()), [make_ask()])
    assert (receipt.class_, receipt.code) == (class_, code)
    assert (receipt.ref, receipt.recipient) == ("0008FABD", "+306912345678")


BALANCES: list[tuple[str, int]] = [
    ("Credits:3948.47", 3_948_470_000),
    ("Credits: 3948.47\r\n", 3_948_470_000),
    ("Credits:0", 0),
    ("Credits:12", 12_000_000),
    ("Credits:0.1234567", 123_456),  # finer than we count: cut off, never rounded up
    ("Credits:999999999999.999999", 999_999_999_999_999_999),
]


@pytest.mark.parametrize(("body", "amount"), BALANCES)
def test_a_balance_is_read_to_the_millionth(body: str, amount: int) -> None:
    found = plugin.parse_balance(CONFIG, Reply(200, {}, body.encode()))
    assert found == [Balance("credits", "credits", amount)]


NO_BALANCES: list[tuple[str, str]] = [
    ("Error: Authentication error.", "misconfigured"),
    ("Credits:nan", "in_doubt"),
    ("Credits:Infinity", "in_doubt"),
    ("Credits:-1", "in_doubt"),
    ("Credits:-0.01", "in_doubt"),
    ("Credits:1e9", "in_doubt"),
    ("Credits:1,5", "in_doubt"),
    ("Credits:", "in_doubt"),
    ("Credits:٣", "in_doubt"),
    ("Credits:1000000000000000000000", "in_doubt"),
    ("Credits:1\nCredits:2", "in_doubt"),
    ("", "in_doubt"),
]


@pytest.mark.parametrize(("body", "class_"), NO_BALANCES)
def test_what_is_no_balance_is_none(body: str, class_: str) -> None:
    found = plugin.parse_balance(CONFIG, Reply(200, {}, body.encode()))
    assert isinstance(found, Outcome)
    assert found.class_ == class_


LINES = st.lists(
    st.sampled_from(["ID:", "ID:A1", "Error: ", "No recipients.", "Status: Delivered", "Credits:1", "\x00"]) | st.text(max_size=12)
).map("\n".join)


@given(body=st.binary() | LINES.map(lambda text: text.encode("utf-8", "replace")))
def test_any_bytes_are_accepted_only_with_an_id(body: bytes) -> None:
    reply = Reply(200, {}, body)
    (outcome,) = plugin.parse(CONFIG, reply, [make_send()])
    (receipt,) = plugin.parse_query(CONFIG, reply, [make_ask()])
    if outcome.class_ == "accepted":
        assert any(line.strip() == f"ID:{outcome.refs[0]}" for line in body.decode("utf-8-sig").splitlines())
    else:
        assert outcome.refs == ()
    if receipt.class_ not in ("query_error", "unrecognised"):
        assert body.decode("utf-8-sig").strip().startswith("Status:")
    assert isinstance(plugin.parse_balance(CONFIG, reply), list | Outcome)


@pytest.mark.parametrize(
    "line",
    [
        "Error: no p&ss ςω here",
        "Error: 'the text' is bad",
        "Error: to 306912345678",
        "Error: 6912345",
        "306912 345678",
    ],
)
def test_an_unknown_error_that_repeats_what_was_sent_keeps_no_code(line: str) -> None:
    (outcome,) = plugin.parse(CONFIG, Reply(200, {}, line.encode()), [make_send("the text")])
    (receipt,) = plugin.parse_query(CONFIG, Reply(200, {}, line.replace("the text", "1234567").encode()), [make_ask()])
    assert (outcome.class_, outcome.code) == ("in_doubt", None)
    assert (receipt.class_, receipt.code) == ("query_error", None)


# --- settings ---


KEYS: list[tuple[dict[str, Any], list[str]]] = [
    ({}, []),
    ({"protocol": "soap", "soap_url": "https://x/soap"}, []),
    ({"protocol": "soap"}, ["soap_url"]),
    ({"soap_namespace": 'a" b'}, ["soap_namespace"]),
    ({"soap_namespace": ""}, ["soap_namespace"]),
    ({"soap_namespace": "http://isms.gr/api?a=1;b"}, []),
    ({"timezone": "Athens"}, ["timezone"]),
    ({"protocol": "smpp"}, ["host"]),
    ({"protocol": "smpp", "host": "h", "binds": 0}, ["binds"]),
    ({"protocol": "smpp", "host": "h", "port": 2775}, []),
    ({"host": "h"}, ["host"]),
]


@pytest.mark.parametrize(("keys", "named"), KEYS)
def test_what_cannot_be_used_is_said(keys: dict[str, Any], named: list[str]) -> None:
    problems = plugin.check(plugin.Config(username="u", password=Secret("p"), **keys))
    assert [key for key, _ in problems] == named
    assert all(text for _, text in problems)


def test_one_purse_pays() -> None:
    assert plugin.buckets(CONFIG, make_send().message, "ACME") == ("credits",)
