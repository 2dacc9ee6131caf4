"""iSMS.gr's number lookup (HLR) and address book: their requests, every row of their tables, and what is never kept."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.provider.contract import Ask, ContactChange, Lookup, Outcome, Reply, Secret, Send
from plugins.isms import plugin
from plugins.isms.twin import Twin
from tests.plugins import golden
from tests.plugins.samples import make_send, reach

CONFIG = plugin.Config(username="shop", password=Secret("p&ss"))
AUTH = "https://cp.isms.gr/api/http/{}?username=shop&password=p%26ss"
MOBILE = "+306912345678"
DEMO = plugin.Config(username="demo", password=Secret("demo"), url="http://127.0.0.1:1/x/")


def hlr(to: str = MOBILE, n: int = 1) -> Send:
    return make_send("", to, n=n, channel="hlr")


def ask(mid: str = "0adgre1", recipient: str = MOBILE) -> Ask:
    return Ask("m1/1", (mid,), recipient, "k1", 0, "hlr")


def test_a_lookup_is_these_requests() -> None:
    one, many = plugin.build(CONFIG, [hlr()], 0), plugin.build(CONFIG, [hlr(), hlr("+35712548796", 2)], 0)
    assert one.url == f"{AUTH.format('hlr.php')}&mobiles=306912345678"
    assert many.url == f"{AUTH.format('hlr.php')}&mobiles=306912345678%2C35712548796"
    assert plugin.query(CONFIG, [ask()], 0).url == f"{AUTH.format('hlrquery.php')}&mid=0adgre1&mobile=306912345678"
    assert all(call.secrets == ("p&ss", "p%26ss") for call in (one, many))


@pytest.mark.parametrize(
    ("body", "class_"),
    [
        ("ID:0adgre1", "accepted"),
        ("Error: Authentication error.", "misconfigured"),
        ("Error: No recipients.", "misconfigured"),
        ("Error: Insufficient credits.", "no_credit"),
        ("Error: Something else.", "in_doubt"),
        ("", "in_doubt"),
    ],
)
def test_answers_to_a_lookup(body: str, class_: str) -> None:
    outcomes = plugin.parse(CONFIG, Reply(200, {}, body.encode()), [hlr(), hlr("+35712548796", 2)])
    assert [each.class_ for each in outcomes] == [class_] * 2


WORDS = golden.ISMS_LOOKUP
TAIL = ";Greece;COSMOTE Kinites;202010123456789;306970000000;0"


def read(line: str) -> Any:
    (receipt,) = plugin.parse_query(CONFIG, Reply(200, {}, line.encode()), [ask()])
    assert (receipt.ref, receipt.recipient) == ("0adgre1", MOBILE)
    assert "20201" not in repr((receipt.code, receipt.detail, receipt.lookup))  # the IMSI
    assert "30697" not in repr((receipt.code, receipt.detail, receipt.lookup))  # the serving centre
    return receipt


@pytest.mark.parametrize(("word", "class_"), WORDS.items())
def test_every_answer_to_a_lookup_s_query(word: str, class_: str) -> None:
    if class_ == "query_error":
        receipt = read(f"Error: {word}")
        assert (receipt.class_, receipt.code, receipt.lookup) == (class_, word, None)
        return
    for line in (word, f"Status: {word}", f" {word}\r\n", word + TAIL, f"Status:{word}{TAIL}"):
        receipt = read(line)
        assert (receipt.class_, receipt.code) == (class_, word)
        is_told = class_ != "progress"
        whole = Lookup(word.lower(), "Greece", operator="COSMOTE Kinites", code="0")
        assert receipt.lookup == (None if not is_told else whole if ";" in line else Lookup(word.lower()))


@pytest.mark.parametrize(
    ("line", "class_", "lookup"),
    [
        ("Delivered;;;;;", "delivered", Lookup("delivered")),
        ("Delivered; GR ;Ελλάδα;;;12", "delivered", Lookup("delivered", "GR", None, "Ελλάδα", None, "12")),
        # fields that are not six say nothing that can be trusted to be what it seems
        ("Delivered;Greece;202010123456789;30697", "delivered", Lookup("delivered")),
        ("Delivered;Greece;A;B;202010123456789;30697;0", "delivered", Lookup("delivered")),
        ("Delivered;202010123456789;306970000000;a;b;c", "delivered", Lookup("delivered", code="c")),
        (f"Delivered;{'x' * 65};y\x07;a;b;c", "delivered", Lookup("delivered", code="c")),
        ("Lost;Greece;COSMOTE;202010123456789;306970000000;0", "unrecognised", None),
        ("Lost", "query_error", None),
        ("delivered", "query_error", None),
        ("", "query_error", None),
        ("Delivered\nDelivered", "query_error", None),
        ("202010123456789", "query_error", None),
        ("Error: IMSI 202010123456789", "query_error", None),
    ],
)  # fmt: skip
def test_odd_answers_to_a_lookup_s_query(line: str, class_: str, lookup: Lookup | None) -> None:
    receipt = read(line)
    assert (receipt.class_, receipt.lookup) == (class_, lookup)


@given(st.lists(st.sampled_from(["Delivered", ";", "Status:", "Error:", "2020101234"]) | st.text(max_size=5), max_size=9).map("".join))
def test_no_answer_brings_a_long_number_along(line: str) -> None:
    (receipt,) = plugin.parse_query(CONFIG, Reply(200, {}, line.encode("utf-8", "replace")), [ask()])
    assert "2020101234" not in repr((receipt.code, receipt.detail, receipt.lookup))


def test_the_twin_looks_numbers_up() -> None:
    twin = Twin(balance=2, fates={"+35712548796": "Unknown"})
    sends = [hlr(), hlr("+35712548796", 2)]
    outcomes = plugin.parse(DEMO, reach(twin, plugin.build(DEMO, sends, 0)), sends)
    (mid,) = {outcome.refs[0] for outcome in outcomes}
    asks = [ask(mid, send.message.to) for send in sends]
    told = [[plugin.parse_query(DEMO, reach(twin, plugin.query(DEMO, [each], now), now), [each])[0] for each in asks] for now in (0, 1000)]
    assert [[each.class_ for each in row] for row in told] == [["progress"] * 2, ["delivered", "undelivered"]]
    assert [each.lookup.status for each in told[1] if each.lookup] == ["delivered", "unknown"]
    assert plugin.parse(DEMO, reach(twin, plugin.build(DEMO, [hlr()], 0)), [hlr()])[0].class_ == "no_credit"
    sms = Ask("m1/1", (mid,), MOBILE, "k1", 0)  # a lookup's id is none of query.php's
    assert plugin.parse_query(DEMO, reach(twin, plugin.query(DEMO, [sms], 0)), [sms])[0].code == "No such message or recipient."
    said = [plugin.parse_query(DEMO, reach(twin, plugin.query(DEMO, [each], 0)), [each])[0].code for each in (ask("X"), ask(""))]
    assert said == ["No such message ID or mobile.", "No message ID defined."]


# --- contacts ---

ADD = ContactChange("add", MOBILE, "Ada", "Lovelace & Co", "first; second")
DELETE = ContactChange("delete", MOBILE)


def test_a_contact_is_these_requests() -> None:
    added, deleted = (plugin.contact(CONFIG, change, 0) for change in (ADD, DELETE))
    assert added.url == (
        f"{AUTH.format('savecontact.php')}&surname=Lovelace+%26+Co&name=Ada&mobile=306912345678&comments=first%3B+second"
    )
    assert deleted.url == f"{AUTH.format('deletecontact.php')}&mobile=306912345678"
    bare = plugin.contact(CONFIG, ContactChange("add", MOBILE), 0)
    assert bare.url.endswith("&surname=&name=&mobile=306912345678&comments=")
    for change in (ContactChange("list", MOBILE), ContactChange("add", "1,2")):
        with pytest.raises(ValueError, match=r"added or deleted|E\.164"):
            plugin.contact(CONFIG, change, 0)


def contact(line: str) -> Outcome:
    return plugin.parse_contact(CONFIG, Reply(200, {}, line.encode()))


@pytest.mark.parametrize(("word", "class_"), golden.ISMS_CONTACT.items())
def test_every_answer_to_a_contact(word: str, class_: str) -> None:
    outcome = contact(f"Error: {word}" if word.endswith(".") else word)
    assert (outcome.class_, outcome.code) == (class_, word)


@pytest.mark.parametrize("line", ["\u039f\u039a", "\u039fK", "O\u039a", " \u039f\u039a\r\n", "\ufeff\u039f\u039a"])
def test_the_ok_of_the_page_is_greek(line: str) -> None:
    assert contact(line).class_ == "accepted"


NO_CONTACTS = ["", "ok", "OK\nOK", "OK now", "Error: OK", "Error: FAILED", "Mobile number is empty.", "Error: New.", "ID:7"]


@pytest.mark.parametrize("line", NO_CONTACTS)
def test_another_answer_to_a_contact_proves_nothing(line: str) -> None:
    assert contact(line).class_ == "in_doubt"


def test_an_answer_with_another_status_proves_nothing() -> None:
    assert plugin.parse_contact(CONFIG, Reply(500, {}, b"OK")).class_ == "in_doubt"


def test_the_twin_keeps_contacts() -> None:
    twin = Twin()

    def change(each: ContactChange, config: plugin.Config = DEMO) -> tuple[str, str | None]:
        outcome = plugin.parse_contact(config, reach(twin, plugin.contact(config, each, 0)))
        return outcome.class_, outcome.code

    assert change(ADD) == ("accepted", "OK")
    assert twin.contacts == {"306912345678": {"surname": "Lovelace & Co", "name": "Ada", "comments": "first; second"}}
    assert change(DELETE) == ("accepted", "OK")
    assert change(DELETE) == ("unavailable", "FAILED")
    assert change(ContactChange("add", "+1")) == ("rejected", "Invalid mobile number.")
    assert change(ContactChange("add", "+" + "1" * 16)) == ("rejected", "Invalid mobile number.")
    assert change(ADD, plugin.Config(username="demo", password=Secret("no"), url=DEMO.url))[1] == "Authentication error."
    assert twin.contacts == {}
