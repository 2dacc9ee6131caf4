"""What iSMS.gr calls a `dlr-url` with: nobody knows, so little is believed, and everything else leads to a question."""

from urllib.parse import urlencode, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.provider.contract import CallbackRequest, Parsed, Receipt, Reply, Secret
from plugins.isms import plugin
from plugins.isms.twin import Twin
from tests.plugins.samples import make_send, reach

CONFIG = plugin.Config(username="shop", password=Secret("p"))
TOKEN, MOBILE = "5e1f", "+306912345678"
ASKED = "the call does not say what: query.php is asked"
FORM = "application/x-www-form-urlencoded"


def call(query: str = "", method: str = "GET", body: bytes = b"", token: str | None = TOKEN) -> CallbackRequest:
    return CallbackRequest(method, query, {"content-type": FORM} if body else {}, body, token)


def read(query: str = "", method: str = "GET", body: bytes = b"", token: str | None = TOKEN) -> Parsed:
    return plugin.receipts(CONFIG, call(query, method, body, token), 0)


# parameters, what is made of them
READ: list[tuple[str, Receipt]] = [
    ("", Receipt("unrecognised", token=TOKEN, detail=ASKED)),
    ("a=b&c", Receipt("unrecognised", token=TOKEN, detail=ASKED)),
    ("status=Delivered", Receipt("delivered", token=TOKEN, code="Delivered")),
    ("status=Failed", Receipt("undelivered", token=TOKEN, code="Failed")),
    ("status=Queued", Receipt("progress", token=TOKEN, code="Queued")),
    ("status=Pending", Receipt("progress", token=TOKEN, code="Pending")),
    ("STATUS=+DELIVERED+", Receipt("delivered", token=TOKEN, code="Delivered")),
    ("status=Undelivered", Receipt("unrecognised", token=TOKEN, detail=ASKED)),
    ("status=1", Receipt("unrecognised", token=TOKEN, detail=ASKED)),
    ("status=Authentication error.", Receipt("unrecognised", token=TOKEN, detail=ASKED)),
    ("status=", Receipt("unrecognised", token=TOKEN, detail=ASKED)),
    ("mid=I7I5R4HTAA", Receipt("unrecognised", "I7I5R4HTAA", TOKEN, detail=ASKED)),
    ("mid=I7;DROP", Receipt("unrecognised", token=TOKEN, detail=ASKED)),
    ("mobile=306912345678", Receipt("unrecognised", token=TOKEN, recipient=MOBILE, detail=ASKED)),
    ("mobile=%2B306912345678", Receipt("unrecognised", token=TOKEN, recipient=MOBILE, detail=ASKED)),
    ("mobile=6912345678a", Receipt("unrecognised", token=TOKEN, detail=ASKED)),
    ("mid=I7&mobile=306912345678&status=Delivered&x=1", Receipt("delivered", "I7", TOKEN, MOBILE, "Delivered")),
    ("mid=I7&mid=I8&status=Failed&status=Delivered", Receipt("undelivered", "I7", TOKEN, code="Failed")),
]


@pytest.mark.parametrize(("query", "receipt"), READ)
def test_what_is_believed(query: str, receipt: Receipt) -> None:
    for parsed in (read(query), read("", "POST", query.encode())):
        assert parsed.receipts == (receipt,)
        assert (parsed.answer.status, parsed.answer.body, parsed.inbound) == (200, b"OK\n", ())


def test_a_call_of_no_message_says_nothing() -> None:
    for query in ("", "status=Delivered", "mobile=306912345678"):
        assert read(query, token=None).receipts == ()
    (receipt,) = read("mid=I7&status=Delivered", token=None).receipts
    assert (receipt.ref, receipt.token, receipt.class_) == ("I7", None, "delivered")


def test_more_than_anybody_sends_is_not_read() -> None:
    (receipt,) = read("&".join(f"a{n}=1" for n in range(200)) + "&status=Delivered").receipts
    assert receipt.class_ == "unrecognised"


QUERIES = st.text(st.sampled_from("midoblestaus=&%+;\0\r\n") | st.characters(), max_size=80)


@given(QUERIES, st.binary(max_size=80), st.sampled_from(["GET", "POST", ""]))
def test_nothing_raises(query: str, body: bytes, method: str) -> None:
    assert read(query, method, body).answer.status == 200


@pytest.mark.parametrize(("style", "class_"), [("words", "undelivered"), ("bare", "unrecognised")])
def test_the_twin_calls_once(style: str, class_: str) -> None:
    twin = Twin(style=style, fates={MOBILE: "Failed"})
    config = plugin.Config(username="demo", password=Secret("demo"), url="http://127.0.0.1:1/x/")
    send = make_send(callback_url="https://x.example/cb/t")
    (outcome,) = plugin.parse(config, reach(twin, plugin.build(config, [send], 0)), [send])
    assert twin.calls(999) == []
    (called,) = twin.calls(1000)
    query = urlsplit(called.url).query
    assert query == ("" if style == "bare" else urlencode({"mid": outcome.refs[0], "mobile": MOBILE[1:], "status": "Failed"}))
    assert read(query).receipts[0].class_ == class_
    twin.hear(called, Reply(404))
    assert twin.calls(9000) == []
