"""SubitoSMS: every row of its tables in PROVIDERS.md, its requests byte for byte; queries stand in test_subito_query."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.provider.contract import Ask, Balance, Outcome, Reply, Secret, Send
from plugins.subito import plugin
from tests.plugins import samples

CONFIG = plugin.Config(username="mickey", password=Secret('foo"bär'))
LIST_CONFIG = plugin.Config(username="mickey", password=Secret('foo"bär'), auth_form="list")
BASE = "https://www.subitosms.it/json.php?action="
AUTH = '{"username":"mickey","password":"foo\\"bär"}'


def make_send(text: str = "Hello", to: str = "+393351234567", sender: str | None = "SubitoSMS") -> Send:
    return samples.make_send(text, to, sender)


def make_ask(group: str = "12293682", recipient: str = "+393351234567") -> Ask:
    return samples.make_ask(group, recipient)


def reply(answer: Any) -> Reply:
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    return Reply(200, {"content-type": "application/json"}, body)


# --- requests ---

SENDS = [make_send(), make_send('Ciao "Città" €\n', "+393356359515", "+39335123456"), make_send("", sender=None)]
DATA = (
    '[{"sender":"SubitoSMS","dest":"+393351234567","text":"Hello"},'
    '{"sender":"+39335123456","dest":"+393356359515","text":"Ciao \\"Città\\" €\\n"},'
    '{"sender":"","dest":"+393351234567","text":""}]'
)
ASKS = [make_ask(), make_ask("12279076"), make_ask(recipient="+393470000000"), make_ask("0012")]
BUILT = [
    (CONFIG, "send", lambda config: plugin.build(config, SENDS, 0), DATA),
    (
        CONFIG,
        "status",
        lambda config: plugin.query(config, ASKS, 0),
        '[{"id":12293682},{"id":12279076},{"id":"0012"}]',
    ),
    (CONFIG, "credit", lambda config: plugin.balance(config, 0), "[]"),
]


@pytest.mark.parametrize(("config", "action", "build", "data"), BUILT)
def test_every_call_is_this_request(config: plugin.Config, action: str, build: Any, data: str) -> None:
    for each, auth in ((config, AUTH), (LIST_CONFIG, f"[{AUTH}]")):
        call = build(each)
        assert (call.method, call.url) == ("POST", BASE + action)
        assert call.headers == (("Content-Type", "application/json"),)
        assert call.body.decode() == f'{{"auth":{auth},"data":{data}}}'
        assert call.secrets == ('foo"bär', 'foo\\"bär')


def test_the_url_may_have_a_prefix_and_a_slash_at_its_end() -> None:
    config = plugin.Config(username="u", password=Secret("p"), url="http://127.0.0.1:1/x/")
    assert plugin.balance(config, 0).url == "http://127.0.0.1:1/x/json.php?action=credit"


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)


@given(text=TEXTS, number=st.from_regex(r"\+[1-9][0-9]{6,14}", fullmatch=True), sender=st.none() | TEXTS)
def test_every_text_number_and_sender_arrives_as_it_was(text: str, number: str, sender: str | None) -> None:
    content = json.loads(plugin.build(CONFIG, [make_send(text, number, sender)], 0).body)
    assert content["data"] == [{"sender": sender or "", "dest": number, "text": text}]
    assert content["auth"] == {"username": "mickey", "password": 'foo"bär'}


# --- answers to a send ---

ACCEPTED = [
    {"data": {"id": "12293682"}},
    {"data": {"id": 12293682}},
    {"data": [{"id": "12293682"}]},
    {"data": {"id": " 12293682 "}},
    {"data": {"id": "12293682"}, "error": None},
    {"data": {"id": "12293682"}, "error": []},
    b'{"data":{"id":"12293682",},}',
    b'\r\n{"data":\n{"id":"12293682"\n,\n}\n}\r\n',
]


@pytest.mark.parametrize("answer", ACCEPTED)
def test_an_id_is_accepted(answer: Any) -> None:
    assert plugin.parse(CONFIG, reply(answer), [make_send()]) == [Outcome("accepted", refs=("12293682",))]


def test_one_id_speaks_of_the_whole_group() -> None:
    outcomes = plugin.parse(CONFIG, reply({"data": {"id": "7"}}), [make_send(), make_send(), make_send()])
    assert outcomes == [Outcome("accepted", refs=("7",))] * 3


def test_an_id_beats_an_error() -> None:
    answer = {"data": {"id": "7"}, "error": {"message": "x", "code": 5}}
    (outcome,) = plugin.parse(CONFIG, reply(answer), [make_send()])
    assert (outcome.class_, outcome.code, outcome.refs, outcome.evidence) == ("accepted", "5", ("7",), "anomaly")


# PROVIDERS.md, SubitoSMS, "Codes": error.code -> class alone, class in a batch
ERRORS: list[tuple[Any, str, str, str]] = [
    (1, "Syntax error", "misconfigured", "misconfigured"),
    (2, "Username is undefined", "misconfigured", "misconfigured"),
    (3, "Password is undefined", "misconfigured", "misconfigured"),
    (3, "Wrong username or password", "misconfigured", "misconfigured"),
    (4, "Wrong username or password", "misconfigured", "misconfigured"),
    (5, "You do not have enough credit", "no_credit", "in_doubt"),
    ("5", "You do not have enough credit", "no_credit", "in_doubt"),
    (6, "Action status requires a id to be set", "in_doubt", "in_doubt"),
    (7, "Action sned is not defined", "misconfigured", "misconfigured"),
    ("7", "", "misconfigured", "misconfigured"),
    (8, "Something new", "in_doubt", "in_doubt"),
    (-100, "Gateway error", "in_doubt", "in_doubt"),
    (0, "", "in_doubt", "in_doubt"),
]


@pytest.mark.parametrize(("code", "message", "alone", "batched"), ERRORS)
def test_an_error_is_of_this_class(code: Any, message: str, alone: str, batched: str) -> None:
    answer = reply({"error": {"message": message, "code": code}})
    for count, class_ in ((1, alone), (3, batched)):
        outcomes = plugin.parse(CONFIG, answer, [make_send()] * count)
        assert [(each.class_, each.code, each.refs) for each in outcomes] == [(class_, str(code), ())] * count


@pytest.mark.parametrize("text", ["Wrong username or password", " wrong username or password. "])
def test_error_3_with_the_text_of_4_is_4(text: str) -> None:
    (three,) = plugin.parse(CONFIG, reply({"error": {"message": text, "code": 3}}), [make_send()])
    (four,) = plugin.parse(CONFIG, reply({"error": {"message": text, "code": 4}}), [make_send()])
    (other,) = plugin.parse(CONFIG, reply({"error": {"message": "no", "code": 3}}), [make_send()])
    assert three.detail == four.detail != other.detail
    assert three.code == "3"


UNPROVEN: list[tuple[Any, str | None]] = [
    (b"", None),
    (b"OK", None),
    (b"\xff\xfe", None),
    (b'{"data":{"id":"12293682"', None),
    (b'{"data":{"id":"\xff7"}}', None),
    (b'\xef\xbb\xbf{"data":{"id":"7"}}', None),
    (b"[" * 100_000, None),
    (b'"' + b'\\"' * 100_000, None),  # quadratic in a careless reader of trailing commas: a minute
    (b'{"data":{"id":1e999}}', None),
    (b'{"data":{"id":NaN}}', None),
    (b'{"data":{"id":' + b"9" * 4_300 + b"}}", None),  # the most digits that Python reads or writes
    (b'{"data":{"id":' + b"9" * 4_301 + b"}}", None),
    (b'{"data":{"id":7}}{"data":{"id":8}}', None),
    (b'{"data":{"text":"a,]","id":"x"},}', None),
    (None, None),
    ([], None),
    (7, None),
    ("7", None),
    ({}, None),
    ({"data": None}, None),
    ({"data": []}, None),
    ({"data": {}}, None),
    ({"data": "7"}, None),
    ({"data": 7}, None),
    ({"data": [{"id": "7"}, {"id": "8"}]}, None),
    ({"data": {"id": None}}, None),
    ({"data": {"id": 0}}, None),
    ({"data": {"id": "0"}}, None),
    ({"data": {"id": "000"}}, None),
    ({"data": {"id": ""}}, None),
    ({"data": {"id": -7}}, None),
    ({"data": {"id": True}}, None),
    ({"data": {"id": 7.0}}, None),
    ({"data": {"id": "abc"}}, None),
    ({"data": {"id": "٧"}}, None),
    ({"data": {"id": ["7"]}}, None),
    ({"data": {"id": "1" * 21}}, None),
    ({"id": "7"}, None),
    ({"error": "You do not have enough credit"}, None),
    ({"error": {"message": "You do not have enough credit"}}, None),
    ({"error": {"code": None}}, None),
    ({"error": {"code": 5.0}}, None),
    ({"error": {"code": [5]}}, None),
    ({"error": {"code": True}}, None),
    ({"error": {"code": "no +393351234567"}}, None),
    ({"error": {"code": 393351234567}}, None),
    ({"error": [{"code": 5}]}, None),
    ({"error": {"code": "99"}}, "99"),
]


@pytest.mark.parametrize(("answer", "code"), UNPROVEN, ids=lambda value: repr(value)[:40])
def test_what_proves_nothing_is_in_doubt(answer: Any, code: str | None) -> None:
    for count in (1, 3):
        outcomes = plugin.parse(CONFIG, reply(answer), [make_send()] * count)
        assert [(each.class_, each.code, each.refs) for each in outcomes] == [("in_doubt", code, ())] * count


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["data", "id", "error", "code", "message", "messages", "dest", "status", "Italy"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(answer=st.binary() | JSON, count=st.integers(1, 3))
def test_any_answer_is_accepted_only_with_an_id(answer: Any, count: int) -> None:
    outcomes = plugin.parse(CONFIG, reply(answer), [make_send()] * count)
    receipts = plugin.parse_query(CONFIG, reply(answer), [make_ask()] * count)
    assert len(outcomes) == len(receipts) == count
    for outcome in outcomes:
        if outcome.class_ == "accepted":
            data = answer["data"]
            given_id = str((data[0] if isinstance(data, list) else data)["id"]).strip()
            assert outcome.refs == (given_id,)
            assert int(given_id) > 0
        else:
            assert outcome.refs == ()
    assert {receipt.class_ for receipt in receipts} == {"query_error"}  # 12293682 is not in the strategy
    assert isinstance(plugin.parse_balance(CONFIG, reply(answer)), list | Outcome)


# --- the counters ---


def test_the_manual_s_balance() -> None:
    body = b'{"data":\n{"Italy":"4021","Foreign":"91","ItalyLow":"90","AddressBooks":"12","Polls":"6","Credit":null}}'
    assert plugin.parse_balance(CONFIG, reply(body)) == [
        Balance("Italy", "sms", 4_021_000_000),
        Balance("ItalyLow", "sms", 90_000_000),
        Balance("Foreign", "sms", 91_000_000),
    ]


@pytest.mark.parametrize("bad", [None, "", "-1", -1, "1.5", 1.5, "nan", "1e3", True, [], "1" * 13])
def test_a_counter_that_is_none_stays_unknown(bad: Any) -> None:
    found = plugin.parse_balance(CONFIG, reply({"data": {"Italy": bad, "Foreign": 0}}))
    assert found == [Balance("Foreign", "sms", 0)]
    alone = plugin.parse_balance(CONFIG, reply({"data": {"Italy": bad}}))
    assert isinstance(alone, Outcome)
    assert alone.class_ == "in_doubt"


@pytest.mark.parametrize(("code", "class_"), [(1, "misconfigured"), (4, "misconfigured"), (9, "in_doubt")])
def test_a_balance_refused_is_an_outcome(code: int, class_: str) -> None:
    found = plugin.parse_balance(CONFIG, reply({"error": {"message": "no", "code": code}}))
    assert isinstance(found, Outcome)
    assert (found.class_, found.code) == (class_, str(code))


@pytest.mark.parametrize(
    ("to", "sender", "purses"),
    [
        ("+393351234567", "ACME", ("Italy",)),
        ("+393351234567", "4FUN", ("Italy",)),
        ("+393351234567", "+39335123456", ("Italy", "ItalyLow")),
        ("+393351234567", "39335123456", ("Italy", "ItalyLow")),
        ("+393351234567", "48000", ("Italy", "ItalyLow")),
        ("+393351234567", None, ("Italy", "ItalyLow")),
        ("+41791234567", "ACME", ("Foreign",)),
        ("+12025550100", "+39335123456", ("Foreign",)),
    ],
)
def test_these_purses_pay(to: str, sender: str | None, purses: tuple[str, ...]) -> None:
    assert plugin.buckets(CONFIG, make_send(to=to).message, sender) == purses
